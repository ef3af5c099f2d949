"""The book as a whole: the form of its chapters, its links, its parts, and which module may import which"""
import ast
import importlib
import itertools
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lewm_nb.worlds import worlds

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root / "docs"))
from parts import PARTS, book_map, chapters, parts  # noqa: E402

BOOK = chapters()
PLACE = {chapter.path.name: i for i, chapter in enumerate(BOOK)}
MODULES = {}  # module → the places of the chapters that export to it, first one first
for place, one in enumerate(BOOK):
    for name in one.exports: MODULES.setdefault(name, []).append(place)
WORLDS = {name.rpartition(".")[2] for name in MODULES if name.startswith("worlds.")}
WORLDS -= {"world", "play", "bodies"}
each_chapter = pytest.mark.parametrize("chapter", BOOK, ids=lambda c: c.path.stem)
each_module = pytest.mark.parametrize("module", MODULES)


def read(path): return json.loads((root / path).read_text(encoding="utf-8"))["cells"]


def prose(chapter): return "\n\n".join(source for kind, source in chapter.cells if kind == "markdown")


def outside_code(text): return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)


def links(text): return re.findall(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)", outside_code(text))


# --- the form of a chapter --------------------------------------------------------------------------------

@each_chapter
def test_begins_with_title_line_and_header(chapter):
    words = "" if chapter.path.stem == "02_words" else r" · \[symbols and words\]\(02_words\.ipynb\)"
    form = (r"# [^\n]+\n\n?> [^\n]+\n\n\*Builds on [^·\n]+ · reading \d+ minutes? · runs in [^·\n]+"
            rf"(?: · fast path: [^·\n]+)?{words}\*(?:\n|$)")
    assert re.match(form, chapter.cells[0][1]), chapter.cells[0][1][:400]


@each_chapter
def test_builds_on_earlier_chapters_or_nothing(chapter):
    found = re.search(r"^\*Builds on ([^·\n]+?) ·", chapter.cells[0][1], re.M)
    assert found, "no header line"
    needed = links(found[1])
    assert bool(needed) != (found[1] == "nothing"), found[1]
    for text, target in needed:
        assert PLACE[target] < PLACE[chapter.path.name], f"{target} does not come before {chapter.path.name}"
        assert re.findall(r"\d\d", text) in ([], [target[:2]]), f"[{text}]({target})"


@each_chapter
def test_a_picture_stands_before_the_first_sentence(chapter):
    cells = [c for c in read(chapter.path)[1:] if "default_exp" not in "".join(c["source"])]
    folded = list(itertools.takewhile(lambda c: re.match(r"#\s*\|\s*fold\b", "".join(c["source"])), cells))
    assert folded, "".join(cells[0]["source"])[:80]
    kinds = {kind for cell in folded for output in cell["outputs"] for kind in output.get("data", {})}
    assert kinds & {"image/png", "image/svg+xml", "image/gif", "text/html"}, "no picture in them"


@pytest.mark.parametrize("chapter, after", list(zip(BOOK, BOOK[1:])), ids=[c.path.stem for c in BOOK[:-1]])
def test_next_says_title_and_file_of_the_next_chapter(chapter, after):
    assert re.findall(r"^Next: .*", prose(chapter), re.M) == [f"Next: [{after.title}]({after.path.name})"]


@each_chapter
def test_maintainers_come_last_and_hold_the_bad_input(chapter):
    headings = re.findall(r"^## (.*)", re.sub(r"^```.*?^```", "", prose(chapter), flags=re.M | re.S), re.M)
    assert "For maintainers" not in headings[:-1], "another section comes after it"
    before = []
    for kind, source in chapter.cells:
        if kind == "markdown" and re.search(r"^## For maintainers", source, re.M): break
        if kind == "code": before += re.findall(r"\btest_fail\(|\bexpect_fail\(|\bExceptionExpected", source)
    assert len(before) <= 6


# --- numbers, parts and links -----------------------------------------------------------------------------

def test_no_number_stands_twice():
    numbers = [chapter.number for chapter in BOOK]
    assert len(numbers) == len(set(numbers)) and all(re.match(r"\d\d[a-z]?_[a-z]", c.path.name) for c in BOOK)


def test_every_chapter_stands_in_one_part():
    assert [c for _, _, inside in parts(BOOK) for c in inside] == BOOK
    assert all(re.fullmatch(r"[^.]+\.", sentence) for _, sentence in PARTS.values())


def test_readme_and_first_page_show_the_parts():
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert book_map(BOOK) in readme, "run python docs/parts.py"
    outputs = [o for c in read("nbs/index.ipynb") for o in c.get("outputs", [])]
    shown = "".join("".join(o.get("data", {}).get("text/markdown", "")) for o in outputs)
    assert book_map(BOOK).replace("](nbs/", "](") in shown, "run python docs/run_notebooks.py nbs/index.ipynb"


def anchor(heading):
    "Of a heading, spelt as on the site; JupyterLab's spelling comes out the same."
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^-\w ]", "", text).strip().lower().replace(" ", "-")


def anchors(name):
    text = "\n\n".join("".join(c["source"]) for c in read(f"nbs/{name}") if c["cell_type"] == "markdown")
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)", text, re.M)}


@each_chapter
def test_links_lead_somewhere(chapter):
    for _, target in links(prose(chapter)):
        if re.match(r"[a-z]+:", target): continue
        file, _, place = target.partition("#")
        file = file or chapter.path.name
        assert (root / "nbs" / file).exists(), target
        if place and file.endswith(".ipynb"): assert anchor(place) in anchors(file), target


