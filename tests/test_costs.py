"""Several processes exchange what `costs.messages` says, as often and as many bytes"""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist

from lewm_nb.lewm import LeWMConfig
from lewm_nb.scale.costs import messages, training
from lewm_nb.step import TrainConfig, train_step
from lewm_nb.workbench.distributed import in_step, share_batch_norm

CONFIG, TRAIN = LeWMConfig.tiny(), TrainConfig.tiny(batch_size=4)


def said_by_python(step):  # bytes of the agreements that Python asks for: all but DDP's own
    bytes_, all_reduce, broadcast = [], dist.all_reduce, dist.broadcast

    def noting(real):
        return lambda x, *args, **options: (bytes_.append(x.nbytes), real(x, *args, **options))[1]

    with (
        mock.patch.object(dist, "all_reduce", noting(all_reduce)),
        mock.patch.object(dist, "broadcast", noting(broadcast)),
    ):
        step()
    return sum(bytes_)


def exchanged(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    both, *rest = training(CONFIG, TRAIN)[1].args
    step = partial(train_step, in_step(share_batch_norm(both)), *rest)
    for _ in range(2):
        step()  # buckets are settled after the first step
    with torch.profiler.profile() as seen:
        step()
    found = {"calls": Counter(e.name for e in seen.events()), "bytes": said_by_python(step)}
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def test_agreements_are_as_many_and_as_large_as_counted(tmp_path):
    torch.multiprocessing.start_processes(exchanged, (str(tmp_path),), 2, start_method="forkserver")
    found, wanted = json.loads((tmp_path / "found.json").read_text()), messages(CONFIG, TRAIN)
    calls = {name: n for name, (_, n) in wanted.items()}
    assert calls == {"gradients": 2, "buffers": 2, "sigreg": 4, "batchnorm": 30}
    assert found["calls"]["c10d::broadcast_"] == calls["buffers"] + 1  # and SIGReg's directions
    assert found["calls"]["c10d::allreduce_"] == calls["gradients"] + calls["sigreg"] - 1 + calls["batchnorm"]
    assert found["bytes"] == wanted["sigreg"][0] + wanted["batchnorm"][0]
