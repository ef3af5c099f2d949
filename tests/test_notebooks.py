"""What is committed is what the code gives: outputs there, without errors, and made by the code beside them"""
import sys
from pathlib import Path

import nbformat
import pytest

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "docs"))
from run_notebooks import code_hash, hidden_errors, runs  # noqa: E402

NOTEBOOKS = sorted((root / "nbs").glob("*.ipynb"))


def read(path): return nbformat.read(path, 4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_belong_to_the_code(path):
    nb = read(path)
    assert nb.metadata.get("code_hash") == code_hash(nb), f"the code has changed since its outputs were made: python docs/run_notebooks.py {path.name}"
    for cell in nb.cells:
        if cell.cell_type == "code":
            assert all(o.output_type != "error" for o in cell.outputs), cell.source
            assert all(o.get("name") != "stderr" for o in cell.outputs), cell.source
    assert hidden_errors(nb) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_cell_that_shows_something_has_its_output(path):
    for cell in read(path).cells:
        if runs(cell) and cell.source.rstrip().endswith(";") and cell.source.rstrip().splitlines()[-1].startswith("plot_"):
            assert any("image/png" in o.get("data", {}) for o in cell.outputs), cell.source
        if runs(cell) and cell.source.rstrip().splitlines()[-1].startswith("film("):
            assert any('class="film"' in o.get("data", {}).get("text/html", "") for o in cell.outputs), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_small(path): assert path.stat().st_size <= 1_000_000


def test_a_change_of_code_and_a_hidden_error_are_noticed():
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell("#| slow\n2"), nbformat.v4.new_markdown_cell("a")])
    before = code_hash(nb)
    nb.cells[1].source, nb.cells[2].source = "#| slow\n3", "b"
    assert code_hash(nb) == before
    nb.cells[0].source = "1 + 2"
    assert code_hash(nb) != before
    error = {"output_type": "error", "ename": "ValueError", "evalue": "x", "traceback": []}
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {"state": {"outputs": [error]}}}}}
    assert hidden_errors(nb) == [error]
