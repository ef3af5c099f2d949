"""Build the site from the notebooks and their saved outputs: python docs/build.py → docs/_site/index.html

Each notebook becomes a page, each module of the library a page of its own, and back-ticked names in the text
link to them. Chapters stand under their parts (docs/parts.py), modules under their folders."""
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

from parts import ROOT, chapters, parts

BUILD, SITE = ROOT / "docs/_build", ROOT / "docs/_site"
DIRECTIVE = re.compile(r"^#\s*\|\s*(\w[\w-]*).*\n?", re.M)


# --- the library ------------------------------------------------------------------------------------------

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
    plain = [p.replace(annotation=p.empty, default=Shown(p.default))
             for p in found.parameters.values() if p.name != "self"]
    return name + str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def cell(text): return str(text).replace("|", "\\|").replace("\n", " ")


def type_name(annotation):
    if annotation in (inspect.Parameter.empty, None): return ""
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"[\w.]*\.(\w+)", r"\1", name)


def about(f):
    "Docstring and a table of what goes in and what comes out, from the comments beside the parameters."
    lines = [inspect.getdoc(f) or "", ""]
    if (f.__doc__ or "").startswith(getattr(f, "__name__", "?") + "("): lines[0] = ""  # a dataclass's own
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
        shown = "" if default is inspect.Parameter.empty else f"`{Shown(default)!r}`"
        rows.append((name, cell(f"`{anno}`" if anno else ""), cell(shown), cell(comment)))
    if any(any(r[1:]) for r in rows):
        lines += ["| | type | default | |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def source(f):
    try: text = inspect.getsource(f)
    except (OSError, TypeError): return ""
    return f"<details><summary>Source</summary>\n\n```python\n{text.rstrip()}\n```\n\n</details>\n"


def assignment(module, name):
    "The line of a module that gives a constant its value."
    text = Path(importlib.import_module(f"lewm_nb.{module}").__file__).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Assign): continue
        if name in [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]:
            return ast.get_source_segment(text, node)


def entry(module, name, value):
    lines = [f"({label(module, name)})=\n## `{name}`\n"]
    if not callable(value): return "\n".join(lines + [f"```python\n{assignment(module, name)}\n```\n"])
    kind = "class " if inspect.isclass(value) else ""
    lines += [f"```python\n{kind}{signature(name, value)}\n```\n", about(value)]
    if inspect.isclass(value):
        for key, member in vars(value).items():
            f = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
            if key.startswith("_") or not inspect.isfunction(f): continue
            lines += [f"({label(module, f'{name}.{key}')})=\n### `{name}.{key}`\n",
                      f"```python\n{signature(key, f)}\n```\n", about(f)]
    return "\n".join(lines + [source(value)])


def described(module):
    "What a module or a folder says of itself."
    return (importlib.import_module(f"lewm_nb.{module}".strip(".")).__doc__ or "").strip().rstrip(".")


def api_page(module, where):
    "A module's page; `where` are the chapters that export to it."
    text = [f"# lewm_nb.{module}\n", described(module) + ".\n",
            f"Explained and tested in {' and '.join(f'[{c.title}](../{c.path.name})' for c in where)}.\n"]
    return "\n".join(text + [entry(module, name, value) for name, value in symbols(module).items()])


def folder_of(module): return module.rpartition(".")[0]


def folder_page(folder, modules):
    "The modules of one folder, each with a line."
    lines = [f"- [`lewm_nb.{m}`]({m}.md): {described(m)}" for m in modules]
    return (f"# {folder_title(folder)}\n\n{described(folder)}.\n\n" + "\n".join(lines)
            + "\n\n```{toctree}\n:hidden:\n:maxdepth: 2\n\n" + "\n".join(modules) + "\n```\n")


def folder_title(folder): return f"lewm_nb.{folder}" if folder else "lewm_nb: the method"


# --- the chapters -----------------------------------------------------------------------------------------

def known_names(nb, own, modules):
    "Names that this notebook defines (in its `own` modules) or imports, and where they are described."
    code, names = "\n".join(c.source for c in nb.cells if c.cell_type == "code"), {}
    for module in sorted(modules, key=lambda m: "." in m):  # `solvers.X` first means the method's
        every = symbols(module)
        imported = re.findall(rf"^from lewm_nb\.{re.escape(module)} import ([^\n(]+|\([^)]*\))", code, re.M)
        used = set(every) if module in own else set(re.findall(r"\w+", " ".join(imported))) & every.keys()
        for name, value in every.items():
            short = module.rpartition(".")[2]
            for full in (f"{module}.{name}", f"{short}.{name}", *([name] if name in used else [])):
                names.setdefault(full, label(module, name))
            if inspect.isclass(value) and name in used:
                methods = [k for k, v in vars(value).items() if not k.startswith("_")
                           and (inspect.isfunction(v) or isinstance(v, (classmethod, staticmethod)))]
                names |= {f"{name}.{k}": label(module, f"{name}.{k}") for k in methods}
    return names


