"""Columns of zeros read as exactly zero, and make no other column worse."""

import pytest
import torch

from tests.narrowing import digital
from tests.on_tiles import layer_on_tiles
from tests.variants import method_variant, variant
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.targets.loading import load_target

MONTH = 2592000.0
ROWS, COLUMNS = 64, 48
X = torch.rand(128, ROWS, generator=torch.Generator().manual_seed(1)) * 2 - 1
DENSE = torch.randn(COLUMNS, ROWS, generator=torch.Generator().manual_seed(0)) * 0.004
STUCK = {kind: {"value": 0.01, "unit": "1", "source": "test"} for kind in ("at_zero", "at_maximum")}
OFFSET = {"value": 0.5, "unit": "LSB", "source": "test"}


def pruned(dead):
    weight = DENSE.clone()
    weight[dead] = 0
    return weight


def make(weight, target, *, method="direct", clip=None, repeat=0):
    splits = ([ROWS // 2] * 2, [COLUMNS // 2] * 2)
    method = method if not isinstance(method, str) else method_variant(method)
    return layer_on_tiles(
        weight, target, splits=splits, repeat=repeat, method=method, clip=clip, calibration=X[:64] / 1.5
    )


def relative_error(weight, columns, repeats=3, time=MONTH, **settings):
    """Relative error of some columns, mean over chips, from the product of the same columns."""
    exact, total = (X.double() @ weight.double().T)[:, columns], 0.0
    for repeat in range(repeats):
        layer = make(weight, repeat=repeat, **settings)
        layer.advance_to(time)
        total += float((layer(X)[:, columns] - exact).norm() / exact.norm())
    return total / repeats


@pytest.mark.parametrize(
    "settings",
    [
        {"target": variant()},
        {"target": variant(drift_compensation="per_column")},
        {"target": variant(drift_compensation="affine", tile__adc__offset=OFFSET, tile__dac__offset=OFFSET)},
        {"target": variant(tile__weight_scale="per_tile")},
        {"target": variant(stuck_devices=STUCK)},
        {"target": variant(device__inactive_device="programmed")},
        {"target": variant(tile__scale_precision="float32", tile__dac=None, tile__adc=None)},
        {"target": variant(), "clip": 2.0},
        {"target": load_target("pcm-512-dynamic")},
        {"target": load_target("ftj-extreme")},
        {"target": variant(), "method": "most-least"},
        {"target": variant(), "method": "closed-loop-random"},
    ],
)
def test_columns_and_tiles_of_zeros_are_exact_on_every_kind_of_tile(settings):
    weight = pruned(slice(0, COLUMNS // 2))  # a whole tile: where tiles have one scale it is the tile that is zero
    for dead in (weight, torch.zeros_like(weight)):
        layer = make(dead, **settings)
        for time in (0.0, MONTH):
            layer.advance_to(time)
            outputs = layer(X)
            zero = (dead == 0).all(dim=1)
            assert outputs.isfinite().all()
            assert layer.held_weights().isfinite().all()
            assert (outputs[:, zero] == 0).all()
            assert (layer.held_weights()[zero] == 0).all()
            assert (outputs[:, ~zero] != 0).any(dim=0).all()


@pytest.mark.parametrize("compensation", ["none", "global", "per_column", "affine"])
@pytest.mark.parametrize("dead", [4, COLUMNS - 2])
def test_the_other_columns_are_as_exact_as_they_were(compensation, dead):
    """A month after programming, also where nearly all of a tile is zero; chips are the same on both sides."""
    target = variant(drift_compensation=compensation)
    weight = pruned(torch.arange(COLUMNS) % (COLUMNS // 2) < dead // 2)
    alive = (weight != 0).any(dim=1)
    assert relative_error(weight, alive, target=target) < 1.1 * relative_error(DENSE, alive, target=target)


def test_the_blocks_beside_a_diagonal_add_no_noise():
    """Half of all blocks hold zeros: a column's second row-block is not in its sum."""
    weight = DENSE.clone()
    weight[: COLUMNS // 2, ROWS // 2 :] = weight[COLUMNS // 2 :, : ROWS // 2] = 0
    everything = torch.ones(COLUMNS, dtype=torch.bool)
    found, dense = (relative_error(w, everything, target=variant(), time=1.0) for w in (weight, DENSE))
    assert found < 1.1 * dense


@pytest.mark.parametrize("clip", [1.5, None])
def test_weights_of_any_size_are_held_alike(clip):
    """Scales follow the weights down to where float32 ends; a root mean square that underflows cuts nothing."""
    everything = torch.ones(COLUMNS, dtype=torch.bool)
    small, usual = (relative_error(DENSE * factor, everything, 1, target=variant(), clip=clip) for factor in (1e-24, 1))
    assert small < 1.1 * usual


@pytest.mark.parametrize("weights", ["int8", "int16", "bf16"])
@pytest.mark.parametrize("inputs", ["int8", "int16", "bf16"])
def test_digital_units_hold_zeros(weights, inputs):
    unit = digital("digital-int8", {"weights": weights, "inputs": inputs})
    made = DigitalUnitLinear(pruned(slice(3, 9)), None, unit, [1.0])
    assert made(X).isfinite().all()
    assert (made(X)[:, 3:9] == 0).all()
    assert (made.held_weights()[3:9] == 0).all()


def test_nothing_is_known_of_a_gain_that_was_never_driven():
    """Calibration inputs that do not vary tell no gain: taken for a gain of zero they would subtract all outputs."""
    layer = make(DENSE, variant(drift_compensation="affine"))
    layer.calibration = (X[:1] / 1.5).expand(8, -1)
    layer.advance_to(0.0)
    assert all((block.correction.factor == 1).all() for block in layer.row_blocks)
    assert float((layer(X) - X @ DENSE.T).norm() / (X @ DENSE.T).norm()) < 0.3
