"""A training step of the published modules and of ours: the same losses, and how long each takes.

`make parity` runs this; with PARITY_FULL=1 it keeps the times."""

import json
import os
from pathlib import Path

import pytest
import torch

pytest.importorskip(
    "stable_worldmodel", reason="the published implementation is not installed here: make parity"
)
from lewm_nb.lewm import LeWMConfig  # noqa: E402
from lewm_nb.scale.train_speed import PublishedLosses, compare_training  # noqa: E402

FULL = bool(os.environ.get("PARITY_FULL"))
SMALL = dict(
    config=LeWMConfig.paper(image_size=42, encoder_depth=2, predictor_depth=2), batch_size=4, repeats=1
)
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


@pytest.mark.parametrize("device", DEVICES)
def test_losses_are_the_same_and_every_way_is_timed(tmp_path, device):
    if FULL:
        torch.set_num_threads(os.cpu_count())
    path = (
        Path(f"data/results/training_speed{'' if device == 'cpu' else '_' + device}.json")
        if FULL
        else tmp_path / "speed.json"
    )
    compare_training(
        path, PublishedLosses, device=device, **({} if FULL else SMALL)
    )  # it refuses losses that differ
    result = json.loads(path.read_text())
    assert {row["name"] for row in result["rows"]} >= {"published", "ours"} and all(
        row["seconds"] > 0 for row in result["rows"]
    )
