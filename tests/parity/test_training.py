"""A training step of the published modules and of ours: the same losses, and how long each takes. `make parity` runs this"""
import json
import os
from pathlib import Path

import pytest

pytest.importorskip("stable_worldmodel", reason="the published implementation is not installed here: make parity")
from lewm_nb.paper_scale import PublishedLosses, compare_training  # noqa: E402


def test_losses_are_the_same_and_every_way_is_timed(tmp_path):
    path = Path(os.environ.get("TRAINING_RESULT") or tmp_path / "training_speed.json")
    compare_training(path, PublishedLosses, repeats=7 if "TRAINING_RESULT" in os.environ else 1)   # it refuses losses that differ
    result = json.loads(path.read_text())
    assert {row["name"] for row in result["rows"]} >= {"published", "ours"} and all(row["seconds"] > 0 for row in result["rows"])
    for row in result["rows"]: print(f"{row['name']:14}{row['precision']:10}{row['frames_per_second']:9.1f} frames/s {row['share_of_peak']:.0%} of peak")
