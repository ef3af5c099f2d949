from dataclasses import dataclass, replace

import gymnasium as gym
import numpy as np

from lewm_nb.workbench.results import read_result
from lewm_nb.worlds.bodies import Body
from lewm_nb.worlds.world import Break, SmoothRandom, World, WorldEnv, WorldEnvs, stream


_LEG = """<body pos="0 {y} -.3"><joint name="{side} hip" range="-20 100"/>
      <geom name="{side} thigh" fromto="0 0 0 0 0 -.45" size=".05" rgba="{rgba}"/>
      <body pos="0 0 -.45"><joint name="{side} knee" range="-150 0"/>
        <geom name="{side} leg" fromto="0 0 0 0 0 -.5" size=".04" rgba="{rgba}"/>
        <body pos="0 0 -.5"><joint name="{side} ankle" range="-45 45"/>
          <geom name="{side} foot" fromto="-.04 0 0 .16 0 0" size=".05" rgba="{rgba}"/>
        </body></body></body>"""
_MOTORS = """<motor joint="{side} hip" gear="100"/><motor joint="{side} knee" gear="50"/>
    <motor joint="{side} ankle" gear="20"/>"""
_RIGHT = {"side": "right", "y": -.05, "rgba": ".9 .35 .1 1"}
_LEFT = {"side": "left", "y": .05, "rgba": ".1 .4 .8 1"}
WALKER = f"""<mujoco model="walker">
  <option timestep="{{timestep}}" gravity="0 0 -{{gravity}}"/>
  <default>
    <joint axis="0 -1 0" damping="{{damping}}" armature=".01" limited="true" solimplimit="0 .99 .01"/>
    <geom type="capsule" contype="1" conaffinity="0" friction=".7 .1 .1"/><motor ctrlrange="-1 1"/>
    <default class="trunk"><joint axis="0 1 0" damping="0" armature="0" limited="false"/></default>
  </default>
  <worldbody>
    <geom name="floor" type="plane" size="500 1.2 1" conaffinity="1" rgba=".86 .86 .8 1"/>
    <body name="trunk" pos="0 0 1.3">
      <camera name="side" pos="0 -2.7 .15" xyaxes="1 0 0 0 .12 1" mode="trackcom"/>
      <joint class="trunk" name="along" type="slide" axis="1 0 0"/>
      <joint class="trunk" name="height" type="slide" axis="0 0 1" ref="1.3"/>
      <joint class="trunk" name="pitch"/>
      <geom name="torso" fromto="0 0 -.3 0 0 .3" size=".07" rgba=".35 .35 .4 1"/>
      {_LEG.format(**_RIGHT)}
      {_LEG.format(**_LEFT)}
    </body>
  </worldbody>
  <actuator>{_MOTORS.format(**_RIGHT)}{_MOTORS.format(**_LEFT)}</actuator>
</mujoco>"""


_TORSO, _THIGH, _SHANK, _FOOT = (1000 * np.pi * r ** 2 * (length + 4 / 3 * r) # kg
                                 for length, r in ((.6, .07), (.45, .05), (.5, .04), (.2, .05)))
_ALL = _TORSO + 2 * (_THIGH + _SHANK + _FOOT)
_ARMS = np.array([-.225 * _THIGH - .45 * (_SHANK + _FOOT), -.25 * _SHANK - .5 * _FOOT, 0]) / _ALL # m, upwards
_FORWARD = np.array([0, 0, .06 * _FOOT]) / _ALL


def centre_speed(states: np.ndarray, # (…,18)
                ) -> np.ndarray:     # (…,) m/s
    "How fast the centre of mass moves along the floor."
    states = np.asarray(states, float)
    bends = np.cumsum(states[..., 3:].reshape(*states.shape[:-1], 5, 3), -1) # of the legs; spins at rows 3, 4
    angle, spin = states[..., [2], None] - bends[..., :2, :], states[..., [11], None] - bends[..., 3:, :]
    legs = (spin * (_ARMS * np.cos(angle) - _FORWARD * np.sin(angle))).sum((-2, -1))
    return states[..., 9] - 0.3 * (1 - _TORSO / _ALL) * states[..., 11] * np.cos(states[..., 2]) + legs


