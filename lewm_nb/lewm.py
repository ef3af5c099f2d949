"""Encoder, action encoder, predictor and projectors put together: encode, predict, rollout, save, load"""
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lewm_nb.encoder import Projector, resnet18, small_cnn, vit
from lewm_nb.predictor import ActionEncoder, MLPPredictor, Predictor


@dataclass(frozen=True)
class LeWMConfig:
    "Every size of a LeWM. Start from `tiny` or `paper` and override."
    encoder: str = "cnn"         # "cnn", "vit" or "resnet18"
    image_size: int = 64
    encoder_width: int = 96      # of the encoder's feature vector ("resnet18": 512)
    patch_size: int = 14         # "vit" only
    encoder_depth: int = 12      # "vit" only
    encoder_heads: int = 3       # "vit" only
    latent_dim: int = 64
    projector_hidden: int = 512
    predictor: str = "transformer" # or "mlp"
    predictor_width: int = 96
    predictor_depth: int = 2
    predictor_heads: int = 4
    predictor_head_dim: int = 24
    predictor_hidden: int = 384
    history: int = 3
    dropout: float = 0.
    action_smooth: int = 10
    action_hidden: int = 384
    action_dim: int = 2          # of one environment step
    frameskip: int = 5           # environment steps in one model step

    @property
    def block_dim(self): return self.frameskip * self.action_dim # K

    @classmethod
    def tiny(cls, **changes): return replace(cls(), **changes)

    @classmethod
    def paper(cls, **changes):
        return replace(cls(encoder="vit", image_size=224, encoder_width=192, latent_dim=192, projector_hidden=2048,
                           predictor_width=192, predictor_depth=6, predictor_heads=16, predictor_head_dim=64,
                           predictor_hidden=2048, dropout=0.1, action_hidden=768), **changes)


def pick_device(name: str = None # "cpu", "cuda", "mps"; None takes the fastest there is
               ) -> torch.device:
    "The one place that names devices."
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name is None: return torch.device(next(d for d, ok in there.items() if ok))
    kind = str(name).split(":")[0]
    if not there.get(kind): raise ValueError(f"device {name!r} is not here; expected one of {[d for d, ok in there.items() if ok]}")
    return torch.device(name)


