"""Converters with gradients: AIHWKit's numbers, straight-through rounding, no gradient where something is clipped."""

import pytest
import torch

from tests.variants import variant
from tilewright.compiler.training.conversion import adc, dac, held_weights
from tilewright.compiler.training.input_ranges import InputRanges
from tilewright.targets.loading import load_recipe

EIGHT_BITS = variant().tile.dac
TEN_BITS = variant().tile.adc


def gradient(tensor):
    return tensor.grad


def ranges_of(**changes):
    recipe = load_recipe("rasch-2023", {f"input_ranges.learning.{key}": value for key, value in changes.items()})
    return InputRanges(recipe.input_ranges, 1)


@pytest.mark.parametrize(
    ("input_range", "wanted", "found"),
    [
        (3.0, (0.3, 0.1, -0.2, -0.5), -2.4),
        (3.0, (-0.3, 0.1, -0.2, 0.5), 0.0),
        (6.0, (0.3, 0.1, -0.2, -0.5), 0.06),
    ],
)
def test_gradient_of_a_range_is_aihwkits(input_range, wanted, found):
    x, ranges = torch.tensor([-4.0, -1.0, 2.0, 5.0], requires_grad=True), torch.tensor(input_range, requires_grad=True)
    rule = ranges_of(decay=0.01)
    made = dac(x, ranges, None, lambda pull, covered: rule.gradient(ranges.detach(), 0, pull, covered))
    made.backward(torch.tensor(wanted) * input_range)  # ∂L/∂x in units of x: behind a factor of the range
    assert float(gradient(ranges)) == pytest.approx(found, abs=1e-6)
    inside = torch.tensor([-4.0, -1.0, 2.0, 5.0]).abs() < input_range
    assert torch.allclose(gradient(x), torch.tensor(wanted) * inside)


def test_levels_are_those_of_eight_bits():
    x = torch.tensor([0.0078, 0.0157, 3.0])
    made = dac(x, torch.tensor(2.0), EIGHT_BITS, None) * 2.0
    assert torch.allclose(made, torch.tensor([0.0, 0.015748, 2.0]), atol=1e-6)


def test_rounding_passes_gradients_on_and_clipping_does_not():
    x = torch.tensor([0.3, -1.9, 2.5, -7.0], requires_grad=True)
    dac(x, torch.tensor(2.0), EIGHT_BITS, None).sum().backward()
    assert torch.allclose(gradient(x), torch.tensor([0.5, 0.5, 0.0, 0.0]))
    z = torch.tensor([0.013, -9.99, 10.5, -30.0], requires_grad=True)
    made = adc(z, None, TEN_BITS)
    assert torch.allclose(made, torch.tensor([TEN_BITS.step, -10.0, 10.0, -10.0]), atol=TEN_BITS.step)
    made.sum().backward()
    assert gradient(z).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_noise_decides_what_the_adc_clips():
    z = torch.tensor([9.0, 9.0], requires_grad=True)
    adc(z, torch.tensor([5.0, -5.0]), TEN_BITS).sum().backward()
    assert gradient(z).tolist() == [0.0, 1.0]


def test_no_gradient_flows_through_the_scale_of_weights():
    weight = torch.tensor([[0.5, -2.0, 1.0]], requires_grad=True)
    scale, channels = torch.tensor([[2.0]]), torch.tensor([1.0, 0.5, 3.0])
    made = held_weights(weight, scale, channels, lambda weights: weights * 0.9)
    assert torch.allclose(made, torch.tensor([[0.225, -0.45, 0.9]]))  # the last is cut at 1
    made.sum().backward()
    assert torch.allclose(gradient(weight), torch.tensor([[0.5, 0.25, 0.0]]))


def test_bounded_ranges_move_by_at_most_a_step_and_keep_what_covers():
    rule = InputRanges(load_recipe("device-noise").input_ranges, 2)
    ranges = torch.tensor([1.0, 2.0])
    rule.move(ranges)
    assert ranges.tolist() == [1.0, 2.0]  # nothing was asked yet
    rule.gradient(ranges[0], 0, torch.tensor(-1e6), 0.5)
    rule.gradient(ranges[1], 1, torch.tensor(0.0), 1.0)
    rule.move(ranges)
    assert ranges[0] == pytest.approx(2.718281828**0.01, rel=1e-6)  # the whole step up
    assert ranges[1] == pytest.approx(2 * 2.718281828**-1e-4, rel=1e-6)  # a hundredth of it down
    before = ranges.clone()
    rule.move(ranges)
    assert torch.equal(ranges, before)  # what was asked for is not asked twice


def test_ranges_start_at_deviations_of_what_is_seen():
    recipe = load_recipe("afm-2025", {"input_ranges.start.passes": 2})
    rule, ranges = InputRanges(recipe.input_ranges, 1), torch.tensor([5.0])
    assert rule.starts
    rule.see(ranges, [torch.tensor([1.0, -1.0])])
    assert ranges.tolist() == [18.0]
    rule.see(ranges, [torch.tensor([2.0, -2.0])])
    assert ranges.tolist() == [27.0]  # the mean of 18 and 36
    assert not rule.starts
