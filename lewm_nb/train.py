"""Two losses, a loop, and the numbers that tell whether it works"""
import json
import math
import os
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from lewm_nb.collapse import effective_rank, latent_std
from lewm_nb.data import Trajectories, Windows
from lewm_nb.lewm import LeWM, pick_device
from lewm_nb.show import COLOURS
from lewm_nb.sigreg import SIGReg


@dataclass(frozen=True)
class TrainConfig:
    "How to train. Start from `tiny` or `paper` and override."
    steps: int = 900
    batch_size: int = 64
    num_frames: int = 4           # in a window
    lr: float = 1e-3
    weight_decay: float = 1e-3
    warmup: float = 0.1           # share of the steps
    clip: float = 1.              # largest gradient norm
    lam: float = 0.003            # λ from `anneal` on
    lam_start: float = 0.1        # λ of the first step
    anneal: float = 0.5           # share of the steps over which λ falls from one to the other
    knots: int = 17
    num_projections: int = 256
    seed: int = 0

    @classmethod
    def tiny(cls, **changes): return replace(cls(), **changes)

    @classmethod
    def paper(cls, steps: int, **changes):
        return replace(cls(steps=steps, batch_size=128, lr=5e-5, warmup=0.01, lam=0.09, lam_start=0.09,
                           num_projections=1024), **changes)


def lam_at(config: TrainConfig, step: int) -> float:
    "λ at a step: geometric from `lam_start` to `lam`, then constant."
    done = min(1., step / max(1, config.anneal * config.steps))
    return config.lam_start * (config.lam / config.lam_start) ** done if config.lam else 0.


def lr_at(config: TrainConfig, step: int) -> float:
    "Learning rate at a step: linear warm-up, then half a cosine down to zero."
    warm = max(1, round(config.warmup * config.steps))
    if step < warm: return config.lr * (step + 1) / warm
    return config.lr / 2 * (1 + math.cos(math.pi * (step - warm) / max(1, config.steps - warm)))


def losses(model: LeWM,
           frames: Tensor,  # (B,T,C,H,W) uint8
           actions: Tensor, # (B,T-1,K)
           sigreg: SIGReg,
          ) -> tuple:       # prediction loss (), SIGReg (), z (B,T,D)
    "The two terms of the LeWM loss; gradients flow into both sides of the prediction (§3.1)."
    z = model.encode(frames)
    prediction = (model.predict(z[:, :-1], actions) - z[:, 1:]).square().mean()
    return prediction, sigreg(z.transpose(0, 1)), z


def optimizer_for(model, config):
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": config.weight_decay},
                              {"params": vectors, "weight_decay": 0.}], lr=config.lr)


def save_checkpoint(path: Path, model, optimizer, config, step, history):
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
    meta = {"step": step, "config": asdict(config), "model": asdict(model.config), "history": history}
    beside = path.with_name(path.name + ".part")
    save_file({k: v.contiguous() for k, v in tensors.items()}, beside, metadata={"lewm_nb": json.dumps(meta)})
    os.replace(beside, path)


def load_checkpoint(path: Path, model, optimizer, config) -> tuple: # step to go on from, history
    try:
        with safe_open(path, "pt") as f:
            meta = json.loads(f.metadata()["lewm_nb"])
            tensors = {k: f.get_tensor(k) for k in f.keys()}
    except (SafetensorError, KeyError, TypeError) as e: raise ValueError(f"{path} is not a whole checkpoint of lewm_nb: {e}") from None
    for name, want in ("config", asdict(config)), ("model", asdict(model.config)):
        differ = {k: (meta[name].get(k), v) for k, v in want.items() if meta[name].get(k) != (list(v) if isinstance(v, tuple) else v)}
        if differ: raise ValueError(f"{path} was made with another {name} (file, expected): {differ}")
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    state = {}
    for k, v in tensors.items():
        if k.startswith("optimizer."):
            _, i, name = k.split(".", 2)
            state.setdefault(int(i), {})[name] = v
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return meta["step"], meta["history"]


@torch.no_grad()
def valid_loss(model, windows: Windows, batches: int = 2) -> float:
    "Prediction loss on held-out windows, in evaluation mode."
    training = model.training
    model.eval()
    total = 0.
    for i in range(batches):
        frames, actions = windows[i]
        z = model.encode(frames)
        total += (model.predict(z[:, :-1], actions.to(z.device)) - z[:, 1:]).square().mean().item() / batches
    model.train(training)
    return total


@torch.no_grad()
def action_use(model: LeWM, windows: Windows, batches: int = 4) -> dict: # prediction losses: true, shuffled, copy
    "Does the model use the actions? Its error with the true ones, with those of other windows, and of predicting no change."
    sums = {"true": 0., "shuffled": 0., "copy": 0.}
    for i in range(batches):
        frames, actions = windows[i]
        z, actions = model.encode(frames), actions.to(model.device)
        past, future = z[:, :-1], z[:, 1:]
        for name, guess in (("true", model.predict(past, actions)), ("shuffled", model.predict(past, actions.roll(1, 0))), ("copy", past)):
            sums[name] += (guess - future).square().mean().item() / batches
    return sums


@torch.no_grad()
def encode_episodes(model, trajs: Trajectories, episodes: int, stride: int = 5) -> tuple: # z (N,D), states (N,S)
    "Latents and true states of some episodes, every `stride`-th frame."
    z, states = [], []
    for i in range(min(episodes, len(trajs))):
        e = trajs[i]
        z.append(model.encode(torch.from_numpy(np.ascontiguousarray(e.frames[::stride])).movedim(-1, -3)[None])[0].cpu())
        states.append(torch.from_numpy(np.array(e.states[::stride])))
    return torch.cat(z), torch.cat(states)


