"""What is committed is what the code gives: outputs without errors, of the code and results beside them"""
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "docs"))
from run_notebooks import code_hash, folding, hidden_errors, results_hash, runs

NOTEBOOKS = sorted((root / "nbs").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path): return nbformat.read(path, 4)


def since(path): return f"since the outputs were made: python docs/run_notebooks.py nbs/{path.name}"


def shows(cell, kind, text):
    data = [o.get("data", {}) for o in cell.outputs]
    return any(kind in d and text in d[kind] for d in data)


@each
def test_outputs_belong_to_the_code(path):
    nb = read(path)
    assert nb.metadata.get("code_hash") == code_hash(nb), f"the code has changed {since(path)}"
    for cell in nb.cells:
        if cell.cell_type == "code":
            assert all(o.output_type != "error" for o in cell.outputs), cell.source
            assert all(o.get("name") != "stderr" for o in cell.outputs), cell.source
    assert hidden_errors(nb) == []


@each
def test_outputs_quote_the_results_as_they_are(path):
    nb = read(path)
    had, now = nb.metadata.get("results_hash", {}), results_hash(nb)
    changed = [name for name in sorted(had.keys() | now.keys()) if had.get(name) != now.get(name)]
    assert not changed, f"{changed} changed {since(path)}"


@each
def test_a_cell_that_shows_something_has_its_output(path):
    for cell in filter(runs, read(path).cells):
        last = cell.source.rstrip().splitlines()[-1]
        if last.startswith("plot_") and last.endswith(";"): assert shows(cell, "image/png", ""), cell.source
        if last.startswith("film("): assert shows(cell, "text/html", 'class="film"'), cell.source


@each
def test_cells_are_folded_as_they_should_be(path):
    for cell in read(path).cells:
        assert cell.metadata == folding(cell), cell.source


@each
def test_figures_are_sharp(path):
    for cell in read(path).cells:
        if cell.cell_type == "code":
            chosen = re.findall(r"\bdpi\b[\"'\]]*\s*=\s*(\d+)", cell.source)
            assert all(int(dpi) >= 80 for dpi in chosen), cell.source


@each
def test_notebook_is_small(path): assert path.stat().st_size <= 1_000_000


def test_a_change_of_code_and_a_hidden_error_are_noticed():
    nb = new_notebook(cells=[new_code_cell("1 + 1"), new_code_cell("#| slow\n2"), new_markdown_cell("a")])
    before = code_hash(nb)
    nb.cells[1].source, nb.cells[2].source = "#| slow\n3", "b"
    assert code_hash(nb) == before
    nb.cells[0].source = "1 + 2"
    assert code_hash(nb) != before
    error = {"output_type": "error", "ename": "ValueError", "evalue": "x", "traceback": []}
    state = {"state": {"a": {"state": {"outputs": [error]}}}}
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    assert hidden_errors(nb) == [error]


def test_a_change_of_a_result_is_noticed(tmp_path):
    names = "speed", "training_speed", "probe", "slow", "prose"
    for name in names: (tmp_path / f"{name}.json").write_text("{}")
    code = 'open("a/results/training_speed.json")', "read_result('probe')", "#| slow\nread_result('slow')"
    nb = new_notebook(cells=[*map(new_code_cell, code), new_markdown_cell("`prose.json`")])
    before = results_hash(nb, tmp_path)
    assert list(before) == ["probe.json", "training_speed.json"]
    for other in ("speed", "slow", "prose"): (tmp_path / f"{other}.json").write_text('{"rows": []}')
    assert results_hash(nb, tmp_path) == before
    (tmp_path / "probe.json").write_text('{"rows": []}')
    after = results_hash(nb, tmp_path)
    assert [name for name in before if before[name] != after[name]] == ["probe.json"]
    (tmp_path / "training_speed.json").unlink()
    assert list(results_hash(nb, tmp_path)) == ["probe.json"]


def test_what_is_folded():
    shut, heading = {"jupyter": {"source_hidden": True}}, {"jp-MarkdownHeadingCollapsed": True}
    for source in ("#| fold\nplot()", "#| export\nimport os\nfrom a import (b,\n   c)", "import os"):
        assert folding(new_code_cell(source)) == shut
    for source in ("#| default_exp a", "import os\nos.getcwd()", "%time 1", "1 # | fold", ""):
        assert folding(new_code_cell(source)) == {}
    assert folding(new_markdown_cell("## For maintainers\nWhat comes now")) == heading
    assert folding(new_markdown_cell("## What we learned")) == {}
