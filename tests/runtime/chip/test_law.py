"""The law of a read over each arithmetic, against the formulas of docs/physics.md written out in float64."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.variants import variant
from tilewright.runtime.chip.arithmetic import EXACT, FLOATS
from tilewright.runtime.chip.arithmetic.exact import square_bits
from tilewright.runtime.chip.arithmetic.floats import Floats
from tilewright.runtime.chip.tile import ConverterOffsets, TileRow

ROWS, COLUMNS, VECTORS = 48, 10, 7
WIRES = {"enabled": True, "wire_resistance": {"value": 3.5, "unit": "ohm", "source": "test"}}


def lsb(value):
    return {"value": value, "unit": "LSB", "source": "test"}


@dataclass
class Read:
    """Currents of a read, and how far off an arithmetic may be."""

    currents: torch.Tensor
    off: torch.Tensor


def curve(u, converter):
    """u + c u (1 - u²), whose largest deviation is the converter's nonlinearity in LSB."""
    largest = 2 / 27**0.5
    return u + (converter.nonlinearity or 0.0) / converter.levels / largest * u * (1 - u**2)


def reference(weights, x, target, normal, offsets, exact):
    """DAC, sum, IR drop, read noise and output noise in float64; exact: rounded as ``EXACT`` holds weights."""
    tile, w, x = target.tile, weights.double(), x.double()
    driven = x
    if tile.dac is not None:
        levels, bound = 2 ** (int(tile.dac.bits) - 1) - 1, float(tile.dac.bound)
        steps = (x * levels / bound).round().clamp(-levels, levels)
        x = steps * bound / levels
        driven = curve(steps / levels, tile.dac) * bound
        if offsets.dac is not None:
            driven = driven + offsets.dac.double() * bound / levels
    y = driven @ w.T
    off = 1e-5 * (driven.abs() @ w.abs().T + 1)
    if exact:  # the grid of 2^-13, and a DAC's parts of 1/256 of a step
        off += 2.0**-14 * driven.abs().sum(dim=1, keepdim=True)
        off += (0.5 / 256) * float(tile.dac.step) * w.abs().sum(dim=1) * 2
    magnitudes = 0.5 / 32 if exact else 1e-6
    if tile.ir_drop is not None:
        place = 1 - (1 - torch.arange(ROWS).double() / ROWS) ** 2
        ratio = ROWS * float(tile.ir_drop.wire_resistance) * target.device.conductance_max * 1e-6
        a = ratio * (x.abs() @ w.abs().T)
        by_place = x @ (w * place).T
        y = y - (0.05 * a**3 - 0.2 * a**2 + 0.5 * a) * by_place
        a_off = ratio * magnitudes * variation(x.abs())
        off += (0.15 * (a + a_off) ** 2 + 0.4 * (a + a_off) + 0.5) * (a_off * (by_place.abs() + 0.1) + a * 1e-2)
    sigma = float(tile.short_term_read_noise)
    if tile.read_noise_law == "conductance":
        power, power_off = (x**2) @ w.abs().T, magnitudes * variation(x**2)
        if exact and tile.dac.levels <= 127:  # squares of 7 bits, whose errors the sizes of weights, of 1/32, multiply
            squares = 0.5 * 2.0 ** square_bits(tile.dac.levels) * tile.dac.step**2
            power_off = power_off + squares * (variation(w.abs()).T + ROWS * 2 / 32)
    else:
        power, power_off = (x**2).sum(dim=1, keepdim=True), torch.tensor(1e-6)
    power, power_off = sigma**2 * power + tile.output_noise_deviation**2, sigma**2 * power_off
    spread = (power + power_off).sqrt() - (power - power_off).clamp(min=0).sqrt()
    return Read(y + normal.double() * power.sqrt(), off + normal.abs() * (spread + 1e-6 * power.sqrt()))


def variation(x):
    """Σ_j |x_j - x_{j+1}|: of sums whose running totals are rounded by half a step, the error in half steps."""
    return (x.diff(dim=1).abs().sum(dim=1) + x[:, -1]).unsqueeze(1)


converters = st.fixed_dictionaries(
    {
        "tile__dac__bits": st.sampled_from([3, 6, 8, 9, 12]),
        "tile__dac__bound": st.sampled_from([1.0, 0.7]),
        "tile__dac__nonlinearity": st.sampled_from([None, lsb(0.5), lsb(-1.0)]),
    }
)
others = st.fixed_dictionaries(
    {
        "tile__adc__bits": st.sampled_from([6, 10]),
        "tile__adc__nonlinearity": st.sampled_from([None, lsb(1.5)]),
        "tile__output_noise": st.sampled_from([0.0, 0.5]),
        "tile__short_term_read_noise": st.sampled_from([0.0, 0.0175, 0.3]),
        "tile__read_noise_law": st.sampled_from(["conductance", "constant"]),
        "tile__ir_drop": st.sampled_from([None, WIRES]),
    }
)