def test_a_word_stands_in_the_chapter_that_its_row_names():
    by_file, absent = {c.path.name: c for c in BOOK}, []
    tables = prose(by_file["02_words.ipynb"])
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| .* \| \[(\d\d)\]\((\S+)\) \|$", tables, re.M)
    assert len(rows) > 40
    for names, number, file in rows:
        assert file.startswith(number)
        text = "\n".join(source for _, source in by_file[file].cells).lower()
        said = [name for name in re.split(r", | of | or ", names) if name.lower() in text]
        if not said: absent.append((names, file))
    assert not absent, absent


# --- the direction of imports -----------------------------------------------------------------------------

def tree(module):
    return ast.parse((root / "lewm_nb" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def imported(module):
    "Modules and folders of lewm_nb that a module imports, also inside functions."
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import): names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = ("lewm_nb." + module).split(".")[:-node.level] if node.level else []
            base = ".".join([*here, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else: continue
        found |= {name.removeprefix("lewm_nb").lstrip(".") for name in names if re.match(r"lewm_nb\b", name)}
    folders = {name.rpartition(".")[0] for name in MODULES} - {""}
    return found & (MODULES.keys() | folders)


def first_place(name):
    "Of the first chapter that exports to a module, or to a module of a folder."
    return min(at[0] for module, at in MODULES.items() if module == name or module.startswith(name + "."))


def test_every_module_has_a_chapter():
    package = root / "lewm_nb"
    files = {".".join(path.relative_to(package).with_suffix("").parts) for path in package.rglob("[a-z]*.py")}
    assert files == MODULES.keys()


@each_module
def test_imports_only_from_chapters_before_it(module):
    for name in imported(module) - {module, module.rpartition(".")[0]}:
        if name.startswith("workbench"): continue
        assert module.partition(".")[0] != "workbench", f"the workbench imports {name}"
        assert first_place(name) < first_place(module), f"{module} imports {name}, which comes later"


@each_module
def test_the_method_imports_no_experiment(module):
    if "." in module and not module.startswith(("worlds.", "rivals.")): return
    assert not [name for name in imported(module) if name.startswith(("experiments", "scale"))]


@pytest.mark.parametrize("module", [m for m in MODULES if "." not in m])
def test_a_module_is_imported_by_its_name(module):
    scope = {}
    exec(f"from lewm_nb import {module} as found", scope)
    assert isinstance(scope["found"], ModuleType)
    assert scope["found"] is importlib.import_module(f"lewm_nb.{module}")


@each_module
def test_a_module_is_short(module):
    code = [line for chapter in BOOK for line in chapter.exports.get(module, "").splitlines()]
    lines = sum(bool(line.strip()) and not re.match(r"#\s*\|", line) for line in code)
    assert lines <= 250


# --- after part 2 no world is named -----------------------------------------------------------------------

def defaults_named_world(code):
    "Default values of parameters and fields called `world`, and of the option --world."
    for node in ast.walk(code):
        if isinstance(node, ast.arguments):
            positional = [*node.posonlyargs, *node.args]
            pairs = [*zip(positional[::-1], node.defaults[::-1]), *zip(node.kwonlyargs, node.kw_defaults)]
            yield from (value for parameter, value in pairs if parameter.arg == "world")
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "world": yield node.value
        if isinstance(node, ast.Call) and any(getattr(a, "value", "") == "--world" for a in node.args):
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "default")


def named_worlds(source):
    "What exported code says of one particular world."
    code = ast.parse(source)
    allowed = {id(value) for value in defaults_named_world(code)}
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lewm_nb.worlds"):
            named = {node.module.rpartition(".")[2], *(alias.name for alias in node.names)} & WORLDS
            yield from (f"line {node.lineno}: imports {world}" for world in named)
        if isinstance(node, ast.Import):
            named = {alias.name.rpartition(".")[2] for alias in node.names} & WORLDS
            yield from (f"line {node.lineno}: imports {world}" for world in named)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in allowed:
            file = re.search(r"\.(json|safetensors|npz|png|gif)$|\b(results|checkpoints)/", node.value)
            named = {world for world in worlds if world in node.value and not file}
            yield from (f"line {node.lineno}: says {world!r}" for world in named)


OF_ONE_WORLD = "54b_gait", "83_published_run" # the search of a gait; the published run
LATER = [c for c in BOOK if c.number >= "30" and c.path.stem not in OF_ONE_WORLD]


@pytest.mark.parametrize("chapter", LATER, ids=lambda c: c.path.stem)
def test_names_no_world(chapter):
    code = [exported for module, exported in chapter.exports.items() if not module.startswith("worlds.")]
    assert [what for exported in code for what in named_worlds(exported)] == []


def test_a_named_world_is_noticed():
    assert len(list(named_worlds("from lewm_nb.worlds.two_room import draw"))) == 1
    assert len(list(named_worlds("def f():\n    from lewm_nb.worlds import two_room"))) == 1
    assert len(list(named_worlds("x = worlds['two_room']"))) == 1
    assert len(list(named_worlds("def f(world='two_room', name='two_room'): pass"))) == 1
    assert not list(named_worlds("from lewm_nb.worlds.world import worlds"))
    assert not list(named_worlds("def f(a, *, world: str = 'two_room'): load('two_room_tiny.safetensors')"))
    assert not list(named_worlds("def f(a, world='two_room', b=1): pass"))