def walker_reward(states: np.ndarray, # (…,18)
                 ) -> np.ndarray:     # (…,) from 0 to 1
    "DM Control's reward for walking: high, upright, and at 1 m/s or faster."
    states = np.asarray(states, float)
    low = np.maximum(0, (1.2 - states[..., 1]) / 0.6)
    stand = (3 * 0.1 ** low ** 2 + (1 + np.cos(states[..., 2])) / 2) / 4
    return stand * (1 + 5 * np.clip(centre_speed(states), 0, 1)) / 6


def returns(states: np.ndarray, # (…,L+1,18) of walks
           ) -> np.ndarray:     # (…,) from 0 to 1000
    "Sum of rewards in DM Control's units: 1000 control steps of 0.025 s, however long the walks are."
    return 1000 * walker_reward(states)[..., 1:].mean(-1)


def _elsewhere(world, states, rng): # another pose and other speeds, at the same place
    return np.concatenate([states[:, :1], world.sample(rng, len(states))[:, 1:]], 1)


def _slower(states, by): return states - by * (np.arange(18) == 9)


BREAKS = {"teleport": Break(jump=_elsewhere),
          "halt": Break(jump=lambda world, states, rng: states * (np.arange(18) < 9)),
          "shove": Break(jump=lambda world, states, rng: _slower(states, 2.)),
          "weightless": Break(rule=lambda world, *given: replace(world, gravity=0.).step(*given))}


@dataclass(frozen=True, repr=False)
class WalkerWorld(Body):
    "A trunk on two legs, seen from the side; torques at hips, knees and ankles."
    timestep: float = 0.0025  # seconds in one physics step, of which 0.05 s are one step of the world
    gravity: float = 9.81     # m/s²
    damping: float = 0.1      # N m against a joint's turning, at 1 rad/s
    start: str = "standing"   # or "anyhow", as in DM Control
    name, checker, background = "walker", 0.5, (205, 225, 245)
    frameskip, protocols = 2, {}
    episodes, episode_steps = 500, 200
    looks = {"recoloured": {"torso": (150, 60, 190)}, "tinted": {"floor": (255, 225, 180)},
             "brighter": {"light": 1.2}, "dimmer": {"light": 0.7}}
    model = {"history": 3}
    xml = property(lambda self: WALKER.format(**vars(self)))
    substeps = property(lambda self: round(0.05 / self.timestep))
    breaks = property(lambda self: super().breaks | BREAKS)

    def sample(self, rng, n):
        "Standing, with small random bends and speeds; or in any pose at the height of standing, at rest."
        if self.start not in ("standing", "anyhow"):
            raise ValueError(f"start is {self.start!r}; expected 'standing' or 'anyhow'")
        if self.start == "anyhow": return super().sample(rng, n)
        spread = np.array([0, 0, .05] + [.05] * 6 + [.1] * 9)
        states = self.rest(n) + rng.normal(size=(n, 18)) * spread
        states[:, [4, 7]] = -abs(states[:, [4, 7]])         # knees bend backwards only
        return states

    def features(self, states):
        "All but the place along the floor, which cannot be seen."
        return {name: x for name, x in super().features(states).items() if name != "along"}

    def reward(self, states, actions=None): return walker_reward(states)
    def behaviour(self, seed=0, noise=1.): return Mixture(self, seed, noise)
    def expert(self, seed=0): return Gait(_ranked()[-1]["weights"])

    def random_look(self, rng, n):
        "The parts in any colours, and more or less light."
        legs = (f"{side} {part}" for side in ("right", "left") for part in ("thigh", "leg", "foot"))
        colours = {name: rng.uniform(0, 255, (n, 3)) for name in ("torso", *legs)}
        return colours | {"floor": rng.uniform(150, 255, (n, 3)), "light": rng.uniform(0.7, 1.2, n)}

    def __repr__(self):
        other = (f", {k}={v!r}" for k, v in vars(self).items() if v != getattr(WalkerWorld, k))
        return f"WalkerWorld({self.name!r}{''.join(other)})"


