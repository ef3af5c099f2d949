"""Several processes exchange what `costs.messages` says"""
from collections import Counter
from functools import partial

import torch

from lewm_nb.scale import costs
from lewm_nb.lewm import LeWMConfig
from lewm_nb.workbench.distributed import in_step, share_batch_norm
from lewm_nb.step import TrainConfig, train_step


def exchanged(rank, processes, folder):
    costs._meet(rank, processes, folder)
    both, *rest = costs.training(LeWMConfig.tiny(), TrainConfig.tiny(batch_size=4))[1].args
    step = partial(train_step, in_step(share_batch_norm(both)), *rest)
    for _ in range(2): step()                                             # buckets are settled after the first step
    with torch.profiler.profile() as seen: step()
    costs._part(rank, processes, folder, [Counter(e.name for e in seen.events())])


def test_agreements_are_as_many_as_counted():
    counts, = costs._together(exchanged, 2)
    wanted = {name: calls for name, (_, calls) in costs.messages(LeWMConfig.tiny(), TrainConfig.tiny()).items()}
    assert wanted == {"gradients": 2, "buffers": 2, "sigreg": 4, "batchnorm": 30}
    assert counts["c10d::broadcast_"] == wanted["buffers"] + 1            # and SIGReg's directions
    assert counts["c10d::allreduce_"] == wanted["gradients"] + wanted["sigreg"] - 1 + wanted["batchnorm"]
