"""A training that is killed, or whose disk is full, goes on to the very same numbers, in processes of its own

The quick version kills three times; `pytest -m slow` kills twenty times."""
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lewm_nb.data import collect
from lewm_nb.worlds.two_room import GoToGoal, Room, TwoRoomVector

root = Path(__file__).resolve().parent.parent
PATHS = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
SETTINGS = ("--steps", "300", "--save-every", "7", "--log-every", "5", "--device", "cpu", "--set",
            "batch_size=8", "num_projections=16", "model.image_size=16", "model.encoder_width=8",
            "model.latent_dim=4", "model.projector_hidden=16")


def start(folder, out, *more, before=""):
    words = f"{before}from lewm_nb.train import main; main()"
    words = [sys.executable, "-c", words, str(folder / "walks"), "--out", str(folder / out), *SETTINGS, *more]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return subprocess.Popen(words, text=True, env=ENVIRONMENT, **pipes)


def finish(process):
    said = process.communicate()[0]
    return process.returncode, said


def numbers(folder):
    history = json.loads((folder / "history.json").read_text())
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stops")
    envs = TwoRoomVector(20, observe="state", terminate=False)
    collect(envs, GoToGoal(Room(), 1., seed=0), folder / "walks", 20, 60, store_frames=False,
            world="two_room", progress=False)
    code, said = finish(start(folder, "whole"))
    assert code == 0, said
    return folder


def killed(folder, out, kills, seed):
    "Kill at random moments after the first checkpoint that it could write; how often it was still alive."
    moments, hits = random.Random(seed), 0
    checkpoint = folder / out / "checkpoint.safetensors"
    while hits < kills:
        was = checkpoint.stat().st_mtime if checkpoint.exists() else 0
        process = start(folder, out, "--resume")
        while process.poll() is None and not (checkpoint.exists() and checkpoint.stat().st_mtime > was):
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
        if process.poll() is not None: break                             # the training has come to its end
        process.send_signal(signal.SIGKILL)
        process.communicate()
        hits += 1
    return hits


def same_end(folder, out):
    code, said = finish(start(folder, out, "--resume"))
    assert code == 0 and "step 300 of 300" in said, said
    assert numbers(folder / out) == numbers(folder / "whole")
    ours, theirs = ((folder / x / "model.safetensors").read_bytes() for x in (out, "whole"))
    assert ours == theirs


def test_killed_three_times(folder):
    assert killed(folder, "three", 3, seed=0) == 3
    same_end(folder, "three")


@pytest.mark.slow
def test_killed_twenty_times(folder):
    hits = 0
    for run in range(10):
        hits += killed(folder, f"twenty{run}", 20 - hits, seed=run)
        same_end(folder, f"twenty{run}")
        if hits == 20: break
    assert hits == 20


def full_disk(size): return f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size})); "


def test_a_full_disk_loses_nothing_that_was_saved(folder):
    assert killed(folder, "full", 1, seed=1) == 1
    checkpoint = folder / "full" / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    code, said = finish(start(folder, "full", "--resume", before=full_disk(len(before) // 2)))
    assert code == 1 and "File too large" in said and f"the last good state is in {checkpoint}" in said, said
    assert checkpoint.read_bytes() == before
    same_end(folder, "full")


def test_a_disk_that_is_full_from_the_start_says_so(folder):
    code, said = finish(start(folder, "never", before=full_disk(1000)))
    assert code == 1 and "step 6: [Errno 27] File too large; no state was saved" in said, said
    assert [p.name for p in (folder / "never").iterdir()] == []


def test_a_folder_that_cannot_be_made_is_refused_before_training(folder):
    (folder / "file").write_text("in the way")
    code, said = finish(start(folder, "file/run"))
    assert code == 2 and "cannot be made: Not a directory" in said, said
