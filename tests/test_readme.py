"""The README says what the notebooks and data/results say"""
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from lewm_nb.evaluate import rate

root = Path(__file__).resolve().parent.parent
readme = (root / "README.md").read_text(encoding="utf-8")


def read(name): return json.loads((root / f"data/results/{name}.json").read_text(encoding="utf-8"))


def percent(r): return f"{100 * r['rate']:.1f} % [{100 * r['low']:.1f}, {100 * r['high']:.1f}]"


def test_results_are_those_of_the_file():
    for result in read("quickstart")["runs"]:
        assert (f"| {result['seed']} | {percent(result['success'])} | {percent(result['strict'])} |"
                f" {percent(result['far'])} |"
                f" {100 * result['random']['rate']:.1f} / {100 * result['strict_random']['rate']:.1f}"
                f" / {100 * result['far_random']['rate']:.1f} % | {min(result['probe_r2']):.4f} |"
                f" {result['seconds']['total']:.0f} s | {result['peak_gb']:.1f} GB |") in readme


def test_fresh_models_are_those_of_the_file():
    rows = [row for run in read("solvers_fresh")["runs"] for row in run["rows"]]
    found, chance = ([one == "1" for row in rows if row["solver"] == name for one in row["far"]]
                     for name in ("MPPI", "random"))
    assert (f"{percent(rate(np.array(found)))} of {len(found)} far goals,"
            f" random actions {100 * np.mean(chance):.1f} %") in readme


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
