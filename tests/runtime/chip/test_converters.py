"""Converters that are not quite straight: curves and offsets."""

import pytest
import torch
from scipy.stats import kstest

from tests.on_tiles import layer_on_tiles
from tests.variants import EXACT_DEVICE, QUIET, variant
from tilewright.runtime.chip.converters import FINE, bend, bent_levels, read_out, to_levels
from tilewright.runtime.chip.tile import ConverterOffsets, TileRow


def lsb(value):
    return {"value": value, "unit": "LSB", "source": "test"}


def exact_target(**changes):
    plain = {"tile__adc": None, "tile__dac": None, "tile__scale_precision": "float32", "drift_compensation": "none"}
    return variant(**{**QUIET, **EXACT_DEVICE, **plain, **changes})


def converters(**changes):
    return variant(**QUIET, **changes).tile


@pytest.mark.parametrize("nonlinearity", [-3.0, 0.5, 2.0])
def test_the_curve_deviates_by_its_nonlinearity_and_is_right_at_zero_and_at_both_ends(nonlinearity):
    adc = converters(tile__adc__nonlinearity=lsb(nonlinearity)).adc
    fraction = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    wrong = (bend(fraction, adc) - fraction) * adc.levels
    assert wrong[[0, 10000, 20000]].abs().max() < 1e-9
    assert wrong.max().item() == pytest.approx(abs(nonlinearity), rel=1e-3)
    expected = nonlinearity * fraction * (1 - fraction**2) * 27**0.5 / 2
    torch.testing.assert_close(wrong, expected, rtol=1e-5, atol=1e-7)


def test_a_bent_adc_reads_the_curve():
    adc = converters(tile__adc__nonlinearity=lsb(4)).adc
    currents = torch.linspace(-12, 12, 501)
    read = read_out(currents.clone(), adc)
    expected = bend((currents.double() / 10).clamp(-1, 1), adc) * 10
    assert (read - expected).abs().max() <= adc.step * 0.5001
    assert read.abs().max() == pytest.approx(10)


def test_a_bent_dac_drives_the_curve():
    dac = converters(tile__dac__nonlinearity=lsb(2)).dac
    levels = to_levels(torch.linspace(-1, 1, 255), 1.0, dac)
    driven = bent_levels(levels, dac).double() / FINE
    expected = bend(levels.double() / 127, dac) * 127
    assert (driven - expected).abs().max() <= 0.5 / FINE + 1e-9
    target = variant(**QUIET, tile__adc=None, tile__dac__nonlinearity=lsb(2))
    weights, inputs = torch.rand(8, 32) * 2 - 1, torch.rand(5, 32) * 2 - 1
    exact = bend(to_levels(inputs, 1.0, dac).double() / 127, dac) @ weights.double().T
    torch.testing.assert_close(TileRow(weights, target).multiply(inputs, 1.0, None).double(), exact, rtol=0, atol=2e-3)


def test_offsets_are_added_once_for_every_read():
    target = variant(**QUIET)
    offsets = ConverterOffsets(dac=torch.full((32,), 2.0), adc=torch.tensor([5.0, -7.0]))
    weights = torch.rand(2, 32)
    outputs = TileRow(weights, target, offsets=offsets).multiply(torch.zeros(3, 32), 1.0, None)
    expected = weights.sum(dim=1) * 2 / 127 + torch.tensor([5.0, -7.0]) * target.tile.adc.step
    assert (outputs - expected).abs().max() <= target.tile.adc.step * 0.51
    one_hot = TileRow(weights, target, offsets=offsets).read_one_hot(weights, torch.zeros(2, 32))
    assert (one_hot - weights - expected.unsqueeze(1)).abs().max() <= target.tile.adc.step * 0.51


def test_offsets_are_drawn_once_a_chip_with_the_targets_deviation():
    weight = torch.randn(4000, 16)

    def offsets(repeat):
        target = variant(tile__adc__offset=lsb(3), tile__dac__offset=lsb(2))
        layer = layer_on_tiles(weight, target, splits=([16], [500] * 8), repeat=repeat)
        (block,) = layer.row_blocks
        before = block.offsets
        assert block.tiles.adc_offset is before.adc
        layer.advance_to(1e6)
        assert block.offsets == before
        assert block.tiles.adc_offset is before.adc
        return before

    first, second = offsets(0), offsets(1)
    assert kstest(first.adc.numpy() / 3, "norm").pvalue > 1e-3
    assert first.dac.shape == (16,)
    assert not torch.equal(first.adc, second.adc)


def test_without_options_converters_are_the_published_ones():
    tile = exact_target().tile
    assert tile.adc is None
    assert tile.dac is None
    plain = converters()
    assert plain.adc.nonlinearity is None
    assert plain.adc.offset is None
    values = torch.linspace(-1, 1, 11)
    assert bend(values, plain.adc) is values
