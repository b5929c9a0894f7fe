"""Complex numbers of a model become pairs of real ones, and the plan computes the same."""

import pytest
import torch
from torch import nn

import tilewright
from tilewright.targets.errors import InputError


class Turned(nn.Module):
    """Vectors that are turned by their positions, as DeepSeek-V2 and Llama 4 do it."""

    def __init__(self, how):
        super().__init__()
        self.first, self.how = nn.Linear(8, 8), how

    def forward(self, x):
        positions = torch.arange(x.shape[1], device=x.device)
        angles = torch.outer(positions.float(), torch.tensor([1.0, 0.3, 0.1, 0.03], device=x.device))
        turns = torch.polar(torch.ones_like(angles), angles)
        pairs = torch.view_as_complex(self.first(x).reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(self.how(pairs, turns)).flatten(-2)


HOWS = {
    "a product": lambda z, turns: z * turns,
    "a sum dimension": lambda z, turns: (z.unsqueeze(-2) * turns.unsqueeze(1))[:, :, 0],
    "real factors": lambda z, turns: 0.5 * (z * torch.view_as_real(turns)[..., 0]),
    "parts": lambda z, turns: torch.complex(torch.view_as_real(z)[..., 1], torch.view_as_real(z)[..., 0]) * turns,
}


@pytest.mark.parametrize("how", HOWS)
def test_the_plan_computes_the_same(how):
    torch.manual_seed(0)
    network, x = Turned(HOWS[how]).eval(), torch.randn(3, 5, 8)
    plan = tilewright.compile(network, "ideal", example_inputs=x)
    for given in (x, torch.randn(2, 9, 8)):
        (found,) = tilewright.Session(plan)(given).values()
        with torch.no_grad():
            assert torch.allclose(found, network(given), atol=1e-5)


def test_an_operator_that_is_not_known_on_them_is_named():
    network = Turned(lambda z, turns: torch.fft.fft(z * turns)).eval()
    with pytest.raises(InputError, match=r"fft_fft.* is not supported"):
        tilewright.compile(network, example_inputs=torch.randn(3, 5, 8))
