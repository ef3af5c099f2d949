"""Several processes train as one: the same losses on the same global batch, by accelerate on the CPU (gloo)

Adam's steps and ReLUs on a blank background magnify rounding. At a learning rate of 1e-3 the convolutional
encoder's losses come apart by 1e-3 within 50 steps if the windows of a batch only change their order, in
one process. So the rates here are low enough for 1e-5 to mean something."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lewm_nb.data import collect
from lewm_nb.worlds.two_room import GoToGoal, Room, TwoRoomVector

root = Path(__file__).resolve().parent.parent
PATHS = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
CASES = {"tiny": (64, 1e-5), "vit": (64, 3e-4)}                           # batch, learning rate

SCRIPT = """import json, sys
import torch
from lewm_nb.data import Trajectories
from lewm_nb.lewm import LeWM, LeWMConfig
from lewm_nb.workbench.distributed import share_batch_norm, this_process
from lewm_nb.step import TrainConfig
from lewm_nb.train import fit

encoder, batch, lr, shared, folder, out = *sys.argv[1:4], sys.argv[4] == "shared", *sys.argv[5:]
batch, lr = int(batch), float(lr)
small = dict(encoder="vit", image_size=32, patch_size=8, encoder_width=32, encoder_depth=3, encoder_heads=2,
             latent_dim=16, history=3)
torch.manual_seed(0)
model = LeWM(LeWMConfig.tiny(**small if encoder == "vit" else {}))
if shared: share_batch_norm(model)                    # PyTorch's own is off by 1e-3 on a CPU, channels last
train, valid = Trajectories(folder, size=model.config.image_size).split(0.9)
config = TrainConfig.tiny(steps=50, batch_size=batch, lr=lr, lam=0.1, num_projections=64)
history = fit(model, train, config, valid, device="cpu", log_every=1, progress=False)[1]
me = this_process("cpu")
if me.rank == 0: json.dump([me.count, history], open(out, "w"))
"""


POISON = """import sys
import torch
from lewm_nb.data import Trajectories
from lewm_nb.lewm import LeWM, LeWMConfig
from lewm_nb.step import TrainConfig
from lewm_nb.train import fit
from lewm_nb.workbench.distributed import this_process

me, (folder, out) = this_process("cpu"), sys.argv[1:]
config = LeWMConfig.tiny(image_size=16, encoder_width=8, latent_dim=4, projector_hidden=16)

def poison(model, row):                                                   # of process 1 alone
    if me.rank == 1 and row["step"] == 2: next(model.parameters()).fill_(float("nan"))

def said(**options):
    torch.manual_seed(0)
    train, settings = Trajectories(folder, size=16), TrainConfig(steps=12, batch_size=8, num_projections=16)
    try: fit(LeWM(config), train, settings, device="cpu", progress=False, **options)
    except (ValueError, FloatingPointError) as e: return str(e)

first, then = said(watch=poison, log_every=2), said(out=folder + "/meta.json/run")
open(f"{out}{me.rank}", "w").write(first + chr(10) + then)
"""


def launch(processes, script, *words):
    options = "--num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0".split()
    several = "-m", "accelerate.commands.launch", "--multi_gpu", *options, "--num_processes", str(processes)
    words = [sys.executable, *(several if processes > 1 else ()), str(script), *map(str, words)]
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


def run(folder, processes, *arguments, name):
    (folder / "run.py").write_text(SCRIPT)
    out = folder / f"{name}.json"
    launch(processes, folder / "run.py", *arguments, folder / "walks", out)
    count, history = json.loads(out.read_text())
    assert count == processes
    return history


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    envs = TwoRoomVector(50, observe="state", terminate=False)
    collect(envs, GoToGoal(Room(), 1., seed=0), folder / "walks", 50, 60, store_frames=False,
            world="two_room", progress=False)
    return folder


def apart(ours, theirs, key): return max(abs(a[key] - b[key]) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("encoder", CASES)
def test_two_processes_lose_what_one_loses(folder, encoder):
    one = run(folder, 1, encoder, *CASES[encoder], "shared", name="one")
    two = run(folder, 2, encoder, *CASES[encoder], "shared", name="two")
    assert len(one) == 50 and one[0]["loss"] - one[-1]["loss"] > 0.01
    for key in "loss", "prediction": assert apart(one, two, key) <= 1e-5, key
    for key in "sigreg", "latent_std", "grad_norm", "valid_prediction":
        assert apart(one, two, key) <= 1e-3, key


def test_three_processes_share_63_windows(folder): # at a rate that magnifies their rounding less
    one, three = (run(folder, n, "vit", 63, 3e-5, "shared", name="63") for n in (1, 3))
    for key in "loss", "prediction": assert apart(one, three, key) <= 1e-5, key


def test_a_batch_that_cannot_be_shared_equally_is_refused(folder):
    with pytest.raises(AssertionError, match="batch_size is 63; expected a multiple of 2, its processes"):
        run(folder, 2, "vit", 63, 3e-4, "shared", name="unequal")


def test_what_stops_one_process_stops_both(folder):
    (folder / "poison.py").write_text(POISON)
    launch(2, folder / "poison.py", folder / "walks", folder / "said")
    (bad, refused), (also, told) = ((folder / f"said{rank}").read_text().splitlines() for rank in (0, 1))
    assert bad == also and ("not a finite number" in bad or "holds NaN" in bad) # the loop says so, or SIGReg
    assert "cannot be made: Not a directory" in refused and told == "process 0 stopped; its message says why"
