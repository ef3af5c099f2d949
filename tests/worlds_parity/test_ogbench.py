"""Sizes, bounds and the success test of the book's cube beside OGBench's own (`make worlds-parity`)."""
import gymnasium
import numpy as np
import pytest

pytest.importorskip("ogbench", reason="OGBench is not installed here: make worlds-parity")

from lewm_nb.worlds import find_world  # noqa: E402
from lewm_nb.worlds.cube import CubeWorld  # noqa: E402


@pytest.fixture(scope="module")
def theirs():
    env = gymnasium.make("cube-single-v0").unwrapped
    env.reset(seed=0)
    return env


def test_the_cube_is_theirs(theirs):
    world = find_world("cube")
    model, body = world.model_of, theirs._model.body("object_0")
    ours = model.body("cube")
    assert np.allclose(model.geom("cube").size, theirs._model.geom("object_0").size)
    assert np.allclose(ours.mass, body.mass) and np.allclose(ours.inertia, body.inertia)


def test_places_and_actions_are_theirs(theirs):
    world, wide = find_world("cube"), CubeWorld(span=0.3)
    assert np.allclose(wide.workspace, theirs._workspace_bounds)
    assert np.allclose(wide.table, theirs._object_sampling_bounds)
    assert np.allclose(theirs.control_timestep(), world.substeps * world.model_of.opt.timestep)
    assert theirs.action_space.shape == (world.action_size,)
    state = world.sample(np.random.default_rng(0), 1) # a hand in the middle, half open
    state[0, :6] = *world.workspace.mean(0), 0.2, 0.02, 0.02
    action = np.array([[0.5, -0.5, 0.3, 0.4, -0.2]])
    moved, full = world.controls(state, action)[0], theirs.unnormalize_action(action[0])
    assert np.allclose(moved[:4] - state[0, :4], full[:4])
    assert np.allclose((moved[4:] - 0.02) / 0.04, full[4]) # of the stroke from closed to open


def test_success_is_theirs(theirs):
    world, rng = find_world("cube"), np.random.default_rng(1)
    states, goals = world.sample(rng, 200), world.sample(rng, 200)
    goals[:, 6:9] = states[:, 6:9] + rng.normal(0, 0.025, (200, 3))
    asked = []
    for state, goal in zip(states, goals):
        theirs._data.joint("object_joint_0").qpos[:3] = state[6:9]
        theirs._data.mocap_pos[theirs._cube_target_mocap_ids[0]] = goal[6:9]
        asked += theirs._compute_successes()
    assert 0 < sum(asked) < 200
    assert world.reached(states, goals).tolist() == asked
