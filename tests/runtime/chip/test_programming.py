"""Weights to conductances."""

import pytest
import torch
from scipy.stats import kstest

from tests.narrowing import analog
from tests.variants import variant
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.drift import conductances_at
from tilewright.runtime.chip.programming import cells_of, weight_scale
from tilewright.runtime.chip.programming.writing import write
from tilewright.targets.devices import statistics_of
from tilewright.targets.loading import load_programming

CONFIDENCE = 1e-3
PCM = statistics_of(analog("pcm-512").device)
NOISY_ZERO = statistics_of(variant(device__inactive_device="programmed").device)


DIRECT = load_programming("direct")


def to_pairs(weight, statistics):
    return cells_of(weight, DIRECT, statistics.writes_zero)


def test_column_scale_is_the_largest_weight_of_each_column():
    weight = torch.tensor([[0.5, -2.0], [0.0, 0.0]])
    assert weight_scale(weight, [2]).tolist() == [2.0, 0.0]


@pytest.mark.parametrize(("statistics", "devices"), [(PCM, 1), (NOISY_ZERO, 2)])
def test_pairs_hold_the_weights(statistics, devices):
    weight = torch.rand(20, 30) * 2 - 1
    pairs = to_pairs(weight, statistics)
    assert pairs.wanted.shape == (devices, 20, 30)
    assert pairs.wanted.min() >= 0
    torch.testing.assert_close(pairs.weights(pairs.wanted), weight)


def test_inactive_device_is_silent_by_default_and_written_where_the_target_says():
    weight = torch.full((200, 200), 0.5)
    pairs = to_pairs(weight, PCM)
    assert write(pairs, PCM, Draws(0, 0), "x").shape[0] == 1
    both = write(to_pairs(weight, NOISY_ZERO), NOISY_ZERO, Draws(0, 0), "x")
    minus = both[1]
    # half of N(0, 0.2635 µS / 25 µS) is cut at zero
    assert (minus == 0).double().mean().item() == pytest.approx(0.5, abs=0.02)
    assert minus[minus > 0].square().mean().sqrt().item() == pytest.approx(0.26348 / 25, rel=0.02)


@pytest.mark.parametrize("g", [0.25, 0.5, 1.0])
def test_one_write_is_normal_with_the_published_deviation(g):
    pairs = to_pairs(torch.full((300, 300), g), PCM)
    written = write(pairs, PCM, Draws(5, 0), "layer").double().flatten()
    sigma = (-1.1731 * g**2 + 1.9650 * g + 0.26348) / 25
    assert kstest(((written - g) / sigma).numpy(), "norm").pvalue > CONFIDENCE


def test_zero_weights_stay_zero():
    pairs = to_pairs(torch.zeros(10, 10), PCM)
    assert (pairs.weights(write(pairs, PCM, Draws(0, 0), "x")) == 0).all()


def quiet_later():
    return statistics_of(variant(device__accumulated_noise__scale=0).device)


def test_a_chip_keeps_its_drift_exponents():
    """ln(g/g_prog) / -ln((t+t0)/t0) is the same ν at every time, and normal as published."""
    statistics, g = quiet_later(), 0.5
    pairs = to_pairs(torch.full((300, 300), g), statistics)
    draws = Draws(1, 0)
    programmed = write(pairs, statistics, draws, "x")
    exponents = []
    for seconds in (3600.0, 2592000.0):
        held = conductances_at(seconds, programmed, pairs, statistics, draws, "x").double()
        exponents.append(-(held / programmed.double()).log() / statistics.drift_logarithm(seconds))
    torch.testing.assert_close(exponents[0], exponents[1], rtol=1e-3, atol=1e-5)
    assert kstest(((exponents[0] - 0.049) / 0.008).flatten().numpy(), "norm").pvalue > CONFIDENCE


def test_accumulated_noise_is_frozen_at_a_time_and_new_at_another():
    pairs = to_pairs(torch.full((300, 300), 0.5), PCM)
    draws = Draws(1, 0)
    programmed = torch.full_like(pairs.wanted, 0.5)
    quiet = statistics_of(variant(device__accumulated_noise__scale=0).device)
    noises = {}
    for seconds in (1.0, 3600.0):
        held = conductances_at(seconds, programmed, pairs, PCM, draws, "x").double()
        drifted = conductances_at(seconds, programmed, pairs, quiet, draws, "x").double()
        noises[seconds] = (held / drifted - 1).flatten()
        again = conductances_at(seconds, programmed, pairs, PCM, draws, "x").double()
        assert torch.equal(held, again)
    sigma = 0.0088 / 0.5**0.65 * 4.190
    assert kstest((noises[1.0] / sigma).numpy(), "norm").pvalue > CONFIDENCE
    correlation = torch.corrcoef(torch.stack([noises[1.0], noises[3600.0]]))[0, 1].item()
    assert abs(correlation) < 4 / 90_000**0.5


@pytest.mark.parametrize("target", ["pcm-512", "ftj-extreme"])
def test_no_exponent_is_drawn_at_time_zero_and_not_a_bit_changes(target):
    """The drift's factor at time 0 is exp(-ν · 0) = 1 whatever ν is."""
    statistics, asked = statistics_of(analog(target).device), []

    class Watched(Draws):
        def key(self, *name):
            asked.append(name)
            return super().key(*name)

    pairs = to_pairs(torch.rand(30, 40) * 2 - 1, statistics)
    written = write(pairs, statistics, Draws(0, 0), "x")
    before = written.clone()
    found = conductances_at(0.0, written, pairs, statistics, Watched(0, 0), "x")
    factor = statistics.drift_exponent(pairs.wanted, torch.ones_like(written)).mul_(-0.0).exp_()
    expected = factor.mul_(written)
    if statistics.accumulates_noise:
        noise = statistics.accumulated_deviation(written, 0.0)
        expected += expected * noise.mul_(Draws(0, 0).normal(written.shape, "x", "accumulated noise", 0.0))
    assert torch.equal(found, expected.clamp_(min=0.0))
    assert torch.equal(written, before)
    assert not [name for name in asked if "drift exponent" in name]
    conductances_at(1.0, written, pairs, statistics, Watched(0, 0), "x")
    assert bool([name for name in asked if "drift exponent" in name]) == statistics.exponent_varies
