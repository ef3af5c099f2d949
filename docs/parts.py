"""The parts of the book, and the map of its chapters: python docs/parts.py writes it into README.md

The first page shows the README's map, and the site groups its pages by it. A part's chapters are those whose
numbers begin with its digit; a part without chapters is not shown."""
import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- the map: python docs/parts.py -->", "<!-- end of the map -->"

PARTS = {  # first digit: title, sentence
    "0": ("Start",
          "The whole model in one sitting, and the symbols and words of the book in one place."),
    "1": ("The idea",
          "Why a model that predicts its own embedding collapses, and SIGReg, the loss that keeps it "
          "from collapsing."),
    "2": ("The world model",
          "From a world and its data to encoder, predictor and training, and to a first look at whether "
          "it works."),
    "3": ("Using it",
          "Search for a plan in the latent space, act by it, and measure honestly how often the goal is "
          "reached."),
    "4": ("Looking inside",
          "The paper's experiments: what a latent knows, what surprises the model, why its paths become "
          "straight, and what it imagines."),
    "5": ("Other worlds",
          "The same book on worlds with momentum, contact, bodies and reward, and on a world of your "
          "own."),
    "6": ("The field",
          "Other world models, made small and faithful, and all of them under one protocol."),
    "7": ("Going further",
          "What the paper leaves open, and the whole way from your own data to a verdict."),
    "8": ("Scale",
          "The published size: its speed, its weights, its training and its costs, measured."),
    "9": ("Workbench",
          "Tools that the chapters use and that a reader may skip: files of results, figures and films, "
          "several processes."),
}


class Chapter(NamedTuple):
    path: Path
    title: str
    line: str      # the one-line description
    cells: list    # (kind, source)

    @property
    def number(self): return self.path.name.partition("_")[0]

    @property
    def exports(self):
        "Module → the code that this chapter exports to it."
        own, code = None, {}
        for kind, source in self.cells:
            if kind != "code": continue
            if found := re.search(r"^#\s*\|\s*default_exp\s+([\w.]+)", source, re.M): own = found[1]
            if found := re.search(r"^#\s*\|\s*export[si]?\b[ \t]*([\w.]*).*\n", source, re.M):
                code.setdefault(found[1] or own, []).append(source)
        return {module: "\n\n".join(sources) for module, sources in code.items()}


def chapters(folder=ROOT / "nbs"):
    "Every chapter, in the order in which they are read."
    found = []
    for path in sorted(Path(folder).glob("[0-9]*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]]
        head = re.match(r"# (.*)\n+> (.*)", cells[0][1])
        if not head:
            raise ValueError(f"{path.name} begins {cells[0][1][:50]!r}; expected # title, then > one line")
        found.append(Chapter(path, *head.groups(), cells))
    return found


def parts(found):
    "(name, sentence, chapters) for each part that has chapters."
    for digit, (title, sentence) in PARTS.items():
        inside = [c for c in found if c.number[0] == digit]
        if inside: yield title if digit == "9" else f"Part {digit}: {title}", sentence, inside


def book_map(found=None):
    "The parts with a sentence each, and under each its chapters, in markdown; links as from the README."
    lines = []
    for name, sentence, inside in parts(found or chapters()):
        rows = [f"- [{c.number} · {c.title}](nbs/{c.path.name}): {c.line}" for c in inside]
        lines += [f"**{name}.** {sentence}", "", *rows, ""]
    return "\n".join(lines).strip()


if __name__ == "__main__":
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n\n{book_map()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
