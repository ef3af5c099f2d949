"""Build the site from the notebooks and their saved outputs: python docs/build.py → docs/_site/index.html

Each notebook becomes a page, each module of the library a page of its own, and back-ticked names in the text link to them."""
import ast
import html
import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from fastcore.docments import docments

ROOT = Path(__file__).resolve().parent.parent
BUILD, SITE = ROOT / "docs/_build", ROOT / "docs/_site"
PARTS = {"0": "Before you start", "idea": "The idea", "1": "The world model", "2": "Using it", "3": "Looking inside", "4": "Other worlds",
         "5": "The field", "6": "Further"}
DIRECTIVE = re.compile(r"^#\s*\|\s*(\w[\w-]*)(?::\s*(.*))?\n?", re.M)


def part(name):
    return "idea" if name[0] == "0" and not name.startswith("00") else name[0]


def module_of(nb):
    "The module that a notebook exports to, or None."
    found = re.search(r"^#\s*\|\s*default_exp\s+([\w.]+)", "\n".join(c.source for c in nb.cells if c.cell_type == "code"), re.M)
    return found and found.group(1)


# --- the library -----------------------------------------------------------------------------------------------------------------

def symbols(module):
    "Public classes and functions of a module, in the order of their chapter."
    own = importlib.import_module(f"lewm_nb.{module}")
    return {name: getattr(own, name) for name in own.__all__}


def label(module, name):
    "An anchor; anchors do not tell `Windows` from `windows`, so a capital gets a mark of its own."
    return re.sub("[A-Z]", lambda m: "_" + m[0].lower(), f"api-{module}-{name}".replace(".", "-"))


class Shown:
    "A default as a page shows it: whole where it is short."
    def __new__(cls, value): return super().__new__(cls) if len(repr(value)) > 400 else value
    def __repr__(self): return "..."


def signature(name, f):
    "A call without annotations: those stand in the table."
    try: found = inspect.signature(f)
    except (ValueError, TypeError): return name
    plain = [p.replace(annotation=p.empty, default=Shown(p.default)) for p in found.parameters.values() if p.name != "self"]
    return name + str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def cell(text): return str(text).replace("|", "\\|").replace("\n", " ")


def type_name(annotation):
    if annotation in (inspect.Parameter.empty, None): return ""
    return re.sub(r"[\w.]*\.(\w+)", r"\1", annotation.__name__ if isinstance(annotation, type) else str(annotation))


def about(f):
    "Docstring and a table of what goes in and what comes out, from the comments beside the parameters."
    lines = [inspect.getdoc(f) or "", ""]
    if f.__doc__ and f.__doc__.startswith(getattr(f, "__name__", "?") + "("): lines[0] = ""    # a dataclass without a docstring
    rows = []
    try: found = docments(f, full=True, returns=True)
    except Exception: found = {}
    for name, info in found.items():
        if name in ("self", "cls"): continue
        anno, default, comment = type_name(info.anno), info.default, info.docment or ""
        if name == "return":
            if not (anno or comment): continue
            name, default = "**returns**", inspect.Parameter.empty
        else: name = f"`{name}`"
        rows.append((name, f"`{anno}`" if anno else "", "" if default is inspect.Parameter.empty else f"`{Shown(default)!r}`", cell(comment)))
    if any(any(r[1:]) for r in rows):
        lines += ["| | type | default | |", "|---|---|---|---|"] + [f"| {a} | {cell(b)} | {cell(c)} | {d} |" for a, b, c, d in rows]
    return "\n".join(lines) + "\n"


def source(f):
    try: text = inspect.getsource(f)
    except (OSError, TypeError): return ""
    return f"<details><summary>Source</summary>\n\n```python\n{text.rstrip()}\n```\n\n</details>\n"


def assignment(module, name):
    "The line of a module that gives a constant its value."
    text = Path(importlib.import_module(f"lewm_nb.{module}").__file__).read_text()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and name in [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]:
            return ast.get_source_segment(text, node)


