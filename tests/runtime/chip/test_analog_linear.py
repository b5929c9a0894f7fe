"""Layers on tiles."""

import pytest
import torch

from tests.narrowing import analog
from tests.on_tiles import layer_on_tiles as make
from tests.on_tiles import read
from tests.variants import EXACT_DEVICE, QUIET, variant
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use
from tilewright.runtime.units.full_precision import DigitalLinear
from tilewright.targets.loading import load_target


def test_on_the_ideal_target_blocks_add_up_to_the_layer():
    weight, bias = torch.randn(100, 150), torch.randn(100)
    splits = ([50, 50, 50], [34, 33, 33])
    x = torch.randn(4, 7, 150)
    analog = make(weight, load_target("ideal"), bias=bias, splits=splits, uses=[Use(0.37, SAMPLES_FIRST)])
    torch.testing.assert_close(analog(x), DigitalLinear(weight, bias)(x), rtol=1e-5, atol=1e-4)


def test_uses_share_their_devices_but_have_their_own_ranges():
    weight = torch.randn(32, 64)
    target = variant(**QUIET, tile__adc=None, tile__scale_precision="float32")
    layer = make(weight, target, uses=[Use(1.0, SAMPLES_FIRST), Use(4.0, SAMPLES_FIRST)])
    x = torch.rand(10, 64) * 2 - 1
    # same devices: an input scaled with the range gives the scaled output, noise of the devices included
    torch.testing.assert_close(layer(4 * x, 1), 4 * layer(x, 0), rtol=1e-5, atol=1e-4)
    clipped = layer(4 * x, 0)
    assert (clipped - layer(4 * x, 1)).abs().max() > 1


def test_scale_is_rounded_to_the_targets_precision():
    weight = torch.rand(8, 16) + 0.1
    x = torch.rand(3, 16)
    exact = {**QUIET, **EXACT_DEVICE, "tile__adc": None, "tile__dac": None, "drift_compensation": "none"}
    full = make(weight, variant(**exact, tile__scale_precision="float32"))(x)
    rounded = make(weight, variant(**exact))(x)
    ratio = rounded / full
    assert (ratio - 1).abs().max() < 2**-8
    assert (ratio - 1).abs().max() > 0
    torch.testing.assert_close(ratio[0], ratio[1], rtol=1e-5, atol=1e-5)  # one scale a column


def test_a_channel_scale_changes_nothing_but_how_converters_are_used():
    weight, x = torch.randn(32, 48), torch.randn(5, 48)
    scale = torch.logspace(-1, 1, 48)
    layer = make(weight, analog("ideal"), splits=([24, 24], [32]), channel_scale=scale)
    torch.testing.assert_close(layer(x), x @ weight.T, rtol=1e-5, atol=1e-4)


def test_compensation_factor_is_the_reference_reading_over_the_reading_now():
    """Devices of one ν lose a known factor; the compensation, read through the tile's noise, gives it back."""
    target = variant(
        device__drift__exponent_mean__minimum=0.06,
        device__drift__exponent_mean__maximum=0.06,
        device__drift__exponent_spread__minimum=0,
        device__drift__exponent_spread__maximum=0,
        device__accumulated_noise__scale=0,
    )
    layer = make(torch.randn(200, 300), target, splits=([150, 150], [100, 100]))
    layer.advance_to(2592000.0)
    expected = (1 + 2592000.0 / 20) ** 0.06
    for block in layer.row_blocks:
        correction = block.correction.factor
        assert correction.shape == (200,)
        assert len(correction.unique()) == 2  # one factor a tile
        assert correction.tolist() == pytest.approx([expected] * 200, rel=0.03)


def test_without_compensation_nothing_is_corrected():
    layer = make(torch.randn(20, 30), variant(), compensate=False)
    layer.advance_to(1e6)
    assert (layer.row_blocks[0].correction.factor == 1).all()


def test_a_layer_of_zeros_reads_as_its_bias():
    bias = torch.arange(4.0)
    layer = make(torch.zeros(4, 8), variant(**QUIET), bias=bias)
    layer.advance_to(3600.0)
    assert torch.equal(layer(torch.randn(2, 8)), bias.expand(2, 4))


def test_what_does_not_depend_on_the_batch_is_read_once():
    layer = make(torch.randn(16, 32), variant(), uses=[Use(1.0, None)])
    x = torch.rand(6, 32)
    assert torch.equal(read(layer, x, [7, 8, 9]), read(layer, x, [7]))


def test_folded_batches_have_the_noise_of_their_samples():
    """[batch · sequence, inputs] reads the same as [batch, sequence, inputs]."""
    layer = make(torch.randn(16, 32), variant())
    x = torch.rand(2, 5, 32)
    assert torch.equal(read(layer, x, [3, 4]).reshape(10, 16), read(layer, x.reshape(10, 32), [3, 4]))


def test_samples_are_read_side_by_side_where_it_is_worth_a_thread():
    """Groups cover the samples once and in order; small work, one thread, or rows that lie apart stay together."""
    layer = make(torch.randn(512, 64), load_target("pcm-512"))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for samples, after in ((1, 128), (2, 128), (7, 128), (8, 500), (300, 1), (3, 5000)):
            groups = layer._groups(samples, (1, after))
            assert [sample for group in groups for sample in group] == list(range(samples))
            if len(groups) > 1:
                assert min(map(len, groups[:-1])) * after * 512 >= 2**15
        assert len(layer._groups(8, (1, 128))) == 2
        assert len(layer._groups(8, (1, 1000))) == 8
        assert len(layer._groups(8, (128, 1))) == 1
        assert len(layer._groups(30, (1, 2))) == 1
        torch.set_num_threads(1)
        assert len(layer._groups(8, (1, 128))) == 1
    finally:
        torch.set_num_threads(before)
