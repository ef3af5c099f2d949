"""Collect, train, plan and evaluate with one command"""
import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch

from lewm_nb.data import Trajectories, collect, write_whole
from lewm_nb.envs.two_room import GoToGoal, Room, TwoRoomVector, arrived, draw
from lewm_nb.evaluate import FAR, OFFICIAL, RandomPolicy, draw_tasks, evaluate, rate, watch
from lewm_nb.lewm import LeWM, LeWMConfig, pick_device
from lewm_nb.plan import CEM, MPC
from lewm_nb.show import save_gif
from lewm_nb.train import TrainConfig, encode_episodes, fit, linear_map, plot_history, r2


def two_room_data(folder: str,          # made
                  episodes: int = 2000,
                  steps: int = 100,     # in an episode
                  noise: float = 1.,    # of the expert's actions
                  seed: int = 0,
                  progress: bool = True,
                 ) -> tuple:            # training and held-out Trajectories
    "Walks of the noisy expert: states are kept, frames drawn when asked for."
    envs = TwoRoomVector(min(episodes, 500), observe="state", terminate=False)
    collect(envs, GoToGoal(Room(), noise, seed), folder, episodes, steps, store_frames=False, seed=seed, progress=progress)
    return Trajectories(folder, draw=lambda states: draw(Room(), states)).split(0.9, seed)


def machine() -> dict:
    "What the numbers were measured on."
    return {"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None, "system": platform.system()}


def versions() -> dict:
    "Python and the packages that matter for the numbers."
    return {"python": platform.python_version(), **{name: version(name) for name in ("lewm_nb", "torch", "numpy", "gymnasium")}}


def peak_gb() -> float:
    "Largest resident memory of this process so far, in GB."
    try: import resource
    except ImportError: return float("nan")                       # no such count on Windows
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def run(config: TrainConfig = TrainConfig(),
        goals: int = 200,        # official and strict protocol
        far_goals: int = 100,
        device: str = None,
        progress: bool = True,
       ) -> tuple:               # result, model, history, film
    "The whole path once: data, model, success rates and a film of a plan."
    seconds, start = {}, time.time()

    def lap(name):
        seconds[name] = round(time.time() - start - sum(seconds.values()), 1)

    torch.manual_seed(config.seed)
    with TemporaryDirectory() as folder:
        train, valid = two_room_data(folder, seed=config.seed, progress=progress)
        lap("collect")
        model, history = fit(LeWM(LeWMConfig.tiny()), train, config, device=device, progress=progress)
        lap("train")
        to_position = linear_map(*encode_episodes(model, train, 100))
        z, states = encode_episodes(model, valid, 100)
        rates = {}
        for name, protocol, n in ("official", OFFICIAL, goals), ("far", FAR, far_goals):
            tasks = draw_tasks(valid, protocol, n, lambda s, g: arrived(Room(), s, g), config.seed)
            envs = TwoRoomVector(n)
            chance = evaluate(RandomPolicy(envs.action_space, config.seed), envs, tasks, protocol, progress=False)
            record = evaluate(planner(model), envs, tasks, protocol, f"plan ({name})", progress)
            rates[name] = record, chance
        film = watch(planner(model), Room(), *farthest_success(rates["far"][0]), to_position, FAR.budget)
        lap("plan")
    (near, near_chance), (far, far_chance) = rates["official"], rates["far"]
    seconds["total"] = round(time.time() - start, 1)
    result = {"success": rate(near.ever), "random": rate(near_chance.ever),
              "strict": rate(near.end), "strict_random": rate(near_chance.end),
              "far": rate(far.ever), "far_random": rate(far_chance.ever), "far_strict": rate(far.end),
              "already_solved": {"official": near.tasks.solved, "far": far.tasks.solved},
              "probe_r2": r2(to_position(z), states).tolist(), "seconds": seconds, "peak_gb": round(peak_gb(), 2),
              "seed": config.seed, "config": {"model": asdict(model.config), "train": asdict(config), "plan": asdict(planner(model).solver)},
              "versions": versions(), "machine": machine()}
    return result, model, history, film


def farthest_success(record) -> tuple: # start (2,), goal (2,)
    "The successful episode that took longest, or the first one where none succeeded."
    i = np.argmax(record.first)
    return record.tasks.start[i], record.tasks.goal[i]


def table(result: dict) -> str:
    "The success rates as text, each beside chance."
    rows = [("official", "goal 25 steps ahead, inside its radius at any of 50 steps", "success", "random"),
            ("strict", "the same, inside it after the last step", "strict", "strict_random"),
            ("far", "goal 100 steps ahead, at any of 150 steps", "far", "far_random")]
    lines = [f"{'protocol':10}{'success':>9}{'95 % interval':>18}{'random':>9}{'n':>6}"]
    for name, meaning, key, chance in rows:
        r = result[key]
        interval = f"{100 * r['low']:.1f} to {100 * r['high']:.1f}"
        lines.append(f"{name:10}{100 * r['rate']:7.1f} %{interval:>18}{100 * result[chance]['rate']:7.1f} %{r['n']:6}  {meaning}")
    x, y = result["probe_r2"]
    lines.append(f"position read from z by a linear map: R² {x:.4f} (x), {y:.4f} (y)")
    lines.append("seconds: " + ", ".join(f"{k} {v:.0f}" for k, v in result["seconds"].items()))
    return "\n".join(lines)


def save(out: Path, result: dict, model: LeWM, history: list, film: np.ndarray, config: TrainConfig):
    "Write result.json, loss.png, plan.gif and the model, each whole or not at all."
    write_whole(out / "result.json", lambda f: f.write(json.dumps(result, indent=1).encode()))
    figure = plot_history(history, config)
    write_whole(out / "loss.png", lambda f: figure.savefig(f, format="png", dpi=110))
    plt.close(figure)
    write_whole(out / "plan.gif", lambda f: save_gif(f, film))
    model.save(out / "model.safetensors")


def main(argv: list = None):
    "The command line of `python -m lewm_nb`."
    parser = argparse.ArgumentParser("python -m lewm_nb", description="Collect TwoRoom walks, train a tiny LeWM, plan with it, "
                                     "and print its success beside chance.")
    parser.add_argument("--seed", type=int, default=0, help="of data, weights, training and goals (default 0)")
    parser.add_argument("--steps", type=int, default=TrainConfig().steps, help="of training (default %(default)s)")
    parser.add_argument("--device", help="cpu, cuda or mps (default: the fastest there is)")
    parser.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="folder for results (default %(default)s)")
    args = parser.parse_args(argv)
    try: args.out.mkdir(parents=True, exist_ok=True); (args.out / ".try").touch(); (args.out / ".try").unlink()
    except OSError as e: parser.error(f"--out {args.out} cannot be written: {e.strerror}")
    try: pick_device(args.device)
    except ValueError as e: parser.error(str(e))
    config = TrainConfig.tiny(seed=args.seed, steps=args.steps)
    try: result, model, history, film = run(config, device=args.device)
    except KeyboardInterrupt: sys.exit("interrupted: nothing was written")
    save(args.out, result, model, history, film, config)
    print("\n" + table(result))
    print(f"\nThe plan as a film: {args.out / 'plan.gif'}\nThe losses:         {args.out / 'loss.png'}\n"
          f"Everything else:    {args.out / 'result.json'}, {args.out / 'model.safetensors'}\n"
          "Open next:          make lab   (the book, starting at nbs/index.ipynb)")
