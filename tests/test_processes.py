"""SIGReg over several processes is SIGReg of one process with the whole batch"""
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from lewm_nb.sigreg import SIGReg


def batch(points):
    noise = torch.randn(2, points, 12, generator=torch.Generator().manual_seed(1))
    return noise * torch.linspace(0.2, 1.5, 12)


def encoder():
    torch.manual_seed(2)
    return torch.nn.Linear(12, 6)


def together(points):
    model, z = encoder(), batch(points)
    torch.manual_seed(0)
    value = SIGReg(num_projections=64)(model(z))
    value.backward()
    return value.item(), torch.cat([p.grad.flatten() for p in model.parameters()])


CASES = {2: [(16, 16), (20, 9)], 3: [(8, 8, 8), (17, 1, 6)]}             # points of each process


def one_of_many(rank, processes, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=processes)
    results = {}
    for shares in CASES[processes]:
        model, start = DistributedDataParallel(encoder()), sum(shares[:rank])
        torch.manual_seed(100 * rank)        # the directions are those of process 0, whose seed is 0
        value = SIGReg(num_projections=64)(model(batch(sum(shares))[:, start:start + shares[rank]]))
        value.backward()
        results[shares] = value.item(), torch.cat([p.grad.flatten() for p in model.parameters()])
    try: SIGReg(num_projections=8)(torch.randn(4, 5 + rank))
    except ValueError as e: results["widths differ"] = str(e)
    torch.save(results, f"{folder}/{rank}")
    dist.barrier()        # nobody leaves while another still talks
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=CASES, ids=lambda n: f"{n} processes")
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    mp.spawn(one_of_many, (request.param, str(folder)), nprocs=request.param)
    return [torch.load(folder / str(rank)) for rank in range(request.param)]


def test_value_and_gradient_are_those_of_one_process(results):
    for there in results:
        for shares in CASES[len(results)]:
            value, gradient = together(sum(shares))
            assert abs(there[shares][0] - value) <= 1e-6 * value
            assert (there[shares][1] - gradient).abs().max() <= 1e-6 * gradient.abs().max()


def test_widths_that_differ_are_named(results):
    for there in results: assert "[(1, 5), (1, 6)" in there["widths differ"]


def test_without_sharing_the_value_is_another_one():
    parts = [SIGReg(num_projections=64, shared=False)(part).item() for part in batch(32).split(16, 1)]
    assert sum(parts) / 2 < 0.9 * SIGReg(num_projections=64)(batch(32)).item()
