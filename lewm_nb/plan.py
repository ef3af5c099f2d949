"""Act by imagining: the cross-entropy method and model-predictive control"""
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class CEM:
    "Cross-entropy method: sample plans, keep the best, sample around them (LeWM App. D)."
    num_samples: int = 300
    num_iterations: int = 30
    num_elites: int = 30
    horizon: int = 5       # blocks
    cost: str = "last"     # squared distance to the goal of the "last" imagined latent, or the "mean" over the plan
    low: float = -1.       # bounds of an action in the environment's units
    high: float = 1.
    smooth: float = 0.     # correlation of the noise of one environment step with the next
    seed: int = 0

    def __post_init__(self):
        if not 2 <= self.num_elites <= self.num_samples: raise ValueError(f"num_elites is {self.num_elites}; expected 2 to num_samples = {self.num_samples}")
        if self.cost not in ("last", "mean"): raise ValueError(f"cost is {self.cost!r}; expected 'last' or 'mean'")
        self.generator = torch.Generator().manual_seed(self.seed)

    @classmethod
    def tiny(cls, **changes): return cls(**{"num_samples": 128, "num_iterations": 6, "num_elites": 16, "smooth": 0.5, **changes})

    @torch.no_grad()
    def __call__(self, model,
                 z: Tensor,                   # (B,H,D) latents seen so far
                 z_goal: Tensor,              # (B,D)
                 past_actions: Tensor = None, # (B,H-1,K)
                 init: Tensor = None,         # (B,horizon,K) first mean
                 trace: list = None,          # receives a dict per iteration: candidates, costs, elites
                ) -> Tensor:                  # (B,horizon,K)
        B, K = len(z), model.config.block_dim
        mean = torch.zeros(B, self.horizon, K, device=z.device) if init is None else init
        std = model.action_std.repeat(model.config.frameskip).expand(B, self.horizon, K)
        steps = torch.arange(self.horizon * model.config.frameskip)
        mix = torch.linalg.cholesky(self.smooth ** (steps[:, None] - steps).abs().double()).float()
        for _ in range(self.num_iterations):
            white = torch.randn(self.num_samples, len(steps), K // model.config.frameskip, generator=self.generator)
            noise = (mix @ white).reshape(self.num_samples, self.horizon, K).to(z.device)
            noise[0] = 0                                                # the mean itself is a candidate
            candidates = (mean[:, None] + std[:, None] * noise).clamp(self.low, self.high)  # (B,S,T,K)
            imagined = model.rollout(z, candidates, past_actions)       # (B,S,T,D)
            distance = (imagined - z_goal[:, None, None]).square().sum(-1)
            costs = distance[..., -1] if self.cost == "last" else distance.mean(-1) # (B,S)
            best = costs.topk(self.num_elites, largest=False).indices
            elites = candidates.gather(1, best[..., None, None].expand(-1, -1, *candidates.shape[2:]))
            if trace is not None: trace.append({"candidates": candidates, "imagined": imagined, "costs": costs, "best": best})
            mean, std = elites.mean(1), elites.std(1)
        return mean


class MPC:
    "Model-predictive control: plan, execute a few blocks, look, plan again. One batch of environments at a time."
    def __init__(self, model, solver: CEM,
                 execute: int = None,   # blocks executed before replanning; the whole horizon by default
                 history: int = 1,      # real frames the model is shown
                 warm_start: bool = True):
        self.model, self.solver, self.execute = model, solver, execute or solver.horizon
        self.history, self.warm_start = history, warm_start

    @torch.no_grad()
    def latents(self, frames: np.ndarray, # (B,H,W,3) uint8
                info: dict = None) -> Tensor: # (B,D)
        "What the model makes of the present frames."
        return self.model.encode(torch.from_numpy(np.asarray(frames)).movedim(-1, -3)[:, None])[:, 0]

    def reset(self, goal_frames: np.ndarray, info: dict = None):
        "Start towards new goals."
        self.z_goal, self.z, self.past, self.plan, self.queue = self.latents(goal_frames, info), [], [], None, []

    def __call__(self, frames, info=None) -> np.ndarray: # (B,A)
        "The next action of every environment."
        config = self.model.config
        if not self.queue or len(self.queue) % config.frameskip == 0:
            self.z = (self.z + [self.latents(frames, info)])[-self.history:]
            if not self.queue: self.replan()
            self.past = (self.past + [torch.stack(self.queue[:config.frameskip], 1).flatten(1)])[-self.history:]
        return self.queue.pop(0).cpu().numpy()

    @torch.no_grad()
    def replan(self):
        "Plan from the latents seen last; `plan` holds the blocks, `imagined` the latents they are expected to reach."
        init = None
        if self.plan is not None and self.warm_start and self.execute < self.solver.horizon:
            init = torch.cat([self.plan[:, self.execute:], torch.zeros_like(self.plan[:, :self.execute])], 1)
        h = len(self.z)
        past = torch.stack(self.past[len(self.past) - h + 1:], 1) if h > 1 else None
        self.plan = self.solver(self.model, torch.stack(self.z, 1), self.z_goal, past, init)
        self.imagined = self.model.rollout(torch.stack(self.z, 1), self.plan[:, None], past)[:, 0]
        config = self.model.config
        steps = self.plan[:, :self.execute].unflatten(-1, (config.frameskip, config.action_dim)).flatten(1, 2)
        self.queue = list(steps.unbind(1))