def link_names(text, names):
    "Turn back-ticked names into links, except in code blocks, headings and links."
    apart = r"(^```.*?^```|^#.*?$|\[[^\]]*\]\([^)]*\)|<summary>.*?</summary>)"
    blocks = re.split(apart, text, flags=re.M | re.S)
    def link(m): return f"[`{m[1]}`](#{names[m[1]]})" if m[1] in names else m[0]
    return "".join(b if i % 2 else re.sub(r"(?<!`)`([\w.]+)`(?!`)", link, b) for i, b in enumerate(blocks))


def site_links(text):
    "Links to files lead to their copies on the site, and links to headings are spelt as on the site."
    def spelt(m): return m[1] + re.sub(r"[^-\w ]", "", m[2]).lower() + ")"
    text = re.sub(r"(\]\([\w.]*#)([^)]*)\)", spelt, text)
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
            alt = f"Figure, {heading.rstrip('.?')}. {after}".replace("$", "")
            c.metadata["mystnb"]["image"] = {"alt": alt}


def only_imports(source):
    "Does a cell do nothing but import and choose the style of figures?"
    try: statements = ast.parse(source).body
    except SyntaxError: return False                           # magic
    style, imports = ("plt.style", "plt.rcParams"), (ast.Import, ast.ImportFrom)
    return all(isinstance(s, imports) or ast.unparse(s).startswith(style) for s in statements)


def page(path, modules, names, last=""):
    "A notebook as a source for Sphinx."
    nb, home = nbformat.read(path, 4), path.stem == "index"
    cells = []
    for c in nb.cells:
        c.metadata = nbformat.from_dict({"mystnb": {}})
        if c.cell_type == "markdown":
            c.source = set_apart(site_links(link_names(c.source, names)))
        else:
            directives = set(DIRECTIVE.findall(c.source))
            if directives & {"hide", "default_exp"}: continue
            c.source = DIRECTIVE.sub("", c.source).strip()
            marks = {"exported": {"export", "exports"}, "slow": {"slow"}}
            tags = [tag for tag, when in marks.items() if directives & when]
            if "fold" in directives:
                tags += ["hide-input", "fold"]
                c.metadata["mystnb"]["code_prompt_show"] = "code"
            elif only_imports(c.source): tags.append("hide-input")
            c.metadata["tags"] = ["remove-input"] if home else tags  # home shows what its code makes
            for o in c.outputs:
                if o.output_type == "execute_result": o.execution_count = None
                if text := o.get("data", {}).get("text/markdown"):
                    o.data = {"text/markdown": site_links(link_names(text, names))}
        cells.append(c)
    describe_figures(cells)
    if not home:
        lab = f"http://localhost:8888/lab/tree/nbs/{path.name}"
        links = [*(f"[API of `lewm_nb.{m}`](api/{m}.md)" for m in modules),
                 f'<a href="notebooks/{path.name}" download>download the notebook</a>',
                 f'<a href="{lab}">open it in JupyterLab</a> (while `make lab` runs)']
        head = re.match(r"(# .*\n+> .*)\n*(\*Builds on .*\*$)?([\s\S]*)", cells[0].source, re.M)
        title, needs, rest = head.groups()
        needs = f"{{.needs}}\n{needs}\n\n" if needs else ""
        cells[0].source = f"{title}\n\n{needs}{{.where}}\n{' · '.join(links)}\n\n{rest.strip()}"
    if last: cells.append(nbformat.v4.new_markdown_cell(last))
    nb.cells, nb.metadata = cells, {"kernelspec": nb.metadata.get("kernelspec", {})}
    return nb


def plain(title): return re.sub(r"[`$*<>]", "", title)


def toctree(caption, lines):
    return "\n".join(["```{toctree}", ":hidden:", f':caption: "{caption}"', "", *lines, "```"])


def main():
    for folder in BUILD, SITE: shutil.rmtree(folder, ignore_errors=True)
    for folder in "src/api", "extra/notebooks", "extra/data/results": (BUILD / folder).mkdir(parents=True)
    book = chapters()
    modules, folders = {}, {}
    for chapter in book:
        for module in chapter.exports: modules.setdefault(module, []).append(chapter)
    for module in modules: folders.setdefault(folder_of(module), []).append(module)

    trees = [toctree(name, [f"{c.number} · {plain(c.title)} <{c.path.stem}>" for c in inside])
             for name, _, inside in parts(book)]
    trees.append(toctree("The library", [f"{folder_title(f)} <api/{f or 'index'}>" for f in folders]))
    for path, own in [(c.path, c.exports) for c in book] + [(ROOT / "nbs/index.ipynb", {})]:
        names = known_names(nbformat.read(path, 4), own, modules)
        last = "\n\n".join(trees) if path.stem == "index" else ""
        nbformat.write(page(path, own, names, last), BUILD / "src" / path.name)
        shutil.copy(path, BUILD / "extra/notebooks")
    for file in (ROOT / "data/results").iterdir(): shutil.copy(file, BUILD / "extra/data/results")
    texts = {m: api_page(m, where) for m, where in modules.items()}
    texts |= {f or "index": folder_page(f, inside) for f, inside in folders.items()}
    for name, text in texts.items(): (BUILD / f"src/api/{name}.md").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "docs/conf.py", BUILD / "src")
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    sys.exit(subprocess.run([*sphinx, "-d", BUILD / "doctrees", BUILD / "src", SITE]).returncode)


if __name__ == "__main__": main()
