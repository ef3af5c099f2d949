"""With tensors that only claim to be on a graphics card: no device is mixed up, nothing asks it for a number

The fake tensors are PyTorch's. What it has no public way for is replaced here: moving a module to a card
that is not there, and the backward pass, whose engine wants a driver."""
import contextlib
from unittest import mock

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from lewm_nb.data import Trajectories, Windows, Writer, collect
from lewm_nb.worlds.two_room import GoToGoal, Room, TwoRoomVector
from lewm_nb.lewm import LeWM, LeWMConfig
from lewm_nb.workbench.distributed import share_batch_norm
from lewm_nb.plan import CEM, MPC
from lewm_nb.solvers import MPPI
from lewm_nb.sigreg import SIGReg
from lewm_nb.step import Losses, TrainConfig, optimizer_for, train_step
from lewm_nb.train import fit

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real graphics card")
CARD, SIZE = torch.device("cuda:0"), 28
CONFIGS = {"tiny": LeWMConfig.tiny(image_size=SIZE),
           "paper": LeWMConfig.paper(image_size=SIZE, encoder_depth=2, predictor_depth=2)}
aten = torch.ops.aten
copy, number, everywhere = aten._to_copy.default, aten._local_scalar_dense.default, aten.all.default


class Pretend(TorchDispatchMode):
    "Tensors on CARD have shape and type but no numbers, others are real; `asked`: what Python waits for."
    def __init__(self):
        super().__init__()
        self.fake, self.asked, self.last = FakeTensorMode(allow_non_fake_inputs=True), [], None

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        there, to = any(t is FakeTensor for t in types), torch.device(kwargs.get("device") or "cpu").type
        if not there and to == "cpu":
            with _disable_current_modes(): return op(*args, **kwargs)
        x = args[0] if args else None
        waits = op is copy and "device" in kwargs and to != x.device.type and not kwargs.get("non_blocking")
        if op is number or waits: self.asked.append(op)
        if op is number:                                # all is well, and no step was bad
            return {torch.bool: self.last is everywhere, torch.int64: -1}.get(x.dtype, .5)
        self.last = op
        if op is not copy or there and to != "cpu" or "device" not in kwargs: return op(*args, **kwargs)
        dtype = kwargs.get("dtype") or x.dtype
        if not there: return torch.empty_strided(x.shape, x.stride(), dtype=dtype, device=CARD)
        with _disable_current_modes(): return torch.zeros(x.shape, dtype=dtype)

    def move(self, module): # in the place of `nn.Module.to`
        for part in module.modules():
            for name, p in list(part.named_parameters(recurse=False)):
                setattr(part, name, nn.Parameter(self.moved(p), p.requires_grad))
            for name, b in list(part.named_buffers(recurse=False)): setattr(part, name, self.moved(b))
        return module

    def moved(self, x):
        if isinstance(x, FakeTensor): return x
        with _disable_current_modes(): return FakeTensor(self.fake, x.detach().to("meta"), CARD)


def backward(loss):
    "Walk the graph in Python: PyTorch's own engine wants a driver."
    order, gradients, todo = [], {(loss.grad_fn, 0): torch.ones_like(loss)}, [(loss.grad_fn, False)]
    while todo:
        node, done = todo.pop()
        if done: order.append(node)
        elif node is not None and (node, True) not in todo and node not in order:
            todo += [(node, True), *((after, False) for after, _ in node.next_functions)]
    with torch.no_grad():
        for node in reversed(order):
            came = [gradients.get((node, i)) for i in range(len(node._input_metadata))]
            if all(g is None for g in came): continue
            if hasattr(node, "variable"): node.variable.grad, = came
            if hasattr(node, "variable"): continue
            ours = isinstance(node, torch.autograd.function.BackwardCFunction)
            made = (node.apply if ours else node)(*came)
            for g, (after, i) in zip(made if isinstance(made, tuple) else (made,), node.next_functions):
                if g is None or after is None: continue
                want = after._input_metadata[i]
                assert g.device == want.device
                g = g.sum_to_size(tuple(want.shape)).to(want.dtype)
                gradients[after, i] = gradients[after, i] + g if (after, i) in gradients else g


