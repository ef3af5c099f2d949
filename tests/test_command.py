"""`python -m lewm_nb` as a user runs it: its files, its table, and what Ctrl-C leaves"""
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lewm_nb.lewm import LeWM
from lewm_nb.workbench.results import weights_hash

FILES = ["loss.png", "model.json", "model.safetensors", "plan.gif", "result.json"]


def command(out, *words):
    return [sys.executable, "-m", "lewm_nb", "--out", str(out), "--device", "cpu", *words]


def test_small_run_writes_everything(tmp_path):
    words = command(tmp_path / "a" / "b", "--world", "two_room", "--steps", "6",
                    "--goals", "4", "--far-goals", "2")
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "a" / "b"
    assert sorted(p.name for p in out.iterdir()) == FILES
    result = json.loads((out / "result.json").read_text())
    for protocol, n in ("official", 4), ("far", 2):
        rates = result["rates"][protocol]
        for r in (rates["ever"], rates["end"], rates["random"]["ever"], rates["random"]["end"]):
            assert r["n"] == n and 0 <= r["low"] <= r["rate"] <= r["high"] <= 1
    assert result["checkpoint"] == weights_hash(LeWM.load(out / "model.safetensors"))
    assert set(result["seconds"]) == {"collect", "train", "plan", "total"}
    assert sorted(result["probe_r2"]) == ["x", "y"]
    assert {"seed", "config", "versions", "machine"} <= set(result)
    assert "official" in done.stdout and "plan.gif" in done.stdout and "make lab" in done.stdout
    assert "train" in done.stderr                                     # the progress bar
    assert re.search(r"two_room: this will take about \d+ minutes? here", done.stdout)
    assert LeWM.load(out / "model.safetensors").config.image_size == 64


@pytest.mark.parametrize("wait_for, left", [("collect", []), ("train", []),
                                            ("plan", ["model.json", "model.safetensors"])])
def test_interrupt_leaves_nothing_half_written(tmp_path, wait_for, left):
    def heard(): signal.signal(signal.SIGINT, signal.SIG_DFL)         # a shell's background jobs ignore it
    words = ["--steps", "6"] if wait_for == "plan" else []
    process = subprocess.Popen(command(tmp_path, *words), text=True, preexec_fn=heard,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen, start = "", time.time()
    while wait_for not in seen and time.time() - start < 120: seen += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 1 and "interrupted" in rest
    assert sorted(p.name for p in tmp_path.iterdir()) == left


def test_more_tasks_than_there_are_is_said_before_the_training(tmp_path):
    done = subprocess.run(command(tmp_path, "--goals", "20000"), capture_output=True, text=True)
    assert done.returncode == 1 and "expected at most" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr and "train:" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_options():
    text = subprocess.run([sys.executable, "-m", "lewm_nb", "--help"], capture_output=True, text=True).stdout
    assert all(option in text for option in ("--world", "--list", "--seed", "--steps", "--device", "--out"))


def test_worlds_are_listed_and_unknown_ones_refused(tmp_path):
    listed = subprocess.run(command(tmp_path, "--list"), capture_output=True, text=True)
    assert listed.returncode == 0 and "two_room" in listed.stdout
    refused = subprocess.run(command(tmp_path, "--world", "circle"), capture_output=True, text=True)
    assert refused.returncode == 2 and "world is 'circle'; expected one of ['" in refused.stderr
    few = subprocess.run(command(tmp_path, "--goals", "0"), capture_output=True, text=True)
    assert few.returncode == 2 and "--goals is 0; expected 1 or more" in few.stderr


def test_make_results_calls_functions_that_are_there():
    lines = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8").partition("\nresults:")[2]
    commands = re.findall(r'-c "(from lewm_nb\.[^"]+)"', lines)
    assert len(commands) > 5
    for command in commands:
        load, calls = command.split("; ", 1)
        exec(load, names := {})
        assert all(callable(names[call]) for call in re.findall(r"(\w+)\(\)", calls)), command
