"""Layers on digital units."""

import pytest
import torch

from tests.narrowing import digital
from tilewright.runtime.units.formats import rounded, to_steps
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.runtime.units.matmul import UnitMatmul
from tilewright.targets.errors import InputError
from tilewright.targets.loading import target_names

WEIGHT, BIAS = torch.randn(24, 40, generator=torch.Generator().manual_seed(0)), torch.arange(24.0)
X = torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(1))


def error(name):
    unit = DigitalUnitLinear(WEIGHT, None, digital(name), [float(X.abs().max())])
    return float((unit(X) - X @ WEIGHT.T).norm() / (X @ WEIGHT.T).norm())


def test_integer_layers_are_exact_sums_of_rounded_numbers():
    for name, weight_levels, input_levels in (("digital-int8", 127, 127), ("digital-int4", 7, 127)):
        largest = float(X.abs().max())
        scale = WEIGHT.abs().amax(dim=1).double()
        weights = (WEIGHT.double() / scale.unsqueeze(1) * weight_levels).round()
        inputs = (X.double() / largest * input_levels).round()
        expected = inputs @ weights.T * scale / weight_levels * largest / input_levels + BIAS
        made = DigitalUnitLinear(WEIGHT, BIAS, digital(name), [largest])
        torch.testing.assert_close(made(X).double(), expected, rtol=1e-5, atol=1e-5)
        held = weights / weight_levels * scale.unsqueeze(1)
        torch.testing.assert_close(made.held_weights().double(), held, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "dtype"), [("digital-fp16", torch.float16), ("digital-bf16", torch.bfloat16)])
def test_floating_point_layers_round_operands_and_not_sums(name, dtype):
    expected = X.to(dtype).double() @ WEIGHT.to(dtype).double().T + BIAS
    made = DigitalUnitLinear(WEIGHT, BIAS, digital(name), [1.0])
    torch.testing.assert_close(made(X).double(), expected, rtol=1e-4, atol=1e-4)


def test_more_bits_are_closer():
    errors = {name: error(name) for name in target_names("digital")}
    assert errors["digital-int4"] > errors["digital-int8"] > errors["digital-bf16"] > errors["digital-fp16"]
    assert errors["digital-int8"] < 0.02
    assert errors["digital-int4"] < 0.2


def test_formats_saturate():
    values = torch.tensor([1e6, -1e6, 2.0])
    assert rounded(values, "fp16", 1.0).tolist() == [65504, -65504, 2.0]
    assert rounded(values, "int8", 1.0).tolist() == [1.0, -1.0, 1.0]
    assert rounded(values, "fp32", 1.0).tolist() == values.tolist()


def test_every_use_has_its_own_range():
    made = DigitalUnitLinear(WEIGHT, None, digital("digital-int8"), [4.0, 400.0])
    torch.testing.assert_close(made(100 * X, 1), 100 * made(X, 0), rtol=1e-5, atol=1e-3)


def test_bfloat16_attention_rounds_its_operands():
    left, right = torch.randn(2, 6, 8), torch.randn(2, 8, 6)
    expected = left.bfloat16().double() @ right.bfloat16().double()
    torch.testing.assert_close(UnitMatmul("bf16", [1.0], [1.0])(left, right).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weights", ["fp32", "fp16", "bf16", "int2", "int8", "int16"])
@pytest.mark.parametrize("inputs", ["fp32", "fp16", "bf16", "int2", "int8", "int16"])
def test_every_pair_of_formats_runs(weights, inputs):
    """A unit computes the product of the rounded operands, whole numbers or not."""
    unit = digital("digital-int8", {"weights": weights, "inputs": inputs})
    largest = float(X.abs().max())
    made = DigitalUnitLinear(WEIGHT, BIAS, unit, [largest])
    expected = rounded(X, inputs, largest).double() @ made.held_weights().double().T + BIAS
    torch.testing.assert_close(made(X).double(), expected, rtol=1e-4, atol=1e-3)


HEADS, RANGES = 3, ([0.5, 0.7, 0.9], [2.0, 3.0, 1.7])


@pytest.mark.parametrize("bits", [4, 6, 8, 10, 16])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("per_head", [True, False])
def test_attention_is_the_exact_product_of_rounded_operands(bits, signed, per_head):
    """Against whole numbers in 64 bits, which have no rounding to hide in."""
    left = 2 * torch.rand(2, HEADS, 70, 50) - (1.0 if signed else 0.0)
    right = torch.randn(2, HEADS, 50, 40)
    ranges = RANGES if per_head else ([0.9], [3.0])
    made = UnitMatmul(f"int{bits}", *ranges, left_signed=signed)(left, right)
    largest = (2 ** (bits - 1) - 1 if signed else 2**bits - 1, 2 ** (bits - 1) - 1)
    units = [torch.tensor(r).view(-1, 1, 1) if per_head else r[0] for r in ranges]
    steps = [to_steps(left, units[0], bits, signed=signed).long(), to_steps(right, units[1], bits).long()]
    assert bool(steps[0].min() < 0) == signed
    assert steps[0].max() == largest[0]
    units = [torch.as_tensor(unit, dtype=torch.float64) for unit in units]
    expected = (steps[0] @ steps[1]).double() * (units[0] / largest[0]) * (units[1] / largest[1])
    torch.testing.assert_close(made.double(), expected, rtol=2e-7 * 4, atol=0)


def test_ranges_a_head_must_fit_the_operands():
    with pytest.raises(InputError, match="3 ranges a head do not fit an operand of shape"):
        UnitMatmul("int8", *RANGES)(torch.rand(2, 4, 5, 5), torch.rand(2, 4, 5, 5))


@pytest.mark.parametrize(("bits", "inner"), [(2, 10), (6, 64), (8, 64), (8, 3000), (16, 500)])
def test_integer_matmul_is_exact(bits, inner):
    left, right = torch.randn(2, 3, 5, inner), torch.randn(2, 3, inner, 4)
    unit = UnitMatmul(f"int{bits}", [2.5], [3.5])
    largest = 2 ** (bits - 1) - 1
    integers = [
        torch.round(operand * (largest / limit)).clamp(-largest, largest).long()
        for operand, limit in ((left, 2.5), (right, 3.5))
    ]
    expected = (integers[0] @ integers[1]).double() * (2.5 / largest) * (3.5 / largest)
    torch.testing.assert_close(unit(left, right).double(), expected, rtol=1e-6, atol=0)


def test_more_bits_of_a_product_are_closer():
    left, right = torch.randn(20, 30), torch.randn(30, 20)
    errors = [(UnitMatmul(f"int{bits}", [4.0], [4.0])(left, right) - left @ right).norm() for bits in (4, 6, 8, 10)]
    assert errors == sorted(errors, reverse=True)