def entry(module, name, value):
    lines = [f"({label(module, name)})=\n## `{name}`\n"]
    if not callable(value): return "\n".join(lines + [f"```python\n{assignment(module, name)}\n```\n"])
    lines += [f"```python\n{'class ' if inspect.isclass(value) else ''}{signature(name, value)}\n```\n", about(value)]
    if inspect.isclass(value):
        for key, member in vars(value).items():
            f = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            if key.startswith("_") or not inspect.isfunction(f): continue
            lines += [f"({label(module, f'{name}.{key}')})=\n### `{name}.{key}`\n",
                      f"```python\n{signature(key, f)}\n```\n", about(f)]
    return "\n".join(lines + [source(value)])


def api_page(module, chapter, title):
    text = [f"# lewm_nb.{module}\n", (importlib.import_module(f"lewm_nb.{module}").__doc__ or "").strip() + ".\n",
            f"Explained and tested in [{title}](../{chapter}.ipynb).\n"]
    return "\n".join(text + [entry(module, name, value) for name, value in symbols(module).items()])


# --- the chapters ----------------------------------------------------------------------------------------------------------------

def known_names(nb, modules):
    "Names that this notebook defines or imports from the library, and where they are described."
    code, names = "\n".join(c.source for c in nb.cells if c.cell_type == "code"), {}
    for module in modules:
        every = symbols(module)
        imported = re.findall(rf"^from lewm_nb\.{re.escape(module)} import ([^\n(]+|\([^)]*\))", code, re.M)
        used = set(re.findall(r"\w+", " ".join(imported))) & every.keys()
        if module == module_of(nb): used = set(every)
        for name, value in every.items():
            targets = {f"{module}.{name}": label(module, name)} | ({name: label(module, name)} if name in used else {})
            if inspect.isclass(value) and name in used:
                targets |= {f"{name}.{k}": label(module, f"{name}.{k}") for k, v in vars(value).items()
                            if not k.startswith("_") and (inspect.isfunction(v) or isinstance(v, (classmethod, staticmethod)))}
            names |= targets
    return names


def link_names(text, names):
    "Turn back-ticked names into links, except in code blocks, headings and links."
    blocks = re.split(r"(^```.*?^```|^#.*?$|\[[^\]]*\]\([^)]*\)|<summary>.*?</summary>)", text, flags=re.M | re.S)
    def link(m): return f"[`{m[1]}`](#{names[m[1]]})" if m[1] in names else m[0]
    return "".join(b if i % 2 else re.sub(r"(?<!`)`([\w.]+)`(?!`)", link, b) for i, b in enumerate(blocks))


def site_links(text):
    "Links to files lead to their copies on the site, and links to headings are spelt as on the site."
    text = re.sub(r"(\]\([\w.]*#)([^)]*)\)", lambda m: m[1] + re.sub(r"[^-\w ]", "", m[2]).lower() + ")", text)
    return re.sub(r"\[([^\]]*)\]\(\.\./(data/[^)]*)\)", lambda m: f'<a href="{m[2]}">{m[1]}</a>', text)


def set_apart(text):
    "Displayed formulas in paragraphs of their own, where MyST looks for them."
    return re.sub(r"^(\$\$.+?\$\$)[ ]*$", r"\n\1\n", text, flags=re.M | re.S)


def first_sentence(text):
    text = re.sub(r"\$\$.*?\$\$|<[^>]*>|^#.*$|[*`>|]", "", text, flags=re.M | re.S)
    text = " ".join(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).split())
    return html.escape((re.match(r".*?[.:?!](?=\s|$)", text) or [text])[0][:240])


def describe_figures(cells):
    "Alternative text for every picture: its section, and what the text after it says first."
    heading = ""
    for i, c in enumerate(cells):
        if c.cell_type == "markdown": heading = (re.findall(r"^#+ (.*)$", c.source, re.M) or [heading])[-1]
        elif any("image/png" in o.get("data", {}) for o in c.get("outputs", [])):
            after = next((first_sentence(d.source) for d in cells[i + 1:] if d.cell_type == "markdown"), "")
            c.metadata["mystnb"] = {"image": {"alt": f"Figure, {heading}. {after}".replace("$", "")}}


