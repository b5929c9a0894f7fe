"""Compensation of drift: factors from one-hot readings, and fits to calibration inputs."""

import pytest
import torch

from tests.narrowing import present
from tests.on_tiles import layer_on_tiles
from tests.variants import QUIET, variant
from tilewright.runtime.chip.compensation import fitted, from_readings, over_tiles
from tilewright.runtime.measuring.characterize import characterize
from tilewright.targets.loading import load_target

MONTH = 2592000.0


def test_factors_are_reference_over_reading():
    reference, reading = torch.tensor([4.0, 6.0, 1.0]), torch.tensor([2.0, 3.0, 0.0])
    assert from_readings(reference, reading).factor.tolist() == [2.0, 2.0, 1.0]
    assert over_tiles(torch.tensor([1.0, 2.0, 5.0]), [2, 1]).tolist() == [3.0, 3.0, 5.0]


def test_a_fit_undoes_gain_and_shift_exactly_without_noise():
    exact = torch.randn(64, 6)
    gain, shift = torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9, 1.1]), torch.tensor([0.3, -0.2, 0.1, 0.0, -0.4, 0.2])
    found = fitted(gain * exact + shift, exact, [3, 3])
    torch.testing.assert_close(
        found.factor * (gain * exact + shift) + present(found.offset), exact, rtol=1e-4, atol=1e-4
    )


def test_a_fit_to_noise_alone_falls_back_on_the_tile():
    """Readings ten times noisier than what they read: each column's own gain is unknown, the tile's is not."""
    generator = torch.Generator().manual_seed(0)
    exact = torch.randn(256, 512, generator=generator)
    read = 0.5 * exact + 10 * torch.randn(256, 512, generator=generator)
    found = fitted(read, exact, [512])
    own = ((exact - exact.mean(0)) * read).sum(0) / (exact - exact.mean(0)).square().sum(0)
    assert own.std() > 0.5  # what a fit of each column alone would give
    assert (1 / found.factor).std() < 0.15
    assert (1 / found.factor).mean() == pytest.approx(0.5, abs=0.15)
    assert present(found.offset).abs().mean() < 0.5


def test_zeros_are_left_alone():
    found = fitted(torch.zeros(8, 4), torch.zeros(8, 4), [4])
    assert torch.equal(found.factor, torch.ones(4))
    assert torch.equal(present(found.offset), torch.zeros(4))


def make(target, weight, calibration, repeat=0, seconds=0.0):
    splits = ([weight.shape[1]], [weight.shape[0] // 2] * 2)
    return layer_on_tiles(weight, target, splits=splits, repeat=repeat, calibration=calibration, seconds=seconds)


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("compensation", ["none", "global", "per_column", "affine"])
def test_a_layer_that_begins_at_a_time_is_one_that_was_advanced_to_it(compensation, calibrated):
    weight = (torch.randn(64, 128) * 0.246).clamp(-1, 1)
    x = torch.rand(256, 128) * 2 - 1
    target, calibration = variant(drift_compensation=compensation), x[:128] if calibrated else None
    begun, advanced = make(target, weight, calibration, seconds=MONTH), make(target, weight, calibration)
    advanced.advance_to(MONTH)
    assert torch.equal(begun(x), advanced(x))


def test_offsets_of_converters_are_fitted_away():
    """Each ADC adds its own constant: factors cannot undo it, a fit does."""
    weight = (torch.randn(64, 128) * 0.246).clamp(-1, 1)
    x = torch.rand(256, 128) * 2 - 1
    offset = {"value": 20, "unit": "LSB", "source": "test"}
    errors = {}
    for compensation in ("global", "per_column", "affine"):
        layer = make(variant(tile__adc__offset=offset, drift_compensation=compensation), weight, x[:128])
        layer.advance_to(3600.0)
        errors[compensation] = float((layer(x) - x @ weight.T).norm() / (x @ weight.T).norm())
    assert errors["affine"] < 0.6 * min(errors["global"], errors["per_column"])


def test_what_clips_at_the_dac_is_no_error_of_the_tile():
    """Inputs ten times the range, without noise: the fit finds factor 1 and offset 0."""
    quiet = variant(**QUIET, device={"statistics": "ideal"}, tile__adc=None, drift_compensation="affine",
                    tile__scale_precision="float32")  # fmt: skip
    calibration = torch.randn(64, 32)
    calibration[0] *= 100
    layer = make(quiet, torch.randn(16, 32), calibration)
    torch.testing.assert_close(layer.row_blocks[0].correction.factor, torch.ones(16), rtol=1e-2, atol=1e-2)
    assert layer.row_blocks[0].correction.offset.abs().max() < 0.01


def mean_and_error(changes, time="1mo", repeats=6, **problem):
    target = load_target("pcm-512", changes)
    point = characterize(target, times=[time], repeats=repeats, rows=256, columns=256, **problem).curves[0].points[0]
    return point.mean, point.standard_error


def test_compensation_beats_none_and_affine_beats_global_after_a_month():
    """Means of six chips, three standard errors apart on both sides."""
    found = {c: mean_and_error({"drift_compensation": c}) for c in ("none", "global", "per_column", "affine")}
    for worse, better in (("none", "global"), ("none", "per_column"), ("global", "affine")):
        upper = found[better][0] + 3 * found[better][1]
        assert upper < found[worse][0] - 3 * found[worse][1], (worse, better, found)
    # one factor a tile is as good as one a column, whose readings are noisier
    assert found["per_column"][0] == pytest.approx(found["global"][0], rel=0.03)


def test_corrections_are_read_through_noise():
    """Two times give two factors, not the drift's own; the same time gives the same."""
    layer = make(variant(), (torch.randn(64, 128) * 0.246).clamp(-1, 1), None)
    factors = []
    for seconds in (MONTH, 3600.0, MONTH):
        layer.advance_to(seconds)
        factors.append(layer.row_blocks[0].correction.factor.clone())
    assert torch.equal(factors[0], factors[2])
    assert not torch.equal(factors[0], factors[1])


def test_without_calibration_inputs_affine_is_global():
    weight = (torch.randn(64, 128) * 0.246).clamp(-1, 1)
    one, other = (make(variant(drift_compensation=kind), weight, None) for kind in ("affine", "global"))
    for layer in (one, other):
        layer.advance_to(MONTH)
    assert torch.equal(one.row_blocks[0].correction.factor, other.row_blocks[0].correction.factor)
    assert one.row_blocks[0].correction.offset is None


@pytest.mark.parametrize("vectors", [1, 2])
def test_few_calibration_inputs_give_finite_corrections(vectors):
    layer = make(variant(drift_compensation="affine"), torch.randn(64, 128), torch.rand(vectors, 128))
    layer.advance_to(MONTH)
    assert layer.row_blocks[0].correction.factor.isfinite().all()
    assert layer(torch.rand(256, 128)).isfinite().all()
