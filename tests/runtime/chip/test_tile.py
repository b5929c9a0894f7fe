"""One tile's product against its formula, written out in float64, effect by effect."""

import pytest
import torch
from scipy.stats import kstest

from tests.narrowing import analog, present
from tests.variants import EXACT_DEVICE, QUIET, variant
from tilewright.runtime.chip.arithmetic import EXACT, Drive
from tilewright.runtime.chip.arithmetic.exact import GridMatrix
from tilewright.runtime.chip.converters import read_out, to_levels
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.tile import TileRow

CONFIDENCE = 1e-3


def operands(rows=512, columns=64, samples=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = (torch.randn(columns, rows, generator=generator) * 0.246).clamp(-1, 1)
    inputs = torch.rand(samples, rows, generator=generator) * 2.4 - 1.2  # beyond the range on purpose
    return weights, inputs


def quantise(values, bits, bound):
    """q(z) of the hardware model, in float64."""
    steps = 2**bits - 2
    return (2 * bound / steps * torch.round(values * steps / (2 * bound))).clamp(-bound, bound)


def test_dac_and_adc_are_the_published_quantiser():
    tile = analog("pcm-512").tile
    values = torch.linspace(-1.5, 1.5, 3001)
    levels = to_levels(values, 1.0, present(tile.dac))
    assert levels.dtype == torch.int8
    assert levels.abs().max() == 127
    expected = quantise(values.double(), 8, 1.0)
    # float32 and float64 may differ on exact ties only
    assert ((levels.double() / 127 - expected).abs() > 1e-9).sum() <= 3
    currents = torch.linspace(-12, 12, 3001)
    read = read_out(currents.clone(), tile.adc).double()
    assert read.abs().max().item() == pytest.approx(10)
    assert ((read - quantise(currents.double(), 10, 10.0)).abs() > 1e-5).sum() <= 3


def test_scaling_the_input_range_is_scaling_the_input():
    dac, values = present(analog("pcm-512").tile.dac), torch.randn(500)
    assert torch.equal(to_levels(values, 2.0, dac), to_levels(values / 2, 1.0, dac))


@pytest.mark.parametrize("dac_bits", [4, 8, 10, 12])
def test_without_noise_the_tile_computes_the_quantised_product(dac_bits):
    target = variant(**QUIET, tile__dac__bits=dac_bits)
    weights, inputs = operands()
    outputs = TileRow(weights, target).multiply(inputs, 1.0, None)
    exact = quantise(inputs.double(), dac_bits, 1.0) @ weights.double().T
    expected = quantise(exact, 10, 10.0)
    # the grid of 2^-13 moves a sum by less than a tenth of an LSB; a sum near a rounding edge may take the next step
    assert (outputs - expected).abs().max() <= target.tile.adc.step * 1.001
    assert ((outputs - expected).abs() > 1e-5).double().mean() < 0.05


def test_the_grid_is_as_fine_as_it_says():
    weights = torch.rand(300, 300) * 3.9 - 1.95
    held = EXACT.matrix(weights)
    assert isinstance(held, GridMatrix)
    on_grid = held.steps.double() / 8192
    assert (on_grid - weights).abs().max() <= 2**-14
    levels = torch.randint(-127, 128, (50, 300)).to(torch.int8)
    product = held.product(Drive(levels, 1 / 127))
    exact = levels.double() @ on_grid.T / 127
    torch.testing.assert_close(product.double(), exact, rtol=1e-6, atol=1e-5)


def test_adc_clips_what_is_too_large():
    outputs = TileRow(torch.ones(1, 512), variant(**QUIET)).multiply(torch.ones(1, 512), 1.0, None)
    assert outputs.item() == pytest.approx(10.0)


def test_read_noise_has_the_variance_of_the_formula():
    """y += ξ σ0 sqrt(Σ|w| x²), and output noise of half an LSB: each output's residual is normal with that σ."""
    target = variant(tile__adc=None, tile__output_noise={"value": 0.01, "unit": "1", "source": "test"})
    weights, inputs = operands(samples=400)
    inputs = inputs.clamp(-1, 1)
    row = TileRow(weights, target)
    normal = Draws(0, 0).normal((400, 64), "noise")
    noise = (row.multiply(inputs, 1.0, normal) - row.multiply(inputs, 1.0, None)).double()
    levels = quantise(inputs.double(), 8, 1.0)
    sigma = (0.0175**2 * (levels**2 @ weights.double().abs().T) + 0.01**2).sqrt()
    assert kstest((noise / sigma).flatten().numpy(), "norm").pvalue > CONFIDENCE
    # and not only in distribution: the draw is scaled by σ output by output
    assert ((noise / sigma) / normal.double() - 1).abs().median() < 0.01


def test_columns_of_small_weights_keep_their_read_noise():
    weights = torch.full((4, 512), 0.003)  # each rounds to zero steps of 1/32
    held = EXACT.magnitudes(weights)
    on_grid = round(0.003 * 8192) / 8192
    assert held.steps.sum(dim=1).double() * held.unit == pytest.approx([512 * on_grid] * 4, abs=0.5 / 32)
    large = EXACT.magnitudes(torch.full((1, 3), 5.0))
    assert large.steps.max() <= 127
    assert large.steps.sum() * large.unit == pytest.approx(15.0, rel=0.01)


def test_output_noise_alone_is_half_an_lsb():
    target = variant(**EXACT_DEVICE, tile__short_term_read_noise=0)
    row = TileRow(torch.zeros(16, 8), target)
    row.tile = target.tile.model_copy(update={"adc": None})  # to see the noise itself, not its rounding
    outputs = row.multiply(torch.zeros(5000, 8), 1.0, Draws(0, 0).normal((5000, 16), "noise")).double()
    assert kstest((outputs / (0.5 * 20 / 1022)).flatten().numpy(), "norm").pvalue > CONFIDENCE


def test_ir_drop_is_the_published_polynomial():
    drop = {"enabled": True, "wire_resistance": {"value": 0.35, "unit": "ohm", "source": "Rasch 2023"}}
    target = variant(**QUIET, tile__adc=None, tile__ir_drop=drop)
    weights, inputs = operands(samples=50)
    levels = quantise(inputs.double(), 8, 1.0)
    n = 512
    a = 0.35 * 25e-6 * n * (levels.abs() @ weights.double().abs().T)
    c = 0.05 * a**3 - 0.2 * a**2 + 0.5 * a
    place = 1 - (1 - torch.arange(n).double() / n) ** 2
    expected = levels @ weights.double().T - c * (levels @ (weights.double() * place).T)
    outputs = TileRow(weights, target).multiply(inputs, 1.0, None)
    assert (outputs - expected).abs().max() < 0.01
    without = TileRow(weights, variant(**QUIET, tile__adc=None)).multiply(inputs, 1.0, None)
    assert (outputs - without).abs().max() > 0.05  # it does something


def test_ir_drop_without_a_dac_is_the_same_formula():
    drop = {"enabled": True, "wire_resistance": {"value": 0.35, "unit": "ohm", "source": "Rasch 2023"}}
    weights, inputs = operands(samples=50)
    with_dac = variant(**QUIET, tile__adc=None, tile__ir_drop=drop, tile__dac__bits=16)
    without = variant(**QUIET, tile__adc=None, tile__ir_drop=drop, tile__dac=None)
    one = TileRow(weights, with_dac).multiply(inputs.clamp(-1, 1), 1.0, None)
    two = TileRow(weights, without).multiply(inputs.clamp(-1, 1), 1.0, None)
    assert (one - two).abs().max() < 0.01
