"""Run notebooks in a fresh kernel and save their outputs: python docs/run_notebooks.py [nbs/10_two_room.ipynb …]

Cells marked `#| slow` or `#| eval: false` keep the outputs they have."""
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

SKIP = re.compile(r"^#\s*\|\s*(eval:\s*false|slow)", re.M)


def run(path: Path):
    nb = nbformat.read(path, 4)
    cells, start = nb.cells, time.time()
    nb.cells = [c for c in cells if not (c.cell_type == "code" and SKIP.search(c.source))]
    NotebookClient(nb, timeout=1200, store_widget_state=False, resources={"metadata": {"path": str(path.parent)}}).execute()
    nb.cells, nb.metadata = cells, {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    for cell in cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs: output.pop("execution_count", None) if output.output_type != "execute_result" else output.update(execution_count=None)
    nbformat.write(nb, path)
    print(f"{path}  {time.time() - start:.1f} s", flush=True)


if __name__ == "__main__":
    for path in sys.argv[1:] or sorted(map(str, Path("nbs").glob("[0-9i]*.ipynb"))): run(Path(path))
