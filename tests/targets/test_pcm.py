"""PCM statistics against the published golden values and closed forms."""

import math

import pytest
import torch

from tests.narrowing import analog, instance
from tilewright.targets.devices import statistics_of
from tilewright.targets.devices.pcm import clipped_logarithm
from tilewright.targets.spec.device import PcmDevice

# g, σ_prog in µS, μ_ν, σ_ν, Q_s (hardware model of the project, from Joshi 2020)
GOLDEN = [
    (0.0, 0.2635, 0.1000, 0.0450, 0.2000),
    (0.05, 0.3588, 0.0708, 0.0315, 0.0617),
    (0.10, 0.4482, 0.0601, 0.0229, 0.0393),
    (0.25, 0.6814, 0.0490, 0.0114, 0.0217),
    (0.50, 0.9527, 0.0490, 0.0080, 0.0138),
    (0.75, 1.0774, 0.0490, 0.0080, 0.0106),
    (1.00, 1.0554, 0.0490, 0.0080, 0.0088),
]
GROWTH = {1: 4.190, 3600: 4.765, 86400: 5.087, 604800: 5.275, 2592000: 5.411, 31536000: 5.637}
DRIFT = {1: 0.9976, 3600: 0.7751, 86400: 0.6635, 604800: 0.6032, 2592000: 0.5617, 31536000: 0.4969}


@pytest.fixture(scope="module")
def device():
    return instance(analog("pcm-512").device, PcmDevice)


@pytest.mark.parametrize(("g", "sigma", "mean", "spread", "q"), GOLDEN)
def test_golden_values(device, g, sigma, mean, spread, q):
    statistics = statistics_of(device)
    conductance = torch.tensor([g], dtype=torch.float64)
    # programming noise is normalised: 25 times the golden value in µS would be the classic mistake
    assert statistics.programming_deviation(conductance).item() * 25 == pytest.approx(sigma, abs=6e-5)
    assert clipped_logarithm(device.drift.exponent_mean, conductance).item() == pytest.approx(mean, abs=6e-5)
    assert clipped_logarithm(device.drift.exponent_spread, conductance).item() == pytest.approx(spread, abs=6e-5)
    at_one_second = statistics.accumulated_deviation(conductance, 1.0).item()
    assert at_one_second / GROWTH[1] == pytest.approx(q, abs=6e-5)


@pytest.mark.parametrize(("seconds", "growth"), GROWTH.items())
def test_accumulated_noise_grows_with_the_logarithm_of_time(device, seconds, growth):
    one = torch.ones(1, dtype=torch.float64)
    assert statistics_of(device).accumulated_deviation(one, seconds).item() == pytest.approx(0.0088 * growth, rel=2e-4)


@pytest.mark.parametrize(("seconds", "factor"), DRIFT.items())
def test_drift_factor(device, seconds, factor):
    statistics = statistics_of(device)
    assert math.exp(-0.049 * statistics.drift_logarithm(seconds)) == pytest.approx(factor, abs=6e-5)


def test_nothing_drifts_at_time_zero_and_nothing_grows_later(device):
    statistics = statistics_of(device)
    assert statistics.drift_logarithm(0.0) == 0.0
    exponents = statistics.drift_exponent(torch.full((1000,), 0.1), torch.linspace(-6, 6, 1000))
    assert (exponents >= 0).all()
    assert (exponents == 0).any()


def test_reduced_noise_scales_programming_and_read_noise_but_not_drift(device):
    half = type(device.programming.scale)(0.5, "1", "test")
    reduced = device.model_copy(
        update={
            "programming": device.programming.model_copy(update={"scale": half}),
            "accumulated_noise": device.accumulated_noise.model_copy(update={"scale": half}),
        }
    )
    g = torch.linspace(0, 1, 11)
    full, less = statistics_of(device), statistics_of(reduced)
    torch.testing.assert_close(less.programming_deviation(g), full.programming_deviation(g) / 2)
    torch.testing.assert_close(less.accumulated_deviation(g, 60.0), full.accumulated_deviation(g, 60.0) / 2)
    normal = torch.randn(11)
    torch.testing.assert_close(less.drift_exponent(g, normal), full.drift_exponent(g, normal))
