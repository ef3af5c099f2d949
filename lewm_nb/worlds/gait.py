import argparse
import time
from functools import partial
from pathlib import Path

import mujoco
import numpy as np
from mujoco import rollout

from lewm_nb.workbench.results import resumed, save_result, write_whole
from lewm_nb.worlds.walker import Gait, WalkerWorld, walker_reward


class CMA:
    "A search that learns the shape of its cloud: `ask` for candidates, `tell` their scores (more is better)."
    def __init__(self, mean: np.ndarray, # (n,) where to begin
                 sigma: float,           # size of the cloud
                 population: int = 20, seed: int = 0):
        n, kept = len(mean), population // 2
        w = np.log(kept + 0.5) - np.log(np.arange(1, kept + 1))
        self.weights, self.population, self.seed = w / w.sum(), population, seed
        m = self.mass = 1 / (self.weights ** 2).sum()           # so many points count, in effect
        self.share_path, self.share_size = (4 + m / n) / (n + 4 + 2 * m / n), (m + 2) / (n + m + 5)
        self.share_one = 2 / ((n + 1.3) ** 2 + m)
        self.share_all = min(1 - self.share_one, 2 * (m - 2 + 1 / m) / ((n + 2) ** 2 + m))
        self.patience = 1 + 2 * max(0, ((m - 1) / (n + 1)) ** 0.5 - 1) + self.share_size
        self.usual = n ** 0.5 * (1 - 1 / (4 * n) + 1 / (21 * n ** 2)) # length of n standard normal numbers
        self.mean, self.sigma, self.cov, self.generation = np.array(mean, float), sigma, np.eye(n), 0
        self.path, self.size_path = np.zeros(n), np.zeros(n)

    def ask(self) -> np.ndarray: # (population,n)
        "Candidates, the same ones until their scores are told."
        values, self.axes = np.linalg.eigh(self.cov)
        self.lengths = np.sqrt(np.maximum(values, 1e-12))
        z = np.random.default_rng([self.seed, self.generation]).normal(size=(self.population, len(self.mean)))
        self.steps = (z * self.lengths) @ self.axes.T
        return self.mean + self.sigma * self.steps

    def tell(self, scores: np.ndarray): # (population,)
        "Move, and reshape the cloud."
        best = self.steps[np.argsort(-np.asarray(scores), kind="stable")[:len(self.weights)]]
        step, m, self.generation = self.weights @ best, self.mass, self.generation + 1
        self.mean = self.mean + self.sigma * step
        a, round_step = self.share_size, self.axes @ ((self.axes.T @ step) / self.lengths)
        self.size_path = (1 - a) * self.size_path + (a * (2 - a) * m) ** 0.5 * round_step
        length = np.linalg.norm(self.size_path) / (1 - (1 - a) ** (2 * self.generation)) ** 0.5
        b, fair = self.share_path, length < (1.4 + 2 / (len(step) + 1)) * self.usual
        self.path = (1 - b) * self.path + fair * (b * (2 - b) * m) ** 0.5 * step
        one, every = np.outer(self.path, self.path), (best.T * self.weights) @ best
        self.cov = ((1 - self.share_one - self.share_all) * self.cov
                    + self.share_one * one + self.share_all * every)
        self.sigma *= np.exp(a / self.patience * (np.linalg.norm(self.size_path) / self.usual - 1))


def _mover(world): # its `step`, with one place to compute in for all steps
    model, place = world.model_of, [mujoco.MjData(world.model_of)]
    def move(states, torques):
        start = np.concatenate([np.zeros((len(states), 1)), states], 1)        # the clock stands first
        commands = np.repeat(np.float64(torques)[:, None], world.substeps, 1)
        found, _ = rollout.rollout(model, place, start, commands, nstep=world.substeps)
        return world.wrapped(found[:, -1, 1:])
    return move


def score(world: WalkerWorld,
          weights: np.ndarray, # (N,64) of gaits
          seed: int,           # of the one state in which all of them begin
          steps: int = 150,    # of the world, 0.05 s each
         ) -> tuple:           # (N,) returns of 1000 at most; world steps that were computed
    "What gaits earn until they fall."
    states = np.repeat(world.sample(np.random.default_rng(seed), 1), len(weights), 0)
    alive, earned, done = np.arange(len(weights)), np.zeros(len(weights)), 0
    policy, move = Gait(weights), _mover(world)
    for _ in range(steps):
        states, done = move(states, policy(None, {"state": states})), done + len(alive)
        earned[alive] += walker_reward(states)
        up = (states[:, 1] > 0.9) & (abs(states[:, 2]) < 1)
        alive, states = alive[up], states[up]
        policy.weights, policy.phase = policy.weights[up], policy.phase[up]
        if not len(alive): break
    return 1000 * earned / steps, done


def first_guess() -> np.ndarray: # (64,) weights of a `Gait`
    "A gait by hand that falls soon."
    legs = np.zeros((21, 3))                        # inputs as in `gait_inputs`; torques of hip, knee, ankle
    legs[:3] = [.15, -.54, .37], [-.05, -.24, -.19], [.07, .28, .33]        # by the clock
    legs[[5, 6, 7], 0] = -1.39, -.81, -.17                                  # by pitch, its spin, speed
    legs[[9, 10, 11], 0] = .33, .6, .24                                     # again, of the leg in the air
    legs[[15, 16, 17], [0, 1, 2]] = -.34, -1.28, -.35                       # springs
    legs[[18, 19, 20], [0, 1, 2]] = -.03, -.02, -.44                        # and their friction
    return np.concatenate([[np.log(5.6)], legs.ravel()])