def operands(seed, bits, bound):
    """Inputs that are clear of the edges of the DAC's steps, and beyond its range; weights; normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    levels = 2 ** (bits - 1) - 1
    steps = torch.randint(-levels - levels // 3, levels + levels // 3 + 1, (VECTORS, ROWS), generator=generator)
    x = (steps + 0.6 * torch.rand(VECTORS, ROWS, generator=generator) - 0.3) * bound / levels
    weights = (torch.randn(COLUMNS, ROWS, generator=generator) * 0.3).clamp(-1, 1)
    return x, weights, torch.randn(VECTORS, COLUMNS, generator=generator)


def compare(row, target, x, weights, normal, offsets, exact):
    expected = reference(weights, x, target, normal, offsets, exact)
    adc = target.tile.adc
    row.tile = target.tile.model_copy(update={"adc": None})
    noisy = normal if row.is_noisy else None
    assert ((row.multiply(2.5 * x, 2.5, noisy).double() - expected.currents).abs() <= expected.off).all()
    row.tile = target.tile
    levels, bound = 2 ** (int(adc.bits) - 1) - 1, float(adc.bound)
    fraction = expected.currents / bound
    unrounded = levels * (curve(fraction.clamp(-1, 1), adc) if adc.nonlinearity else fraction)
    unrounded = (unrounded + (offsets.adc.double() if offsets.adc is not None else 0)).clamp(-levels, levels)
    steps = row.multiply(2.5 * x, 2.5, noisy).double() * levels / bound
    slope = 1 + 3 * abs(adc.nonlinearity or 0.0) / levels
    assert ((steps - unrounded).abs() <= 0.5 + 1e-3 + expected.off * slope * levels / bound).all()
    assert (steps - steps.round()).abs().max() < 1e-3
    assert steps.abs().max() <= levels + 1e-3


@settings(max_examples=60, deadline=None)
@given(dac=converters, tile=others, with_offsets=st.booleans(), seed=st.integers(0, 999))
def test_whole_numbers_and_floats_compute_the_formulas(dac, tile, with_offsets, seed):
    target = variant(**dac, **tile)
    x, weights, normal = operands(seed, dac["tile__dac__bits"], dac["tile__dac__bound"])
    offsets = ConverterOffsets()
    if with_offsets:
        offsets = ConverterOffsets(torch.linspace(-2, 2, ROWS), torch.linspace(3, -3, COLUMNS))
    for arithmetic in (EXACT, FLOATS):
        row = TileRow(weights, target, offsets=offsets, arithmetic=arithmetic)
        bent = bool(dac["tile__dac__nonlinearity"])  # in parts of 1/256 of a step, whatever the arithmetic
        compare(row, target, x, weights, normal, offsets, exact=arithmetic is EXACT or bent)


@settings(max_examples=25, deadline=None)
@given(tile=others, seed=st.integers(0, 999))
def test_without_a_dac_nothing_is_rounded_before_the_adc(tile, seed):
    target = variant(tile__dac=None, **tile)
    x, weights, normal = operands(seed, 8, 1.0)
    offsets = ConverterOffsets()
    compare(TileRow(weights, target), target, x, weights, normal, offsets, exact=False)


def test_the_usual_arithmetic_is_exact_where_a_dac_makes_whole_numbers():
    weights = torch.rand(4, 8)
    assert TileRow(weights, variant()).arithmetic is EXACT
    assert TileRow(weights, variant(tile__dac=None)).arithmetic is FLOATS


@pytest.mark.parametrize("arithmetic", [EXACT, FLOATS])
@pytest.mark.parametrize("law", ["conductance", "constant"])
def test_a_one_hot_read_is_the_law_for_one_row_at_a_time(arithmetic, law):
    """``read_one_hot`` and ``multiply`` of the identity: the same formula, but for the grid and an edge of a step."""
    target = variant(tile__ir_drop=WIRES, tile__read_noise_law=law, tile__short_term_read_noise=0.1)
    _, weights, _ = operands(0, 8, 1.0)
    offsets = ConverterOffsets(torch.linspace(-2, 2, ROWS), torch.linspace(3, -3, COLUMNS))
    normal = torch.randn(COLUMNS, ROWS)
    row = TileRow(weights, target, offsets=offsets, arithmetic=arithmetic)
    product, one_hot = row.multiply(torch.eye(ROWS), 1.0, normal.T), row.read_one_hot(weights, normal)
    difference = (product.T - one_hot).abs()
    # read noise of a weight in steps of 1/64 is off by up to .1 sqrt(1/64), a few LSB, where it is by itself
    assert difference.max() <= 3 * target.tile.adc.step
    assert (difference > target.tile.adc.step * 0.5).double().mean() < (0.4 if arithmetic is EXACT else 0.02)


class StraightThrough(Floats):
    """Floats whose converters pass gradients: what training will need of the interface."""

    def dac(self, values, input_range, dac):
        asked, driven = super().dac(values.detach(), input_range, dac)
        exact = (values / input_range).clamp(-dac.bound, dac.bound)
        return tuple(type(drive)(exact + (drive.numbers - exact).detach(), 1.0) for drive in (asked, driven))

    def adc(self, currents, adc, offset):
        exact = currents.clamp(-adc.bound, adc.bound)
        return exact + (super().adc(currents.detach().clone(), adc, offset) - exact).detach()


def test_an_arithmetic_may_carry_gradients():
    """Outputs are those of floats; gradients those of the product, through noise and IR drop."""
    target = variant(tile__ir_drop=WIRES)
    x, weights, normal = operands(1, 8, 1.0)
    x = x.clamp(-0.9, 0.9).requires_grad_()
    weights.requires_grad_()
    row = TileRow(weights, target, arithmetic=StraightThrough())
    outputs = row.multiply(x, 1.0, normal)
    assert torch.equal(outputs, TileRow(weights.detach(), target, arithmetic=FLOATS).multiply(x.detach(), 1.0, normal))
    by_inputs, by_weights = torch.autograd.grad(outputs.sum(), [x, weights])
    for found, product in ((by_inputs, weights.sum(dim=0).expand_as(x)), (by_weights, x.sum(dim=0).expand(10, -1))):
        similar = torch.nn.functional.cosine_similarity(found.flatten(), product.flatten(), dim=0)
        assert similar > 0.95, "of the product, less what noise and wires change"
