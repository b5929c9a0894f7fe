"""Closed-loop programming: what gradient descent on a tile's own readings leaves of the error of a write."""

import pytest
import torch
from scipy.stats import kstest

from tests.narrowing import analog
from tests.variants import QUIET, method_variant, variant
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.programming import Programmer, program
from tilewright.targets.loading import load_target

WEIGHTS = (torch.randn(128, 128, generator=torch.Generator().manual_seed(2)) * 0.246).clamp(-0.9, 0.9)
STRAIGHT = {"device__pulse__asymmetry": 0, "device__pulse__spread": 0}


def weight_errors(method, target, repeat=0):
    programmer = Programmer(target, method, [128], Draws(7, repeat), ("layer", 0))
    tiles = program(WEIGHTS, programmer)
    return tiles.cells.weights(tiles.conductances) - WEIGHTS


@pytest.mark.parametrize("inputs", ["closed-loop-one-hot", "closed-loop-random"])
def test_closed_loop_beats_one_write(inputs):
    """Mean and standard error over four chips, three standard errors apart."""
    target = load_target("pcm-512")
    direct, closed = (
        torch.stack([weight_errors(method_variant(name), target, repeat).std() for repeat in range(4)])
        for name in ("direct", inputs)
    )
    distance = direct.mean() - closed.mean()
    assert distance > 3 * (direct.std() + closed.std()) / 2
    assert closed.mean() < 0.5 * direct.mean()


@pytest.mark.parametrize("inputs", ["closed-loop-one-hot", "closed-loop-random"])
def test_without_noise_only_the_step_is_left(inputs):
    """Exact readings and straight pulses: every weight ends within half a step over the last learning rate."""
    target = variant(**QUIET, **STRAIGHT, tile__adc=None, device__pulse__step=0.001)
    method = method_variant(inputs, writing__iterations=200, writing__learning_rate=0.5)
    assert weight_errors(method, target).abs().quantile(0.99) < 0.01


def test_coarser_pulses_leave_more():
    errors = [
        weight_errors(method_variant("closed-loop-one-hot"), load_target(f"ftj-{device}")).std()
        for device in ("constrained", "balanced", "extreme")
    ]
    assert errors[0] < 0.5 * errors[1]
    assert errors[1] < errors[2]


def test_a_closed_loop_on_ideal_devices_changes_nothing():
    target = analog("ideal", {"programming": "closed-loop-random"})
    assert weight_errors(target.programming, target).abs().max() == 0


def test_pairs_are_refined_together():
    two = method_variant("closed-loop-one-hot", coding__significances=load_pairs(2))
    target = load_target("pcm-512")
    assert weight_errors(two, target).std() < weight_errors(method_variant("pairs-2"), target).std()


def load_pairs(count):
    return [{"value": 1, "unit": "1", "source": "test"}] * count


def test_the_same_seed_programs_the_same_chip():
    method, target = method_variant("closed-loop-random"), load_target("pcm-512")
    assert torch.equal(weight_errors(method, target), weight_errors(method, target))
    assert not torch.equal(weight_errors(method, target), weight_errors(method, target, repeat=1))


@pytest.mark.parametrize("both", [False, True])
def test_pulses_move_devices_by_the_law_of_the_target(both):
    """Up n · step · (1 + asymmetry), down n · step · (1 - asymmetry), with step · spread · sqrt(n) of noise."""
    from tilewright.runtime.chip.programming import cells_of
    from tilewright.runtime.chip.programming.closed_loop import _apply

    step, asymmetry, spread = 0.01, 0.2, 0.4
    pulse = variant(
        device__pulse__step=step, device__pulse__asymmetry=asymmetry, device__pulse__spread=spread
    ).device.pulse  # fmt: skip
    for weight, change, expected in (
        (0.5, 0.052, 5 * step * (1 + asymmetry)),  # the plus device grows
        (0.5, -0.048, -5 * step * (1 - asymmetry)),  # and shrinks
        (-0.5, -0.052, 5 * step * (1 + asymmetry)),  # the minus device grows as the weight falls
        (-0.5, 0.048, -5 * step * (1 - asymmetry)),
    ):
        weights = torch.full((200, 200), weight)
        cells = cells_of(weights, method_variant("direct"), both)
        held = cells.wanted.clone()
        _apply(held, cells, torch.full((200, 200), change), pulse, Draws(1, 0), "x")
        active = 1 if both and weight < 0 else 0
        moved = (held[active] - cells.wanted[active]).double()
        normal = (moved - expected) / (step * spread * 5**0.5)
        assert kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
        if both:
            assert torch.equal(held[1 - active], cells.wanted[1 - active])


def test_conductances_stay_between_zero_and_the_largest():
    from tilewright.runtime.chip.programming import cells_of
    from tilewright.runtime.chip.programming.closed_loop import _apply

    pulse = variant(device__pulse__spread=3).device.pulse
    cells = cells_of(torch.tensor([[0.001, 0.999, -0.001, -0.999]]).expand(50, 4), method_variant("direct"), True)
    for change in (0.3, -0.3):
        held = cells.wanted.clone()
        _apply(held, cells, torch.full((50, 4), change), pulse, Draws(1, 0), "x")
        assert held.min() >= 0
        assert held.max() <= 1
