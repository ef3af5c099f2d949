"""A world that the book does not know, with momentum, an angle and something hidden, goes the whole way"""
import numpy as np
import pytest

from lewm_nb import alarm, decode, dream, probe, sanity, straighten
from lewm_nb.evaluate import measure
from lewm_nb.experiments import quickstart
from lewm_nb.worlds.world import Protocol, World, check_world, find_world, register, walks


class Spinner(World):
    "A dot on a ring: a torque turns it, it keeps its speed, and a wind that nobody sees pushes it."
    name, action_size, frameskip, state_names = "spinner", 1, 2, ("angle", "velocity", "wind")
    protocols = {"official": Protocol(8, 24, horizon=4, source="made up for this test")}
    looks = {"blue": {"colour": (0, 0, 255)}}
    model, train = {"history": 3, "image_size": 16}, {"batch_size": 16, "num_projections": 32}

    def sample(self, rng, n):
        angle, velocity = rng.uniform(-np.pi, np.pi, n), rng.normal(0, 0.1, n)
        return np.stack([angle, velocity, rng.choice([-0.03, 0.03], n)], 1)

    def step(self, states, actions):
        velocity = 0.9 * states[:, 1] + 0.2 * np.clip(actions[:, 0], -1, 1) + states[:, 2]
        return np.stack([(states[:, 0] + velocity + np.pi) % (2 * np.pi) - np.pi, velocity, states[:, 2]], 1)

    def draw(self, states, size=64, colour=(255, 0, 0)):
        pixel, angle = np.linspace(-1.3, 1.3, size), states[:, 0, None]
        across, down = (np.exp(-(pixel - part) ** 2 / 0.08) for part in (np.cos(angle), np.sin(angle)))
        dot = (across[:, None, :] * down[:, :, None])[..., None]
        return np.uint8(255 - dot * (255 - np.float32(colour)) + 0.5)

    def apart(self, a, b): return abs((a[..., 0] - b[..., 0] + np.pi) % (2 * np.pi) - np.pi)
    def reached(self, states, goals): return self.apart(states, goals) < 0.2
    def distance(self, a, b): return self.apart(a, b)

    def features(self, states):
        angle, velocity, wind = np.split(states, 3, -1)
        turned = np.concatenate([np.cos(angle), np.sin(angle)], -1)
        return {"angle": turned, "velocity": velocity, "wind": wind}


@pytest.fixture(scope="module")
def world(): return register(Spinner())


@pytest.fixture(scope="module")
def model(world, tmp_path_factory):
    config = quickstart.configs(world, steps=30)[1]
    cache = tmp_path_factory.mktemp("cache")
    return quickstart.trained(world, config, cache=cache, episodes=40, progress=False)


def test_it_is_a_world(world):
    check_world(world)
    assert find_world("spinner") is world
    assert walks(world, 5, 30).states.shape == (5, 31, 3)


def test_quick_start(world, tmp_path):
    _, config = quickstart.configs(world, steps=10)
    short = {"goals": {"official": 8}, "episodes": 40, "device": "cpu", "progress": False}
    result, fitted, _, film = quickstart.run(world, config, **short)
    assert result["rates"]["official"]["n"] == 8
    assert sorted(result["probe_r2"]) == ["angle", "velocity", "wind"]
    assert fitted.config.history == 3 and film.shape == (25, 128, 256 + 128, 3)
    assert "official" in quickstart.table(result)


def test_evaluate(world, model):
    rates, _ = measure(model[0], world, model[3], {"official": 8}, progress=False)
    assert 0 <= rates["official"]["ever"]["rate"] <= 1


def test_surprise(world, model):
    found = alarm.report(model[0].eval(), world, model[3], {"official": 4}, n=12, calm=24)
    assert {"teleport", "frozen", "reversed", "blue"} == set(found["at"])


def test_probe(world, model):
    samples = probe.gather(world, walks(world, 30, 20), stride=4, size=16)
    z, fold = model[0].encode_all(samples.frames), probe.folds(samples.episode)
    rows = probe.compare({"trained": z}, samples.targets, fold, {"linear": probe.ridge})
    assert {"angle", "velocity", "wind", "action"} <= {row["target"] for row in rows}


def test_straightness(world, model):
    lines = straighten.line_straightness(model[0].encode_all, world, (0.2, 0.5), n=20, hold=2, image=16)
    paths = straighten.latent_paths(model[0], model[3], 2, stride=2)
    assert all(-1 <= s <= 1 for s in [*lines, straighten.straightness(paths).item()])


def test_decode_and_dream(world, model):
    drawer = decode.ConvDecoder(model[0].config.latent_dim, 16)
    log = decode.fit_decoder(drawer, model[0].eval(), model[2], steps=60, frames=400, progress=False)
    assert log[-1]["loss"] < log[0]["loss"]
    z, states = sanity.encode_episodes(model[0], model[2], 10)
    features = decode.Features(world, states)
    readers = {"nearest": sanity.nearest_map(z, features(states))}
    errors = dream.open_loop(model[0], world, walks(world, 8, 8), readers, features)
    assert {"nearest", "copy"} <= set(errors) and errors["nearest"].shape == (8, 4)
