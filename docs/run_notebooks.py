"""Run notebooks in a fresh kernel and save their outputs: python docs/run_notebooks.py [nbs/21_two_room.ipynb …]

Cells marked `#| slow` or `#| eval: false` keep the outputs they have. A hash of the code that ran is kept in the notebook, so that
a test can tell outputs that their code has left behind."""
import hashlib
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

SKIP = re.compile(r"^#\s*\|\s*(eval:\s*false|slow)", re.M)


def runs(cell) -> bool: return cell.cell_type == "code" and not SKIP.search(cell.source)


def code_hash(nb) -> str:
    "Of the code that made the outputs."
    return hashlib.sha1("\n\n".join(c.source for c in nb.cells if runs(c)).encode()).hexdigest()


def hidden_errors(nb) -> list:
    "Errors inside widgets, which neither the kernel nor the page reports."
    states = nb.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    outputs = [o for s in states.values() for o in s.get("state", {}).get("outputs", [])]
    return [o for o in outputs if o.get("output_type") == "error"]


def run(path: Path):
    nb = nbformat.read(path, 4)
    cells, start = nb.cells, time.time()
    nb.cells = [c for c in cells if c.cell_type == "markdown" or runs(c)]
    NotebookClient(nb, timeout=1200, store_widget_state=True, resources={"metadata": {"path": str(path.parent)}}).execute()
    for error in hidden_errors(nb): sys.exit(f"{path}: a widget hides {error['ename']}: {error['evalue']}")
    nb.cells = cells
    nb.metadata = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}, "code_hash": code_hash(nb)}
    for cell in cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if output.output_type == "execute_result": output.execution_count = None
                else: output.pop("execution_count", None)
    nbformat.write(nb, path)
    print(f"{path}  {time.time() - start:.1f} s", flush=True)


if __name__ == "__main__":
    for path in sys.argv[1:] or sorted(map(str, Path("nbs").glob("[0-9i]*.ipynb"))): run(Path(path))
