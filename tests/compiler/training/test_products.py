"""Products of activations in training: the units' own numbers, LSQ's gradients, and every way that code multiplies."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import tilewright
from tilewright.compiler.training.prepare import prepare, restore
from tilewright.compiler.training.products import PreparedProduct, _LearnedRange
from tilewright.runtime.units.matmul import UnitMatmul
from tilewright.targets.errors import InputError


def heads(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("operands", ["int4", "int8", "bf16"])
@pytest.mark.parametrize("ranges", [[2.0], [2.0, 1.0, 0.5]])
@pytest.mark.parametrize("signed", [True, False])
def test_a_prepared_product_is_the_units(operands, ranges, signed):
    left, right = heads(2, 3, 5, 7), heads(2, 3, 7, 4, seed=1)
    left = left if signed else left.abs()
    unit = UnitMatmul(operands, ranges, ranges, left_signed=signed)
    own = PreparedProduct(operands, ranges, ranges, left_signed=signed, learned=True)
    assert torch.allclose(own(left, right), unit(left, right), atol=1e-5)


def test_a_learned_range_has_lsqs_gradient():
    values = torch.tensor([0.3, -0.26, 5.0, -7.0])
    value_range = torch.tensor([2.0], requires_grad=True)
    made = _LearnedRange.apply(values, value_range, 4, True)
    wanted = torch.tensor([1.0, -2.0, 0.5, 0.25])
    made.backward(wanted)
    steps = values * 7 / 2
    # ∂v̂/∂r: (round(v/s) - v/s) / Q within the range, ±1 outside; times 1 / √(n Q)
    by_range = torch.where(steps.abs() <= 7, (steps.round() - steps) / 7, steps.sign())
    assert float(value_range.grad or 0) == pytest.approx(float((by_range * wanted).sum()) / math.sqrt(4 * 7), rel=1e-5)


class Attention(nn.Module):
    """Attention written in one of many ways."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.qkv = nn.Linear(12, 36)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (3, 4)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        if self.how == "sdpa":
            return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        if self.how == "matmul":
            context = torch.matmul(torch.softmax(torch.matmul(q, k.transpose(-1, -2)) / 2, -1), v)
        elif self.how == "operator":
            context = (q @ k.mT / 2).softmax(-1) @ v
        else:
            q, k, v = (part.flatten(0, 1) for part in (q, k, v))
            context = torch.bmm(torch.bmm(q, k.mT).div(2).softmax(-1), v).unflatten(0, (len(x), 3))
        return context.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("how", ["sdpa", "matmul", "operator", "bmm"])
def test_every_way_to_multiply_activations_is_found(how):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 12)
    model = Attention(how).eval()
    exact = model(x)
    plan = tilewright.compile(model, "pcm-512", example_inputs={"x": x}, attention_bits=3)
    prepare(model, plan=plan, recipe="digital")
    assert torch.allclose(model(x), exact, atol=0.02)  # the recipe leaves attention as it is
    assert not [part for part in model.modules() if isinstance(part, PreparedProduct)]
    restore(model)
    prepare(model, plan=plan)
    found = model(x)
    names = [name for name, part in model.named_modules() if isinstance(part, PreparedProduct)]
    assert len(names) == len(plan.document.matmuls) == 2
    wanted = next(iter(tilewright.Session(plan, ideal=True)(x=x).values()))
    assert torch.allclose(exact, wanted, atol=1e-5)
    assert 0.05 < float(((found - exact).norm() / exact.norm()).detach()) < 0.6  # three bits
    found.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    restore(model)
    assert torch.equal(model(x), exact)


def test_code_that_multiplies_otherwise_is_refused():
    class Other(Attention):
        def forward(self, x):
            q, k, v = (part.unflatten(-1, (3, 4)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
            return torch.einsum("bhqk,bhkd->bhqd", torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1), v)

    x = torch.randn(2, 6, 12)
    model = prepare(Other("einsum"), "pcm-512", example_inputs={"x": x})
    with pytest.raises(InputError, match=r"multiplies activations 0 times where the plan has 2"):
        model(x)


def test_learned_ranges_are_the_plans():
    x = torch.randn(2, 6, 12)
    model = prepare(Attention("sdpa"), "pcm-512", example_inputs={"x": x}).train()
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    model(x).square().sum().backward()
    optimizer.step()
    own = {name: tensor for name, tensor in model.state_dict().items() if name.endswith("left_range")}
    plan = tilewright.compile(model, "pcm-512", example_inputs={"x": x})
    for matmul in plan.document.matmuls:
        assert matmul.left_ranges == pytest.approx(own[f"{matmul.name}.left_range"].tolist())
        (decision,) = [
            one
            for one in plan.document.decisions
            if one.made_by == "calibrate" and one.subject == matmul.name and one.choice.startswith("left")
        ]
        assert decision.reason == "the checkpoint was trained with it"
        assert decision.rejected


def test_learned_ranges_that_a_plan_does_not_use_are_said():
    x = torch.randn(2, 6, 12)
    model = prepare(Attention("sdpa"), "pcm-512", example_inputs={"x": x})
    floating = tilewright.compile(model, "pcm-512", example_inputs={"x": x}, attention_bits="bf16")
    assert [note for note in floating.document.notes if "2 products" in note and "floating point" in note]
    whole = tilewright.compile(model, "pcm-512", example_inputs={"x": x})
    assert not [note for note in whole.document.notes if "operand ranges" in note]
    model.add_module("other", PreparedProduct("int8", [1.0], [1.0], left_signed=True, learned=True))
    stray = tilewright.compile(model, "pcm-512", example_inputs={"x": x})
    assert [note for note in stray.document.notes if "1 product" in note and "(other)" in note]