def linear_map(x: Tensor, # (N,D)
               y: Tensor, # (N,S)
              ):          # function (…,D) → (…,S)
    "The least-squares affine map from x to y."
    one = lambda a: torch.cat([a, a.new_ones(*a.shape[:-1], 1)], -1).double()
    weights = torch.linalg.lstsq(one(x), y.double()).solution
    return lambda a: one(a) @ weights


def r2(guess: Tensor, # (N,S)
       y: Tensor,     # (N,S)
      ) -> Tensor:    # (S,)
    "Share of each column's variance that the guess explains: 1 is perfect, 0 no better than the mean."
    return 1 - (guess - y).square().sum(0) / (y - y.mean(0)).square().sum(0)


def in_notebook() -> bool:
    try: return get_ipython().__class__.__name__ == "ZMQInteractiveShell"
    except NameError: return False


def plot_history(history: list, # of rows as `fit` returns them
                 config: TrainConfig) -> plt.Figure:
    "Both losses, λ, spread and rank over the steps; SIGReg between its floor and its value at collapse."
    at = [row["step"] for row in history]
    fig, axes = plt.subplots(1, 3, figsize=(12, 3), layout="constrained")
    axes[0].semilogy(at, [row["prediction"] for row in history], color=COLOURS["imagined"])
    axes[0].set_title("prediction loss")
    axes[1].semilogy(at, [row["sigreg"] for row in history], color=COLOURS["real"])
    regularizer = SIGReg(config.knots, 1)
    for value, label in (regularizer.floor(config.batch_size), "perfect Gaussian"), (regularizer.collapsed(config.batch_size), "collapse"):
        axes[1].axhline(value, color=COLOURS["random"], linestyle=":")
        axes[1].annotate(label, (0, value), va="bottom", color=COLOURS["random"])
    axes[1].set_title("SIGReg")
    axes[2].plot(at, [row["latent_std"] for row in history], color=COLOURS["real"], label="latent std")
    axes[2].set_ylim(0)
    rank = axes[2].twinx()
    rank.plot(at, [row["effective_rank"] for row in history], color=COLOURS["goal"], label="effective rank")
    rank.set_ylim(0)
    axes[2].set_title("latent std (left), effective rank (right)")
    for ax in axes: ax.set_xlabel("step")
    return fig


def fit(model: LeWM,
        train: Trajectories,
        config: TrainConfig = TrainConfig(),
        valid: Trajectories = None,  # for the held-out prediction loss
        out: str = None,             # folder for checkpoint.safetensors; resumed from when it is there
        save_every: int = 200,       # steps
        log_every: int = 25,         # steps
        device: str = None,          # see `pick_device`
        progress: bool = True,
       ) -> tuple:                   # model, history: one row per logged step
    "Train a LeWM. The same seed gives the same numbers on CPU, also across an interruption."
    device = pick_device(device)
    model.to(device).train()
    frameskip = model.config.frameskip
    windows = Windows(train, config.batch_size, config.num_frames, frameskip, config.seed)
    held_out = Windows(valid, config.batch_size, config.num_frames, frameskip) if valid else None
    regularizer, optimizer = SIGReg(config.knots, config.num_projections).to(device), optimizer_for(model, config)
    start, history = 0, []
    checkpoint = Path(out) / "checkpoint.safetensors" if out else None
    if checkpoint:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        if checkpoint.exists(): start, history = load_checkpoint(checkpoint, model, optimizer, config)
    if start == 0:
        model.action_mean.copy_(torch.tensor(train.meta["action_mean"]))
        model.action_std.copy_(torch.tensor(train.meta["action_std"]))
    began, first = time.time(), start
    with torch.random.fork_rng(), tqdm(total=config.steps, initial=start, desc="train", disable=not progress) as bar:
        for step in range(start, config.steps):
            torch.manual_seed(config.seed * 1_000_003 + step)   # a step's randomness depends on nothing before it
            frames, actions = windows[step]
            prediction, spread, z = losses(model, frames, actions.to(device), regularizer)
            loss = prediction + lam_at(config, step) * spread
            if not torch.isfinite(loss):
                kept = f"the last good state is in {checkpoint}" if checkpoint and checkpoint.exists() else "no checkpoint was asked for"
                raise FloatingPointError(f"loss is {loss.item()} at step {step} (prediction {prediction.item()}, SIGReg {spread.item()}); {kept}")
            for group in optimizer.param_groups: group["lr"] = lr_at(config, step)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            bar.update()
            if step % log_every == 0 or step == config.steps - 1:
                row = {"step": step, "loss": loss.item(), "prediction": prediction.item(), "sigreg": spread.item(),
                       "latent_std": latent_std(z.detach()).item(), "effective_rank": effective_rank(z.detach()),
                       "lam": lam_at(config, step), "lr": lr_at(config, step), "grad_norm": norm.item(),
                       "seconds": time.time() - began}
                if held_out: row["valid_prediction"] = valid_loss(model, held_out)
                history.append(row)
                bar.set_postfix(pred=f"{row['prediction']:.4f}", sigreg=f"{row['sigreg']:.2f}", std=f"{row['latent_std']:.2f}")
            if checkpoint and ((step + 1) % save_every == 0 or step == config.steps - 1):
                save_checkpoint(checkpoint, model, optimizer, config, step + 1, history)
    return model.eval(), history