_CLOUD = "mean", "sigma", "cov", "generation", "path", "size_path" # what changes in a `CMA`


class _Climb: # a search under way: the cloud, the numbers it may change, and the gait they belong to
    def __init__(self, settings, kept=None): # kept: the arrays of `keep`
        self.settings, guess = settings, first_guess() if kept is None else kept["base"]
        self.begin(guess, kept is not None and len(kept["mean"]) == len(guess))
        if kept is None: return
        for name in _CLOUD: setattr(self.cma, name, kept[name] if kept[name].ndim else kept[name].item())

    def begin(self, base, wide):
        sigma, many, seed = (self.settings[name] for name in ("sigma", "population", "seed"))
        self.base, self.free = base, np.arange(len(base)) if wide else np.flatnonzero(first_guess())
        self.cma = CMA(base[self.free], sigma / (1 + wide), many * (1 + wide), 2 * seed + wide)

    def whole(self, part): # (…,free) → (…,64)
        weights = np.tile(self.base, (*part.shape[:-1], 1))
        weights[..., self.free] = part
        return weights

    def generation(self, g, timestep): # → best and mean return, physics steps
        if g == self.settings["widen"]: self.begin(self.whole(self.cma.mean), True)
        world = WalkerWorld(timestep=timestep)
        seed = 10 ** 6 * self.settings["seed"] + g
        earned, done = score(world, self.whole(self.cma.ask()), seed, self.settings["steps"])
        self.cma.tell(earned)
        return earned.max(), earned.mean(), done * world.substeps

    def keep(self, f): np.savez(f, base=self.base, **{k: getattr(self.cma, k) for k in _CLOUD})


def measured(stages: list, # of dictionaries: generation, weights (64,) of a `Gait`
             episodes: int = 6, steps: int = 500, # walks, and their length
            ) -> list:     # the same with returns: one for each walk
    "The returns of gaits in the true world, from starts that the search does not use."
    world, policy = WalkerWorld(), Gait(np.repeat([s["weights"] for s in stages], episodes, 0))
    starts = world.sample(np.random.default_rng(10 ** 9), episodes)
    states, move, earned = np.tile(starts, (len(stages), 1)), _mover(world), 0.
    for _ in range(steps):
        states = move(states, policy(None, {"state": states}))
        earned = earned + 1000 * walker_reward(states) / steps
    return [s | {"returns": r} for s, r in zip(stages, earned.reshape(-1, episodes).round(1).tolist())]


_STAGES = 20, 40, 80, 120, 160, 240, 320, 480, 640, 960 # generations at which a gait is kept


def _stage(g, weights): return {"generation": g, "weights": [float(f"{w:.7g}") for w in weights]}


def search(path: Path = Path("data/results/walker_gait.json"), # made when the search is done
           cache: Path = Path("data/cache"), # folder of what is needed to go on
           end: int = 700, seed: int = 0,    # generations altogether
           refine: int = 600,                # after so many the world is the true one
           widen: int = 30,                  # and after so many all numbers are free
           population: int = 20, sigma: float = 0.08, # candidates, twice as many later; size of the cloud
           steps: int = 150,                 # of a candidate's walk
           episodes: int = 6, length: int = 500, # walks, and their steps, that measure a gait at the end
           progress: bool = True):           # print every tenth generation
    "Find gaits, or go on finding them, and write them with their returns."
    given = dict(seed=seed, widen=widen, population=population, sigma=sigma, steps=steps)
    state, began = Path(cache) / f"{Path(path).stem}.npz", time.perf_counter()
    settings, old = resumed(state.with_suffix(".json"), given)
    old = old or {"seconds": 0, "history": [], "stages": [_stage(0, first_guess())]}
    history, stages, before = old["history"], old["stages"], old["seconds"]
    climb = _Climb(settings, dict(np.load(state)) if history else None)
    command = f"python -m lewm_nb.worlds.gait --end {end} --refine {refine}"
    write = partial(save_result, command=command, seeds=[seed])
    for g in range(len(history) + 1, end + 1):
        timestep = 0.01 if g <= refine else 0.0025
        best, mean, done = climb.generation(g - 1, timestep)
        total = done + (history[-1][1] if history else 0)
        history.append([g, total, round(best, 1), round(mean, 1), timestep])
        if g % 10 and g < end: continue
        if g in (*_STAGES, end): stages.append(_stage(g, climb.whole(climb.cma.mean)))
        if progress: print(f"generation {g}: best {best:.0f}, mean {mean:.0f}", flush=True)
        state.parent.mkdir(parents=True, exist_ok=True)
        write_whole(state, climb.keep)
        found = {"settings": settings, "history": history, "stages": stages}
        write(state.with_suffix(".json"), result=found, seconds=round(before + time.perf_counter() - began))
    found = {"settings": settings, "history": history, "stages": measured(stages, episodes, length)}
    write(path, result=found, seconds=round(before + time.perf_counter() - began))


def main(arguments: list = None): # of the command line
    "`python -m lewm_nb.worlds.gait`: go on with the search of the book."
    parser = argparse.ArgumentParser(description=search.__doc__)
    parser.add_argument("--end", type=int, default=700, help="generations altogether")
    parser.add_argument("--refine", type=int, default=600, help="generations in the coarse world")
    search(**vars(parser.parse_args(arguments)))


#| eval: false
if __name__ == "__main__": main()
