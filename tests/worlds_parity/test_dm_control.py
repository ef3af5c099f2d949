"""The book's bodies beside DM Control's: physics and rewards from the same states (`make worlds-parity`)."""
import mujoco
import numpy as np
import pytest

suite = pytest.importorskip("dm_control.suite", reason="DM Control is not installed here: make worlds-parity")

from lewm_nb.worlds import find_world  # noqa: E402

TASKS = {"reacher": ("reacher", "hard"), "cartpole": ("cartpole", "swingup"), "walker": ("walker", "walk")}


def theirs(name, states): # our states → their qpos, qvel
    q, v = np.split(states.copy(), 2, axis=1)
    if name == "walker": # theirs begins with the height above where the body is put, then the way along
        q[:, :2], v[:, :2] = q[:, 1::-1] - [1.3, 0], v[:, 1::-1]
    return q, v


def ours(name, q, v): # the way back
    q, v = q.copy(), v.copy()
    if name == "walker": q[:2], v[:2] = (q[:2] + [1.3, 0])[::-1], v[1::-1].copy()
    return np.concatenate([q, v])


@pytest.fixture(params=TASKS)
def pair(request): # name, our world, their environment, states that a walk of random actions passes, actions
    world, env = find_world(request.param), suite.load(*TASKS[request.param])
    rng = np.random.default_rng(0)
    states, kept = world.sample(rng, 40), []
    for _ in range(8):
        actions = rng.uniform(-1, 1, (40, world.action_size)).astype(np.float32)
        kept.append((states, actions))
        states = world.step(states, actions)
    return request.param, world, env, *(np.concatenate(part) for part in zip(*kept))


def test_physics(pair):
    "One step of the world from every state of the walk."
    name, world, env, states, actions = pair
    model = env.physics.model.ptr
    data, found = mujoco.MjData(model), []
    steps = round(world.substeps * world.timestep / model.opt.timestep)
    for q, v, action in zip(*theirs(name, states), actions):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = q, v, action
        for _ in range(steps): mujoco.mj_step(model, data)
        found.append(ours(name, data.qpos, data.qvel))
    off = abs(world.wrapped(np.array(found)) - world.step(states, actions))
    off = np.minimum(off, abs(2 * np.pi - off))
    print(f"{name}: {len(states)} states, largest difference {off.max():.2e}")
    assert off.max() < 1e-6


def test_reward(pair):
    "The reward of the state in which a physics step ends."
    name, world, env, states, actions = pair
    if world.reward is None: pytest.skip("the book's world pays nothing: it has goals")
    env.reset()
    paid, each = [], world.reward(states, actions) / (2 if name == "walker" else world.substeps)
    for q, v, action in zip(*theirs(name, states), actions):
        with env.physics.reset_context():
            env.physics.data.qpos[:], env.physics.data.qvel[:] = q, v
        env.physics.set_control(action)
        env.physics.forward()
        paid.append(env.task.get_reward(env.physics))
    off = abs(np.array(paid) - each)
    print(f"{name}: {len(states)} states, rewards up to {max(paid):.2f}, largest difference {off.max():.2e}")
    assert off.max() < 1e-6
