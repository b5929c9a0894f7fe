"""Devices that cannot be written: how many, where columns go because of them, what the others do."""

import itertools

import pytest
import torch
from scipy.stats import binomtest

from tests.narrowing import present
from tests.variants import EXACT_DEVICE, QUIET, method_variant, variant
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming import Programmer, program
from tilewright.runtime.chip.programming.stuck_devices import least_harmful_columns

WEIGHTS = torch.rand(96, 64, generator=torch.Generator().manual_seed(3)) * 1.6 - 0.8


def target(at_zero=0.03, at_maximum=0.03, **changes):
    rates = {"at_zero": at_zero, "at_maximum": at_maximum}
    stuck = {key: {"value": value, "unit": "1", "source": "test"} for key, value in rates.items()}
    return variant(**QUIET, **EXACT_DEVICE, stuck_devices=stuck, tile__adc=None, tile__dac=None, **changes)


def tiles(handling, base="direct", repeat=0, **rates):
    method = method_variant(base, stuck_devices=handling)
    return program(WEIGHTS, Programmer(target(**rates), method, [48, 48], Draws(1, repeat), ("layer", 0)))


def error(handling, base="direct", repeat=0, **rates):
    made = tiles(handling, base, repeat, **rates)
    return float((made.cells.weights(made.conductances) - WEIGHTS).norm() / WEIGHTS.norm())


def test_as_many_are_stuck_as_the_target_says():
    made = tiles("ignored")
    stuck, at = made.cells.stuck, made.cells.stuck_at
    for rate, count in ((0.03, stuck & (at == 0)), (0.03, stuck & (at == 1))):
        assert binomtest(int(count.sum()), count.numel(), rate).pvalue > 1e-3
    assert torch.equal(made.conductances[stuck], at[stuck])


def test_avoiding_and_compensating_help_and_both_help_most():
    """Means of four chips, more than three standard errors apart."""
    handlings = ("ignored", "avoided", "compensated", "avoided_and_compensated")
    errors = [torch.tensor([error(handling, repeat=repeat) for repeat in range(4)]) for handling in handlings]
    for worse, better in ((0, 1), (0, 2), (1, 3), (2, 3)):
        distance = errors[worse].mean() - errors[better].mean()
        assert distance > 3 * (errors[worse].std() + errors[better].std()) / 2, (handlings[worse], handlings[better])


def test_what_is_stuck_at_the_largest_is_made_up_for_exactly():
    """A plus device stuck at 1 leaves a weight above zero exact, a minus device one below; others are lost."""
    made = tiles("compensated", at_zero=0.0)
    stuck = made.cells.stuck
    alone = stuck.sum(dim=0) == 1
    same_side = alone & torch.where(WEIGHTS > 0, stuck[0], stuck[1])
    held = made.cells.weights(made.conductances)
    assert same_side.any()
    assert (alone & ~same_side).any()
    torch.testing.assert_close(held[same_side], WEIGHTS[same_side], rtol=0, atol=1e-6)
    assert held[alone & ~same_side].abs().max() < 1e-6


def test_other_pairs_of_a_weight_help():
    assert error("compensated", "pairs-4") < 0.5 * error("compensated")
    assert error("avoided", "binary-analog-3") < error("ignored", "binary-analog-3")
    assert error("ignored", "most-least") < error("ignored")  # the second pair is written with what is missing


def test_columns_are_placed_where_they_hurt_least():
    """Against every one of the assignments of four columns to five."""
    generator = torch.Generator().manual_seed(0)
    wanted = torch.rand(2, 4, 6, generator=generator)
    stuck = torch.rand(2, 5, 6, generator=generator) < 0.3
    at_maximum = stuck & (torch.rand(2, 5, 6, generator=generator) < 0.5)

    def harm(places):
        held = torch.where(stuck[:, places], at_maximum[:, places].float(), wanted)
        return float((held - wanted).square().sum())

    found = least_harmful_columns(wanted, stuck, at_maximum, torch.ones(2), compensated=False)
    best = min(harm(list(places)) for places in itertools.permutations(range(5), 4))
    assert harm(found) == pytest.approx(best)


def test_stuck_devices_do_not_drift():
    from tilewright.runtime.chip.drift import conductances_at
    from tilewright.targets.devices import statistics_of

    rates = {key: {"value": 0.1, "unit": "1", "source": "test"} for key in ("at_zero", "at_maximum")}
    pcm = variant(stuck_devices=rates)
    made = program(WEIGHTS, Programmer(pcm, pcm.programming, [96], Draws(1, 0), ("layer", 0)))
    later = conductances_at(1e7, made.conductances, made.cells, statistics_of(pcm.device), Draws(1, 0), "layer", 0)
    stuck, stuck_at = present(made.cells.stuck), present(made.cells.stuck_at)
    assert torch.equal(later[stuck], stuck_at[stuck])
    assert (later[~stuck] < 0.7).double().mean() > 0.95
