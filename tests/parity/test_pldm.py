"""The terms of the published PLDM loss beside ours, on random latents (`make parity`)."""

import pytest
import torch

pytest.importorskip(
    "stable_worldmodel", reason="the published implementation is not installed here: make parity"
)
from stable_worldmodel.wm.loss import PLDMLoss  # noqa: E402

from lewm_nb.rivals.pldm import terms  # noqa: E402


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_terms_are_the_same(spread):
    "All but cov_t, which the published program does not centre over time."
    torch.manual_seed(0)
    z, read, actions = spread * torch.randn(32, 4, 16), torch.randn(32, 3, 10), torch.randn(32, 3, 10)
    theirs, ours = PLDMLoss()(z, read, actions), terms(z, z[:, 1:], read, actions)
    names = {"idm": "idm_loss", "time": "temp_align_loss", "std": "std_loss", "cov": "cov_loss",
             "std_t": "std_t_loss"}
    for mine, his in names.items(): assert torch.allclose(ours[mine], theirs[his], rtol=1e-4, atol=1e-6), mine
    assert not torch.allclose(ours["cov_t"], theirs["cov_t_loss"], rtol=1e-2)
