"""The README says what the notebooks and data/results say"""
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from lewm_nb.workbench.results import over_seeds

root = Path(__file__).resolve().parent.parent
readme = (root / "README.md").read_text(encoding="utf-8")


def read(name): return json.loads((root / f"data/results/{name}.json").read_text(encoding="utf-8"))


READINGS = {"official": ("official", "ever"), "strict": ("official", "end"), "far": ("far", "ever"),
            "far, at the end": ("far", "end")}


def fresh(): # seeds that had no part in a choice
    return [run for run in read("quickstart")["runs"] if run["seed"] >= 3]


def results_lines():
    "The table of results."
    yield (f"| protocol | success, {len(fresh())} models | random | each model | goals each |\n"
           "|---|---|---|---|---|")
    for label, (name, reading) in READINGS.items():
        rates = [run["rates"][name] for run in fresh()]
        r = over_seeds([one[reading]["rate"] for one in rates], rates[0]["n"])
        chance = np.mean([one["random"][reading]["rate"] for one in rates])
        yield (f"| {label} | {100 * r['rate']:.1f} % [{100 * r['low']:.1f}, {100 * r['high']:.1f}] |"
               f" {100 * chance:.1f} % |"
               f" {' · '.join(f'{100 * x:.0f}' for x in r['seeds'])} | {r['n']} |")
    lowest = min(value for run in fresh() for axis in run["probe_r2"].values() for value in axis)
    yield (f"| position read from z by a linear map, R² | {lowest:.4f} or more | | | |\n"
           f"| memory, GB | {max(run['peak_gb'] for run in fresh()):.1f} or less | | | |")


def spent_line():
    "The row of the machine in the quick start's table."
    quiet = read("quickstart_quiet")["runs"] # on a machine that did nothing else
    def minutes(part): return np.mean([run["seconds"][part] for run in quiet]) / 60
    official = 100 * np.mean([run["rates"]["official"]["ever"]["rate"] for run in fresh()])
    return (f"| 2 shared x86_64 cores, no GPU (measured) | {minutes('total'):.1f} min |"
            f" {minutes('train'):.1f} min | {minutes('plan'):.1f} min | {official:.0f} % |")


def test_results_are_those_of_the_file():
    for line in [*results_lines(), spent_line()]: assert line in readme


def test_ways_to_ask_are_those_of_the_file():
    ways = {name: f"{100 * way['ever']['rate']:.0f} %" for name, way in
            read("reacher_planners")["protocols"]["official"]["planners"].items()}
    published, best = "last cost, 1 frame, whole plan, to 0.5", "mean cost, 3 frames, every 1, to 0.1"
    told = f"reaches {ways[published]} if it is asked in the published way, and {ways[best]} with three"
    assert told in readme
    assert f"random actions reach {ways['random']} (" in readme


def world_lines():
    "The table of the other worlds."
    def told(middle, r, unit):
        most = 100 if unit == 100 else 1000                           # what can be reached
        wide = f" [{unit * r['low']:.0f}, {min(most, unit * r['high']):.0f}]" * (len(r["seeds"]) > 2)
        return f"{unit * middle:.0f}{wide}"

    def percent(r): return told(r["rate"], r, 100)

    for name, row in read("worlds")["worlds"].items():
        if name == "two_room": continue
        spent = f"{len(row['seeds'])} | {row['training_seconds']['mean'] / 60:.0f} min |"
        if "success" in row:
            yield (f"| {name} | official success | {percent(row['success'])} % | {percent(row['end'])} % |"
                   f" {100 * row['random']['rate']:.0f} % | {spent}")
        if "return" in row:
            paid = row["return"]
            for who in [name for name in ("model", "habit") if name in paid]:
                yield (f"| {name}, {who} | return of 1000 | {told(paid[who]['mean'], paid[who], 1)} | |"
                       f" {paid['random']['mean']:.0f} | {spent}")


def test_worlds_are_those_of_the_file():
    for line in world_lines(): assert line in readme


def test_speeds_are_those_of_the_files():
    ms = {row["name"]: row["ms"] for row in read("speed")["rows"]}
    published = ms["published code"]
    assert (f"| {published:.0f} ms | {ms['kept, packed']:.0f} ms, {published / ms['kept, packed']:.1f}× |"
            f" {ms['kept, bfloat16']:.0f} ms, {published / ms['kept, bfloat16']:.1f}× |") in readme
    rows = read("training_speed")["rows"]
    fps = {(row["name"], row["precision"]): row["frames_per_second"] for row in rows}
    theirs, ours = fps["published", "float32"], fps["ours, oneDNN", "float32"]
    theirs_half, half = fps["published", "bfloat16"], fps["ours", "bfloat16"]
    assert (f"(published code in bfloat16: {theirs_half:.1f}) | {theirs:.1f} |"
            f" {ours:.1f}, {ours / theirs:.1f}× |"
            f" {half:.1f}, {half / theirs_half:.1f}× of the same |") in readme


def test_every_local_link_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", readme) + re.findall(r'src="([^"]+)"', readme):
        assert (root / target).exists(), target


def test_the_pieces_run_as_printed(tmp_path):
    code = re.search(r"```python\n(.*?)```", readme, re.S).group(1)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
