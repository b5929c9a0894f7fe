"""Ranges of each vector's own: noise management and bound management."""

import pytest
import torch

from tests.on_tiles import layer_on_tiles as layer
from tests.on_tiles import read
from tests.variants import EXACT_DEVICE, QUIET, variant
from tilewright.runtime.chip.converters import to_levels
from tilewright.runtime.chip.own_ranges import multiply_with, read_with_own_ranges
from tilewright.runtime.chip.tile import TileRow
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use


def dynamic(doublings=3, **changes):
    reading = {"value": doublings, "unit": "reading", "source": "test"}
    return variant(tile__input_range={"rule": "dynamic", "doublings": reading}, **changes)


def test_every_vector_uses_the_whole_dac():
    """The product without noise is y = α q(x/α) W with α = max|x| of each vector, whatever the vector's size."""
    exact = {**QUIET, **EXACT_DEVICE, "tile__adc": None, "tile__scale_precision": "float32"}
    target = dynamic(**exact, drift_compensation="none")
    weight = torch.rand(16, 32) * 2 - 1
    x = torch.randn(64, 32) * torch.logspace(-3, 3, 64).unsqueeze(1)
    largest = x.abs().amax(dim=1, keepdim=True)
    expected = to_levels(x, largest, target.tile.dac).double() / 127 * largest @ weight.double().T
    # the grid of 2^-13 moves a sum of 32 by less than 32 · 2^-14
    torch.testing.assert_close(layer(weight, target)(x).double() / largest, expected / largest, rtol=0, atol=2e-3)


def test_a_vector_of_zeros_reads_zero():
    assert (layer(torch.randn(4, 8), dynamic(**QUIET))(torch.zeros(64, 8)) == 0).all()


@pytest.mark.parametrize(("doublings", "expected"), [(0, 10.0), (1, 20.0), (2, 32.0), (5, 32.0)])
def test_saturated_vectors_are_read_again_with_twice_the_range(doublings, expected):
    """32 rows of weight 1 driven by 1 sum to 32; the ADC ends at 10: read at α = 1, 2, 4."""
    row = TileRow(torch.ones(1, 32), variant(**QUIET))
    x = torch.ones(1, 32)
    outputs = read_with_own_ranges(multiply_with(row, lambda _: None), x, doublings, row.tile.adc)
    assert outputs.item() == pytest.approx(expected, rel=0.01)


def test_only_saturated_vectors_are_read_again():
    row = TileRow(torch.ones(1, 32), variant(**QUIET))
    asked = []

    def noise(reading):
        asked.append(reading)
        return torch.zeros(2, 1)

    x = torch.stack([torch.ones(32), torch.cat([torch.ones(1), torch.zeros(31)])])
    outputs = read_with_own_ranges(multiply_with(row, noise), x, 3, row.tile.adc)
    assert asked == [0, 1, 2]
    assert outputs.flatten().tolist() == pytest.approx([32.0, 1.0], rel=0.01)


def test_the_bits_do_not_depend_on_the_batch():
    weight = torch.rand(16, 64) * 0.8 + 0.1  # large sums: many vectors saturate
    x = torch.rand(8, 5, 64)
    whole, again = layer(weight, dynamic()), layer(weight, dynamic())
    assert torch.equal(read(again, x[5:7], [5, 6]), read(whole, x, range(8))[5:7])


def test_own_ranges_help_where_one_vector_is_far_larger():
    weight = torch.randn(64, 128)
    x = torch.randn(64, 128)
    x[0] *= 100
    one_range = layer(weight, variant(), uses=[Use(float(x.abs().max()), SAMPLES_FIRST)])
    exact = x @ weight.T
    errors = [float((made(x) - exact)[1:].norm() / exact[1:].norm()) for made in (one_range, layer(weight, dynamic()))]
    assert errors[1] < 0.5 * errors[0]