def gait_inputs(states: np.ndarray, # (N,18)
                phase: np.ndarray,  # (N,) of the clock, radians
               ) -> np.ndarray:     # (N,2,21) for the right and the left leg
    "What a leg's torques are computed from."
    height, pitch, spin, speed = states[:, 1], states[:, 2], states[:, 11], centre_speed(states)
    body = np.stack([pitch, spin / 5, speed - 1, 2 * (height - 1.25)], -1)
    found = []
    for first, f in (3, phase), (6, phase + np.pi):
        clock = np.stack([np.ones_like(f), np.cos(f), np.sin(f), np.cos(2 * f), np.sin(2 * f)], -1)
        own = np.concatenate([states[:, first:first + 3], states[:, 9 + first:12 + first] / 10], -1)
        timed = [body[:, :3] * clock[:, k:k + 1] for k in (1, 2)]
        found.append(np.concatenate([clock, body, *timed, own], -1))
    return np.stack(found, 1)


class Gait:
    "Torques from a clock and the state, by the same weights for both legs."
    def __init__(self, weights: np.ndarray): # (64,) or (N,64): log of the clock's speed in rad/s, then (21,3)
        self.weights, self.phase = np.atleast_2d(np.asarray(weights, float)), None

    def __call__(self, observation, info: dict) -> np.ndarray: # with `state`, (N,18) → (N,6) float32
        states, legs = info["state"], self.weights[:, 1:].reshape(-1, 21, 3)
        if self.phase is None or len(self.phase) != len(states): self.phase = np.zeros(len(states))
        torques = (gait_inputs(states, self.phase) @ legs).reshape(-1, 6)
        self.phase = self.phase + 0.05 * np.exp(self.weights[:, 0])
        return np.clip(torques, -1, 1).astype(np.float32)


def stages() -> list: # of dictionaries: generation, weights, returns
    "The gaits that the search of chapter 54b kept, from the first guess to the best."
    return read_result("walker_gait")["stages"]


def _ranked(): return sorted(stages(), key=lambda s: np.mean(s["returns"]))


SHARES = {"best gait": 0.4, "earlier gait": 0.35, "random": 0.25} # of the walkers


class Mixture:
    "Walkers of three kinds: the best gait or an earlier one, with some noise, or random torques alone."
    def __init__(self, world: World, seed: int = 0,
                 noise: float = 1.): # scales all random torques; 0: there are none
        self.rng, self.kind = stream(seed, 2), np.array([])
        self.random = SmoothRandom(world, seed, noise)
        self.weights = np.array([s["weights"] for s in _ranked()])

    def _choose(self, n): # a kind and a size of the noise for each walker
        self.kind = self.rng.choice([*SHARES], n, p=[*SHARES.values()])
        early = self.rng.integers(max(1, len(self.weights) - 1), size=n)
        self.gait = Gait(self.weights[np.where(self.kind == "best gait", -1, early)])
        self.size = np.where(self.kind == "random", 1., self.rng.uniform(0, 0.4, n))[:, None]

    def __call__(self, observation, info: dict) -> np.ndarray: # with `state`, (N,18) → (N,6) float32
        if len(self.kind) != len(info["state"]): self._choose(len(info["state"]))
        torques = np.where(self.kind[:, None] == "random", 0., self.gait(None, info))
        return np.clip(torques + self.size * self.random(None, info), -1, 1).astype(np.float32)


class WalkerVector(WorldEnvs):
    "Many walkers as a gymnasium vector environment; fields of the world by name, as `start`."
    def __init__(self, num_envs: int = 1, # N copies
                 size: int = 64,           # pixels along each side of a frame
                 observe: str = "pixels",  # or "state", and nothing is drawn
                 terminate: bool = True,   # without effect here: there is no target
                 render_mode: str = "rgb_array", **fields): # of `WalkerWorld`
        super().__init__(WalkerWorld(**fields), num_envs, size, observe, terminate, render_mode)


class Walker(WorldEnv):
    "One walker with gymnasium's interface: `WalkerVector` of one."
    def __init__(self, **options): super().__init__(WalkerVector(1, **options))


if "lewm_nb/Walker-v0" not in gym.registry:
    gym.register("lewm_nb/Walker-v0", entry_point="lewm_nb.worlds.walker:Walker",
                 vector_entry_point="lewm_nb.worlds.walker:WalkerVector")
