"""The published planner's iteration and ours: the same elites, and how long each takes.

`make parity` runs this; with PARITY_FULL=1 it keeps the times."""

import json
import os

import pytest
import torch

pytest.importorskip(
    "stable_worldmodel", reason="the published implementation is not installed here: make parity"
)
from lewm_nb import official  # noqa: E402
from lewm_nb.lewm import LeWMConfig  # noqa: E402
from lewm_nb.scale.plan_speed import compare_planning, random_model  # noqa: E402

FULL = bool(os.environ.get("PARITY_FULL"))
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


@pytest.mark.parametrize("device", DEVICES)
def test_elites_are_the_same_and_every_way_is_timed(tmp_path, device):
    if FULL:
        torch.set_num_threads(os.cpu_count())
    ours = random_model(LeWMConfig.paper())
    theirs = official.published(ours.config).eval().to(device)
    theirs.load_state_dict(
        official.state_dict(
            ours, "renamed" if "encoder.layers.0.mlp.fc1.weight" in theirs.state_dict() else "released"
        )
    )

    def published(z, z_goal, candidates):  # the cached embeddings are theirs too: no frame is encoded
        def beside(x):
            return x[:, None].expand(1, candidates.shape[1], 1, -1)

        info = {
            "pixels": candidates.new_zeros(1, candidates.shape[1], 1),
            "goal": None,
            "emb": beside(z),
            "goal_emb": beside(z_goal[:, None]),
        }
        return theirs.get_cost(info, candidates)

    path = (
        f"data/results/speed{'' if device == 'cpu' else '_' + device}.json"
        if FULL
        else tmp_path / "speed.json"
    )
    sizes = {} if FULL else dict(num_samples=24, num_iterations=2, num_elites=4)
    compare_planning(
        path,
        ours,
        published,
        sizes,
        repeats=10 if FULL else 1,
        device=device,
        command="make parity PARITY_FULL=1",
    )
    with open(path) as f:
        rows = {row["name"]: row for row in json.load(f)["rows"]}
    assert list(rows)[0] == "published code"
    for name, row in rows.items():
        if device == "cpu" and "bfloat16" not in name:
            assert row["cost_difference"] < 1e-5 and min(row["equal_elites"][:10]) == 1, row