@pytest.fixture
def card():
    "A machine with one graphics card, as far as PyTorch can be made to believe it."
    one, state = Pretend(), torch.zeros(16, dtype=torch.uint8)
    answers = dict(is_available=True, is_bf16_supported=True, device_count=1, mem_get_info=(10 ** 11,) * 2,
                   get_rng_state=state, set_rng_state=None, manual_seed_all=None,
                   is_current_stream_capturing=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(one.fake)
        for name, answer in answers.items():
            stack.enter_context(mock.patch(f"torch.cuda.{name}", return_value=answer))
        ours = {"Tensor.backward": backward, "Tensor.pin_memory": lambda x, *_: x,
                "nn.Module.to": lambda m, *_, **__: one.move(m)}
        for name, our in ours.items(): stack.enter_context(mock.patch(f"torch.{name}", our))
        stack.enter_context(one)
        yield one


def on_card(card, name):
    with _disable_current_modes(): model = LeWM(CONFIGS[name])
    return card.move(model.eval())


def test_it_notices(card):
    x = torch.ones(3, device=CARD)
    with pytest.raises(RuntimeError, match="device"): x + torch.ones(3)
    assert not card.asked
    for ask in (lambda: x.sum().item(), lambda: x.cpu(), lambda: bool(x.isnan().any()),
                lambda: torch.ones(3).to(CARD), lambda: x.new_tensor(2.)):
        card.asked.clear()
        ask()
        assert len(card.asked) == 1


@pytest.mark.parametrize("precision", ("float32", "bfloat16"))
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("shared", (False, True))
def test_a_training_step(card, name, precision, shared):
    config = TrainConfig(batch_size=4, num_projections=16, precision=precision)
    model = on_card(card, name).train()
    if shared: share_batch_norm(model)
    with _disable_current_modes(): sigreg = SIGReg(17, 16)
    both = Losses(model, card.move(sigreg), precision)
    optimizer = optimizer_for(model, config)
    frames = torch.zeros(4, 4, 3, SIZE, SIZE, dtype=torch.uint8, device=CARD)
    batch = frames, torch.zeros(4, 3, 10, device=CARD)
    for step in range(2): train_step(both, optimizer, batch, config, step)
    assert not card.asked
    for p in model.parameters(): assert p.grad.device == optimizer.state[p]["step"].device == CARD
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
        assert str(model.encode(batch[0]).dtype) == f"torch.{precision}"


@pytest.mark.parametrize("precision", ("float32", "bfloat16"))
@pytest.mark.parametrize("name", CONFIGS)
def test_a_search(card, name, precision):
    model = on_card(card, name)
    z, mean, noise = (torch.zeros(shape, device=CARD)
                      for shape in ((2, 1, model.config.latent_dim), (2, 5, 10), (2, 16, 5, 10)))
    for solver in CEM(16, 2, 4), MPPI(16, 2):
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
            plan, spoilt = solver.search(model, z, z[:, 0], None, mean, mean + 1, noise)
        assert plan.device == spoilt.device == CARD and plan.dtype == torch.float32 and not card.asked


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks")
    envs = TwoRoomVector(10, observe="state", terminate=False)
    collect(envs, GoToGoal(Room(), 1.), folder / "drawn", 10, 60, store_frames=False, world="two_room",
            progress=False)
    drawn = Trajectories(folder / "drawn", size=SIZE)
    Writer(folder / "stored").append([drawn[i] for i in range(10)])
    return {"drawn": drawn, "stored": Trajectories(folder / "stored")}


@pytest.mark.filterwarnings("ignore::lewm_nb.remedies.CollapseWarning")
@pytest.mark.parametrize("frames, workers", [("drawn", 0), ("stored", None)])
def test_training_asks_only_for_its_log(card, walks, frames, workers):
    train, valid = walks[frames].split(0.7)
    def asked(steps):
        card.asked.clear()
        config = TrainConfig(steps=steps, batch_size=8, num_projections=16, precision="bfloat16")
        with _disable_current_modes(): model = LeWM(CONFIGS["tiny"])
        rows = fit(model, train, config, valid, log_every=100, device="cuda:0", progress=False, compile=False,
                   workers=workers)[1]
        assert len(rows) == 2
        return len(card.asked)
    assert len(Windows(train, 8)) > 6                                      # each epoch's order is copied once
    assert asked(2) == asked(6) > 0


def test_acting(card, walks):
    model, frames = on_card(card, "paper"), walks["drawn"][0].frames
    policy = MPC(model, CEM(16, 2, 4, 3, precision="bfloat16"), execute=2, history=3)
    policy.reset(frames[-2:])
    for _ in range(30): assert policy(frames[:2]).shape == (2, 2)
