"""Weights are shared out over pairs of devices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from tests.narrowing import analog
from tests.variants import method_variant
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming import Programmer, cells_of, normalise, program, weight_scale
from tilewright.runtime.chip.programming.coding import nearest_state
from tilewright.runtime.chip.programming.writing import write
from tilewright.targets.devices import statistics_of
from tilewright.targets.loading import load_programming, target_names

CONFIDENCE = 1e-3
PCM = analog("pcm-512")
WEIGHTS = torch.rand(40, 50, generator=torch.Generator().manual_seed(1)) * 2 - 1
SIGNIFICANCES = [{"value": value, "unit": "1", "source": "test"} for value in (4, 2, 1)]


def coded(name, both=False, weights=WEIGHTS, **changes):
    return cells_of(weights, method_variant(name, **changes), both)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("name", [name for name in target_names("programming") if name not in ("amplitude-31",)])
def test_without_noise_every_coding_holds_the_weights(name, both):
    cells = coded(name, both)
    assert cells.wanted.min() >= 0
    assert cells.wanted.max() <= 1
    assert len(cells.wanted) == load_programming(name).pairs * (2 if both else 1)
    torch.testing.assert_close(cells.weights(cells.wanted), WEIGHTS, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("filling", ["shared", "in_order"])
def test_given_significances(filling, both):
    cells = coded("direct", both, coding__significances=SIGNIFICANCES, coding__filling=filling)
    torch.testing.assert_close(cells.weights(cells.wanted), WEIGHTS, rtol=1e-5, atol=1e-6)
    assert cells.significances[:: 2 if both else 1].tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    first = cells.wanted[0]
    expected = WEIGHTS.abs() if filling == "shared" else (WEIGHTS.abs() * 7 / 4).clamp(max=1)
    torch.testing.assert_close(cells.wanted[:2].amax(dim=0) if both else first, expected)


@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_pairs_average_the_noise_of_their_writes(pairs):
    """A weight's error is normal with σ(g)/sqrt(N)."""
    g = 0.5
    cells = coded(f"pairs-{pairs}" if pairs > 1 else "direct", weights=torch.full((300, 300), g))
    written = cells.weights(write(cells, statistics_of(PCM.device), Draws(5, 0), "layer")).double()
    sigma = (-1.1731 * g**2 + 1.9650 * g + 0.26348) / 25 / pairs**0.5
    assert kstest(((written - g) / sigma).flatten().numpy(), "norm").pvalue > CONFIDENCE


def test_unequal_significances_add_their_variances():
    g = 0.5
    cells = coded("direct", weights=torch.full((300, 300), g), coding__significances=SIGNIFICANCES)
    written = cells.weights(write(cells, statistics_of(PCM.device), Draws(5, 0), "layer")).double()
    sigma = (-1.1731 * g**2 + 1.9650 * g + 0.26348) / 25 * (16 + 4 + 1) ** 0.5 / 7
    assert kstest(((written - g) / sigma).flatten().numpy(), "norm").pvalue > CONFIDENCE
    assert cells.significance_power == pytest.approx(21 / 49)


def test_binary_analog_is_the_binary_expansion():
    """|w| = Σ b_k 2^-k + 2^-X a: 0.8125 = .1101 in binary; 1 is all ones and a full analog device."""
    cells = coded("binary-analog-3", weights=torch.tensor([[0.8125, -0.8125, 1.0, 0.0]]))
    assert cells.wanted[:3, 0].tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0]]
    assert cells.wanted[3, 0].tolist() == [0.5, 0.5, 1.0, 0.0]
    assert cells.significances.tolist() == [0.5, 0.25, 0.125, 0.125]


def test_amplitudes_have_31_states_a_pair():
    cells = coded("amplitude-31", weights=torch.linspace(-1, 1, 1001).unsqueeze(0))
    held = cells.weights(cells.wanted)
    assert len(held.unique()) == 31
    assert (held - torch.linspace(-1, 1, 1001)).abs().max() <= 1 / 30 + 1e-6


@settings(deadline=None)
@given(states=st.integers(2, 300), target=st.floats(-1, 1))
def test_the_nearest_state_is_nearest(states, target):
    held = nearest_state(torch.tensor([target]), states).item()
    assert abs(held - target) <= 0.5 / (states - 1) + 1e-6


def programmed(name, target=PCM, weights=WEIGHTS, **changes):
    programmer = Programmer(target, method_variant(name, **changes), [weights.shape[0]], Draws(3, 0), ("layer", 0))
    return program(weights, programmer)


def test_the_least_significant_pair_makes_up_for_the_first():
    weights = torch.rand(256, 256, generator=torch.Generator().manual_seed(2)) * 1.8 - 0.9
    tiles = programmed("most-least", weights=weights)
    both = tiles.cells.weights(tiles.conductances) - weights
    first = tiles.cells.weights(tiles.conductances * torch.tensor([1.0, 0.0]).view(2, 1, 1)) - weights
    assert both.std() < 0.5 * first.std()
    # what is left is the second pair's own write over the ratio, and the reading's noise
    assert both.std() < 0.015


def test_read_magnitudes_count_each_pair_with_its_square():
    cells = coded("direct", True, coding__significances=SIGNIFICANCES)
    expected = WEIGHTS.abs() * (16 + 4 + 1) / 49
    torch.testing.assert_close(cells.read_magnitudes(cells.wanted), expected, rtol=1e-5, atol=1e-6)
    assert coded("direct").read_magnitudes(coded("direct").wanted) is None  # |w| itself


def test_scales_a_column_a_tile_and_clipped():
    weight = torch.tensor([[1.0, -2.0], [3.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    assert weight_scale(weight, [2, 2]).tolist() == [2.0, 3.0, 0.0, 0.5]
    assert weight_scale(weight, [2, 2], "per_tile").tolist() == [3.0, 3.0, 0.5, 0.5]
    power = (weight.square().mean(dim=1)).sqrt()
    clipped = weight_scale(weight, [2, 2], clip_deviations=1.0)
    assert clipped.tolist() == pytest.approx([power[0].item(), power[1].item(), 0.0, 0.5])
    tile = weight_scale(weight, [2, 2], "per_tile", clip_deviations=0.5).tolist()
    assert tile[:2] == pytest.approx([0.5 * (14 / 4) ** 0.5] * 2)
    assert normalise(weight, clipped).abs().max() == 1