class LeWM(nn.Module):
    "LeWorldModel: pixels to latents, latents and actions to the next latents (§3.1)."
    def __init__(self, config: LeWMConfig):
        super().__init__()
        self.config = c = config
        if c.encoder == "vit": self.encoder = vit(c.image_size, c.patch_size, c.encoder_width, c.encoder_depth, c.encoder_heads)
        elif c.encoder == "resnet18": self.encoder = resnet18()
        elif c.encoder == "cnn": self.encoder = small_cnn(c.image_size, c.encoder_width)
        else: raise ValueError(f"encoder is {c.encoder!r}; expected 'cnn', 'vit' or 'resnet18'")
        self.encoder.to(memory_format=torch.channels_last)                     # faster convolutions
        features = 512 if c.encoder == "resnet18" else c.encoder_width
        self.projector = Projector(features, c.projector_hidden, c.latent_dim)
        self.action_encoder = ActionEncoder(c.block_dim, c.action_smooth, c.action_hidden, c.predictor_width)
        if c.predictor == "transformer":
            self.predictor = Predictor(c.latent_dim, c.predictor_width, c.predictor_depth, c.predictor_heads,
                                       c.predictor_head_dim, c.predictor_hidden, c.history, c.dropout)
        elif c.predictor == "mlp": self.predictor = MLPPredictor(c.latent_dim, c.predictor_width, c.predictor_hidden)
        else: raise ValueError(f"predictor is {c.predictor!r}; expected 'transformer' or 'mlp'")
        self.predictor_projector = Projector(c.predictor_width, c.projector_hidden, c.latent_dim)
        self.register_buffer("pixel_mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.register_buffer("action_mean", torch.zeros(c.action_dim))
        self.register_buffer("action_std", torch.ones(c.action_dim))

    @property
    def device(self): return self.pixel_mean.device

    def encode(self, frames: Tensor, # (B,T,C,H,W) uint8
              ) -> Tensor:           # (B,T,D)
        "Latents of frames; pixels are normalised inside."
        size = self.config.image_size
        if frames.dtype != torch.uint8: raise ValueError(f"frames have dtype {frames.dtype}; expected torch.uint8")
        if frames.ndim != 5 or frames.shape[2:] != (3, size, size):
            raise ValueError(f"frames have shape {tuple(frames.shape)}; expected (B,T,3,{size},{size})")
        x = frames.flatten(0, 1).to(self.device)
        x = (x.float() / 255 - self.pixel_mean) / self.pixel_std
        return self.projector(self.encoder(x.contiguous(memory_format=torch.channels_last))).unflatten(0, frames.shape[:2])

    def embed(self, actions: Tensor, # (...,K) in the environment's units
             ) -> Tensor:            # (...,width)
        "Conditions of action blocks; actions are normalised inside."
        if actions.shape[-1] != self.config.block_dim:
            raise ValueError(f"actions are {actions.shape[-1]} wide; expected frameskip × action_dim = {self.config.block_dim}")
        x = actions.unflatten(-1, (-1, self.config.action_dim))
        return self.action_encoder(((x - self.action_mean) / self.action_std).flatten(-2))

    def predict(self, z: Tensor, # (B,T,D)
                actions: Tensor, # (B,T,K) the block that follows each latent
               ) -> Tensor:      # (B,T,D) the latent after each block
        "Next latents, each from its own past of at most `history` steps."
        if z.shape[:-1] != actions.shape[:-1]:
            raise ValueError(f"z {tuple(z.shape)} and actions {tuple(actions.shape)} disagree; expected the same (B,T)")
        return self.predictor_projector(self.predictor(z, self.embed(actions)))

    def rollout(self, z: Tensor,              # (B,H,D) latents seen so far
                actions: Tensor,              # (B,S,T,K) S candidate plans of T blocks
                past_actions: Tensor = None,  # (B,H-1,K) blocks between the latents seen
               ) -> Tensor:                   # (B,S,T,D)
        "Imagine S futures from one past, feeding predictions back."
        B, S, T, _ = actions.shape
        H, window = z.shape[1], self.predictor.history
        if H > 1 and past_actions is None: raise ValueError(f"z holds {H} latents; expected past_actions with {H - 1} blocks")
        c = self.embed(actions).flatten(0, 1)                                  # (BS,T,width)
        if H > 1: c = torch.cat([self.embed(past_actions).repeat_interleave(S, 0), c], 1)
        z = z.repeat_interleave(S, 0)                                          # (BS,H,D)
        for t in range(T):
            now = H + t
            start = max(0, now - window)
            x = self.predictor(z[:, start:now], c[:, start:now])[:, -1]
            z = torch.cat([z, self.predictor_projector(x)[:, None]], 1)
        return z[:, H:].unflatten(0, (B, S))

    def save(self, path: str, # ends in .safetensors; the config goes beside it as .json
            ):
        "Write weights and config, each whole or not at all."
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, write in ((path, lambda p: save_file({k: v.contiguous() for k, v in self.state_dict().items()}, p)),
                              (path.with_suffix(".json"), lambda p: p.write_text(json.dumps(asdict(self.config), indent=1)))):
            beside = target.with_name(target.name + ".part")
            write(beside)
            os.replace(beside, target)

    @classmethod
    def load(cls, path: str, device: str = "cpu") -> "LeWM":
        "Read what `save` wrote; reading runs no code from the file."
        path = Path(path)
        config = LeWMConfig(**json.loads(path.with_suffix(".json").read_text()))
        model = cls(config)
        try: state = load_file(path)
        except SafetensorError as e: raise ValueError(f"{path} is not a whole safetensors file: {e}") from None
        want = {k: tuple(v.shape) for k, v in model.state_dict().items()}
        got = {k: tuple(v.shape) for k, v in state.items()}
        wrong = [f"{k}: file {got.get(k)}, config {want.get(k)}" for k in sorted(want.keys() | got.keys()) if want.get(k) != got.get(k)]
        if wrong: raise ValueError(f"{path} does not fit its config; " + "; ".join(wrong[:5]))
        model.load_state_dict(state)
        return model.to(pick_device(device)).eval()
