"""Adaptors of other packages' simulators, on the packages themselves (`make worlds-parity`)."""
import numpy as np
import pytest

pytest.importorskip("dm_control.suite", reason="DM Control is not installed here: make worlds-parity")

from lewm_nb.worlds import find_world  # noqa: E402
from lewm_nb.worlds.suites import dm_control_world, replay_error  # noqa: E402


@pytest.fixture(scope="module")
def world(): return dm_control_world()


def test_the_adaptor_moves_as_the_books_reacher(world):
    book, rng = find_world("reacher"), np.random.default_rng(0)
    states, actions = world.sample(rng, 30), rng.uniform(-1, 1, (30, 2))
    for _ in range(6): states = world.step(states, actions)
    off = abs(book.wrapped(world.step(states, actions)) - book.step(states, actions))
    assert np.minimum(off, abs(2 * np.pi - off)).max() < 1e-6
    assert world.state_names == book.state_names
    assert not world.reached(states, states[::-1]).all() and world.reached(states, states).all()


def test_a_state_says_all(world):
    rng = np.random.default_rng(1)
    error = replay_error(world.simulator, world.sample(rng, 1)[0], rng.uniform(-1, 1, (100, 2)))
    print(f"largest replay error {error:.1e}")
    assert error < 1e-9


def test_starts_are_seeded(world):
    first, again, other = (world.sample(np.random.default_rng(seed), 4) for seed in (0, 0, 1))
    assert (first == again).all() and not (first == other).all()
    assert (first[:, 2:] == 0).all()