def only_imports(source):
    "Does a cell do nothing but import and choose the style of figures?"
    try: statements = ast.parse(source).body
    except SyntaxError: return False                           # magic
    return all(isinstance(s, (ast.Import, ast.ImportFrom)) or ast.unparse(s).startswith("plt.") for s in statements)


def page(path, module, names, last):
    "A notebook as a source for Sphinx."
    nb = nbformat.read(path, 4)
    cells = []
    for c in nb.cells:
        c.metadata = nbformat.from_dict({})
        if c.cell_type == "markdown":
            c.source = set_apart(site_links(link_names(c.source, names)))
        else:
            directives = {m[0] for m in DIRECTIVE.findall(c.source)}
            if directives & {"hide", "default_exp"}: continue
            c.source = DIRECTIVE.sub("", c.source).strip()
            c.metadata["tags"] = [tag for tag, when in (("exported", {"export", "exports"}), ("slow", {"slow"})) if directives & when]
            if only_imports(c.source): c.metadata["tags"].append("hide-input")
            if not module: c.metadata["tags"] = ["remove-input"]                                # the home page shows what its code makes
            for o in c.outputs:
                if o.output_type == "execute_result": o.execution_count = None
                if "text/markdown" in o.get("data", {}): o.data = {"text/markdown": site_links(link_names(o.data["text/markdown"], names))}
        cells.append(c)
    describe_figures(cells)
    if module:
        links = [f"[API of `lewm_nb.{module}`](api/{module}.md)", f'<a href="notebooks/{path.name}" download>download the notebook</a>',
                 f'<a href="http://localhost:8888/lab/tree/nbs/{path.name}">open it in JupyterLab</a> (while `make lab` runs)']
        title, rest = re.match(r"(# .*\n+> .*\n?)(.*)", cells[0].source, re.S).groups()
        cells[0].source = f"{title}\n\n{{.where}}\n{' · '.join(links)}\n\n{rest}"
    if last: cells.append(nbformat.v4.new_markdown_cell(last))
    nb.cells, nb.metadata = cells, {"kernelspec": nb.metadata.get("kernelspec", {})}
    return nb


def toctrees(chapters, modules):
    groups = {}
    for name in chapters: groups.setdefault(PARTS[part(name)], []).append(name)
    groups["Reference"] = ["api/index"]
    return "\n\n".join(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```" for caption, names in groups.items())


def main():
    for folder in BUILD, SITE: shutil.rmtree(folder, ignore_errors=True)
    for folder in "src/api", "extra/notebooks", "extra/data/results": (BUILD / folder).mkdir(parents=True)
    paths = sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
    notebooks = {p.stem: nbformat.read(p, 4) for p in paths}
    modules = {module_of(nb): name for name, nb in notebooks.items() if module_of(nb)}
    for path in [*paths, ROOT / "nbs/index.ipynb"]:
        nb = notebooks.get(path.stem) or nbformat.read(path, 4)
        last = toctrees(notebooks, modules) if path.stem == "index" else None
        nbformat.write(page(path, module_of(nb), known_names(nb, modules), last), BUILD / "src" / path.name)
        shutil.copy(path, BUILD / "extra/notebooks")
    for file in (ROOT / "data/results").iterdir(): shutil.copy(file, BUILD / "extra/data/results")
    titles = {name: re.match(r"# (.*)", nb.cells[0].source)[1] for name, nb in notebooks.items()}
    for module, chapter in modules.items(): (BUILD / f"src/api/{module}.md").write_text(api_page(module, chapter, titles[chapter]))
    (BUILD / "src/api/index.md").write_text("# The library, module by module\n\nEvery public name, from the comments beside its parameters.\n\n"
                                            "```{toctree}\n:maxdepth: 2\n\n" + "\n".join(modules) + "\n```\n")
    shutil.copy(ROOT / "docs/conf.py", BUILD / "src")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(BUILD / "doctrees"), str(BUILD / "src"), str(SITE)]
    sys.exit(subprocess.run(command).returncode)


if __name__ == "__main__": main()
