"""Devices other than phase-change memory, against closed forms."""

import math

import pytest
import torch
from scipy.stats import kstest

from tests.narrowing import analog, instance
from tests.variants import variant
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.drift import conductances_at
from tilewright.runtime.chip.programming import Programmer, program
from tilewright.targets.devices import statistics_of
from tilewright.targets.spec.device import FtjDevice, GaussianDevice, ProgrammingSpread

CONFIDENCE = 1e-3
# ν(g) = .0122 g³ - .0241 g² + .0112 g + .001, by hand
FTJ_EXPONENTS = {0.0: 0.001, 0.25: 0.002484375, 0.5: 0.0021, 0.75: 0.000990625, 1.0: 0.0003}


@pytest.mark.parametrize(("g", "exponent"), FTJ_EXPONENTS.items())
def test_ftj_drift_depends_on_the_conductance_alone(g, exponent):
    statistics = statistics_of(analog("ftj-balanced").device)
    assert not statistics.exponent_varies
    assert statistics.drifts
    assert not statistics.accumulates_noise
    found = statistics.drift_exponent(torch.tensor([g], dtype=torch.float64), None).item()
    assert found == pytest.approx(exponent, abs=1e-9)


def test_ftj_conductances_after_a_year():
    target = variant("ftj-balanced", device__programming__device_to_device=0, device__programming__cycle_to_cycle=0)
    weights = torch.full((4, 4), 0.5)
    direct = target.model_copy(update={"programming": analog("pcm-512").programming})
    tiles = program(weights, Programmer(direct, direct.programming, [4], Draws(0, 0), ("x",)))
    year = 31536000.0
    held = conductances_at(year, tiles.conductances, tiles.cells, statistics_of(target.device), Draws(0, 0), "x")
    assert held[0].tolist() == [pytest.approx([0.5 * (1 + year / 20) ** -0.0021] * 4, rel=1e-5)] * 4


@pytest.mark.parametrize("name", ["rram-512", "ftj-balanced"])
@pytest.mark.parametrize("g", [0.3, 0.9])
def test_both_spreads_add_in_one_write(name, g):
    target = analog(name)
    direct = analog("pcm-512").programming
    weights = torch.full((300, 300), g)
    tiles = program(weights, Programmer(target, direct, [300], Draws(2, 0), ("x",)))
    assert isinstance(target.device, FtjDevice | GaussianDevice)
    spread = instance(target.device.programming, ProgrammingSpread)
    sigma = math.hypot(spread.device_to_device, spread.cycle_to_cycle)
    assert kstest(((tiles.conductances[0].double() - g) / sigma).flatten().numpy(), "norm").pvalue > CONFIDENCE
    assert (tiles.conductances[1] > 0).double().mean().item() == pytest.approx(0.5, abs=0.01)  # the minus device: 0 + N


def test_rram_does_not_change():
    target = analog("rram-512")
    tiles = program(torch.rand(8, 8), Programmer(target, target.programming, [8], Draws(0, 0), ("x",)))
    later = conductances_at(1e9, tiles.conductances, tiles.cells, statistics_of(target.device), Draws(0, 0), "x")
    assert torch.equal(later, tiles.conductances)


def test_constant_read_noise_is_the_same_for_every_column():
    """FTJ: each weight's noise is .035 whatever the weight: σ_y = .035 sqrt(Σ x²)."""
    from tilewright.runtime.chip.tile import TileRow

    target = variant("ftj-balanced", tile__adc=None, tile__output_noise=0, tile__ir_drop=None)
    weights = torch.cat([torch.zeros(8, 64), torch.ones(8, 64)])
    x = torch.rand(2000, 64) * 2 - 1
    row = TileRow(weights, target)
    noise = row.multiply(x, 1.0, Draws(0, 0).normal((2000, 16), "n")) - row.multiply(x, 1.0, None)
    levels = (x * 127).round() / 127
    normal = (noise.double() / (0.035 * levels.double().square().sum(dim=1, keepdim=True).sqrt())).flatten()
    assert kstest(normal.numpy(), "norm").pvalue > CONFIDENCE
    exact = variant("ftj-balanced", tile__adc=None, tile__output_noise=0, tile__ir_drop=None, tile__dac=None)
    without_dac = TileRow(weights, exact)
    noise = without_dac.multiply(x, 1.0, Draws(0, 0).normal((2000, 16), "n")) - without_dac.multiply(x, 1.0, None)
    normal = (noise.double() / (0.035 * x.double().square().sum(dim=1, keepdim=True).sqrt())).flatten()
    assert kstest(normal.numpy(), "norm").pvalue > CONFIDENCE
