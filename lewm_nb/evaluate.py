"""How good is it, honestly? Success with a random floor, a ceiling, intervals and three protocols"""
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest
from tqdm.auto import tqdm

from lewm_nb.data import Trajectories
from lewm_nb.envs.two_room import Room, TwoRoomVector, blend, draw, sample
from lewm_nb.envs.two_room import step as move
from lewm_nb.plan import MPC


class Protocol(NamedTuple):
    offset: int # the goal is the state this many steps later in the same episode
    budget: int # environment steps allowed


OFFICIAL, FAR = Protocol(25, 50), Protocol(100, 150)


class Tasks(NamedTuple):
    start: np.ndarray # (N,S)
    goal: np.ndarray  # (N,S)
    solved: int       # how many drawn pairs were left out since the start already satisfied the goal


def draw_tasks(trajs: Trajectories, # held-out episodes
               protocol: Protocol,
               n: int,
               reached,             # (state (N,S), goal (N,S)) → (N,) bool
               seed: int = 0) -> Tasks:
    "Start and goal pairs from the same episode; those that start solved are counted and left out."
    long = np.flatnonzero(trajs.lengths > protocol.offset)
    if not len(long): raise ValueError(f"no episode is longer than the goal offset {protocol.offset}; longest has {trajs.lengths.max()} frames")
    rng, start, goal, solved = np.random.default_rng(seed), [], [], 0
    while len(start) < n:
        episode = trajs.episodes[rng.choice(long)]
        first = trajs.starts[episode] + rng.integers(trajs.starts[episode + 1] - trajs.starts[episode] - protocol.offset)
        s, g = trajs.states[first], trajs.states[first + protocol.offset]
        if reached(s[None], g[None])[0]: solved += 1
        else: start.append(s); goal.append(g)
    return Tasks(np.array(start, float), np.array(goal, float), solved)


class Record(NamedTuple):
    "What happened in every episode."
    tasks: Tasks
    first: np.ndarray # (N,) step of the first arrival, -1 where it never came
    end: np.ndarray   # (N,) bool: inside the radius after the last step
    paths: np.ndarray # (budget+1,N,S)

    @property
    def ever(self): return self.first >= 0


def rate(success: np.ndarray, # (N,) bool
        ) -> dict:            # n, rate, low, high
    "Share of successes with its 95 % Wilson interval."
    k, n = int(np.sum(success)), len(success)
    low, high = binomtest(k, n).proportion_ci(0.95, "wilson")
    return {"n": n, "rate": k / n, "low": float(low), "high": float(high)}


def evaluate(policy, envs, tasks: Tasks, protocol: Protocol, name: str = "evaluate", progress: bool = True) -> Record:
    "Run the policy from every start towards its goal; `terminated` says whether it is there."
    goal_frames, goal_info = envs.reset(options={"state": tasks.goal, "target": tasks.goal})
    if hasattr(policy, "reset"): policy.reset(goal_frames, goal_info)
    frames, info = envs.reset(options={"state": tasks.start, "target": tasks.goal})
    first, paths = np.full(len(tasks.start), -1), [info["state"]]
    for t in tqdm(range(protocol.budget), desc=name, disable=not progress):
        frames, _, there, _, info = envs.step(policy(frames, info))
        first[there & (first < 0)] = t + 1
        paths.append(info["state"])
    return Record(tasks, first, there, np.stack(paths))


class RandomPolicy:
    "Uniform actions: the floor."
    def __init__(self, space, seed: int = 0): self.space, self.rng = space, np.random.default_rng(seed)

    def __call__(self, frames, info): return self.rng.uniform(self.space.low, self.space.high)


class TrueDynamics:
    "The world itself in the place of the model: positions for latents, its own physics for the predictor."
    def __init__(self, room: Room, config, action_std):
        self.room, self.config, self.action_std = room, config, action_std

    def rollout(self, z, actions, past_actions=None):
        B, S, T, _ = actions.shape
        pos, out = z[:, -1].repeat_interleave(S, 0).numpy(), []
        for block in actions.flatten(0, 1).unflatten(-1, (self.config.frameskip, -1)).numpy().swapaxes(0, 1):
            for k in range(self.config.frameskip): pos = move(self.room, pos, block[:, k])
            out.append(pos)
        return torch.from_numpy(np.stack(out, 1)).unflatten(0, (B, S))


class TruePlanner(MPC):
    "Model-predictive control on the true dynamics and the true position: the ceiling for this planner."
    def latents(self, frames, info): return torch.from_numpy(info["state"])


def walking_distance(room: Room,
                     pos: np.ndarray,  # (…,2)
                     goal: np.ndarray, # (…,2)
                    ) -> np.ndarray:   # (…)
    "Length of the way on foot: straight inside a room, by the nearest door from one room to the other."
    across, along = 1 - room.axis, room.axis
    straight = np.linalg.norm(pos - goal, axis=-1)
    doors = np.array([[room.wall, c] if room.axis else [c, room.wall] for c, _ in room.doors])
    legs = np.linalg.norm(pos[..., None, :] - doors, axis=-1) + np.linalg.norm(goal[..., None, :] - doors, axis=-1)
    apart = (pos[..., across] - room.wall) * (goal[..., across] - room.wall) < 0
    return np.where(apart, np.maximum(straight, legs.min(-1)), straight)


def walking_cost(room: Room):  # cost for `CEM`: imagined (B,S,T,2), goal (B,2) → (B,S)
    "Walking distance of the last imagined position: what a planner that knows the map would use."
    return lambda imagined, goal: torch.from_numpy(walking_distance(room, imagined[:, :, -1].numpy(), goal[:, None].numpy()))


@torch.no_grad()
def distance_curve(model, room: Room, edges: np.ndarray, n: int = 1500, seed: int = 0) -> np.ndarray: # mean latent distance per bin
    "Mean latent distance of random pairs of places, by the walking distance between them."
    pos = sample(room, np.random.default_rng(seed), 2 * n)
    z = torch.cat([model.encode(torch.from_numpy(draw(room, p, model.config.image_size)).movedim(-1, -3)[:, None])[:, 0].cpu()
                   for p in np.array_split(pos, 10)])
    latent = (z[:n] - z[n:]).norm(dim=1).numpy()
    which = np.digitize(walking_distance(room, pos[:n], pos[n:]), edges) - 1
    return np.array([latent[which == i].mean() if (which == i).any() else np.nan for i in range(len(edges) - 1)])


def watch(policy: MPC,
          room: Room,
          start: np.ndarray,  # (2,)
          goal: np.ndarray,   # (2,)
          to_position,        # latents (…,D) → positions (…,2), a probe
          budget: int,
          size: int = 128,    # of the pictures
         ) -> np.ndarray:     # (budget+1,size,size,3) uint8
    "Film one episode: the agent, its goal, and where the present plan is imagined to lead."
    envs = TwoRoomVector(1, size=policy.model.config.image_size)
    policy.reset(*envs.reset(options={"state": goal[None], "target": goal[None]}))
    frames, info = envs.reset(options={"state": start[None], "target": goal[None]})
    film, dots = [], np.zeros((0, 2))
    for _ in range(budget + 1):
        picture = draw(room, info["state"], size, goal[None])
        for dot in dots: blend(picture, dot[None], room.radius / 2, (213, 94, 0))
        film.append(picture[0])
        before = policy.plan
        action = policy(frames, info)
        if policy.plan is not before: dots = to_position(policy.imagined[0].cpu()).numpy()
        frames, _, _, _, info = envs.step(action)
    return np.stack(film)
