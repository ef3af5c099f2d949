"""Run notebooks in a fresh kernel and save their outputs: python docs/run_notebooks.py [nbs/22_data.ipynb …]

Cells marked `#| slow` or `#| eval: false` keep the outputs they have. The notebook keeps a hash of the code
that ran and of each file of data/results that this code names, so that a test can tell outputs that their
code or their numbers have left behind."""
import ast
import hashlib
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

RESULTS = Path(__file__).resolve().parent.parent / "data" / "results"
SKIP = re.compile(r"^#\s*\|\s*(eval:\s*false|slow)", re.M)
KERNEL = {"display_name": "python3", "language": "python", "name": "python3"}


def runs(cell) -> bool: return cell.cell_type == "code" and not SKIP.search(cell.source)


def code_of(nb) -> str: return "\n\n".join(c.source for c in nb.cells if runs(c))


def code_hash(nb) -> str:
    "Of the code that made the outputs."
    return hashlib.sha1(code_of(nb).encode()).hexdigest()


def results_hash(nb, folder: Path = RESULTS) -> dict:
    "{file: hash} of every result that this code names, as a file or to `read_result`."
    code, found = code_of(nb), {}
    for path in sorted(Path(folder).glob("*.json")):
        name = re.escape(path.stem)
        if re.search(rf"(?<![\w.-]){name}\.json\b|\bread_result\(\s*[\"']{name}[\"']", code):
            found[path.name] = hashlib.sha1(path.read_bytes()).hexdigest()
    return found


def only_imports(source: str) -> bool:
    try: body = ast.parse(source).body
    except SyntaxError: return False
    return bool(body) and all(isinstance(line, (ast.Import, ast.ImportFrom)) for line in body)


def folding(cell) -> dict:
    "What tells JupyterLab to close a cell: a picture's code, imports, the section for maintainers."
    if cell.cell_type == "markdown":
        return {"jp-MarkdownHeadingCollapsed": True} if cell.source.startswith("## For maintainers") else {}
    folds = re.match(r"#\s*\|\s*fold\b", cell.source) or only_imports(cell.source)
    return {"jupyter": {"source_hidden": True}} if folds else {}


def hidden_errors(nb) -> list:
    "Errors inside widgets, which neither the kernel nor the page reports."
    widgets = nb.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    states = widgets.get("state", {})
    outputs = [o for s in states.values() for o in s.get("state", {}).get("outputs", [])]
    return [o for o in outputs if o.get("output_type") == "error"]


def run(path: Path):
    nb = nbformat.read(path, 4)
    cells, start = nb.cells, time.time()
    nb.cells = [c for c in cells if c.cell_type == "markdown" or runs(c)]
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(nb, timeout=1200, store_widget_state=True, resources=where).execute()
    for error in hidden_errors(nb): sys.exit(f"{path}: a widget hides {error['ename']}: {error['evalue']}")
    nb.cells = cells
    nb.metadata = {"kernelspec": KERNEL, "code_hash": code_hash(nb), "results_hash": results_hash(nb)}
    for cell in cells:
        cell.metadata = folding(cell)
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if output.output_type == "execute_result": output.execution_count = None
                else: output.pop("execution_count", None)
    nbformat.write(nb, path)
    print(f"{path}  {time.time() - start:.1f} s", flush=True)


if __name__ == "__main__":
    for path in sys.argv[1:] or sorted(map(str, Path("nbs").glob("[0-9i]*.ipynb"))): run(Path(path))
