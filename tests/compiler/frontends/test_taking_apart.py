"""Operators taken apart one by one: the model's numbers, and a second trace only where one must be."""

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.nn import functional

import tilewright


class Written(nn.Module):
    """A layer whose outputs a function works on."""

    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Linear(6, 6), function

    def forward(self, x):
        return self.function(self.layer(x), x)


def residual(y, x):
    y += x
    return functional.relu(y, inplace=True)


def read_before(y, _):
    twice = y * 2
    y.relu_()
    return twice + y


def scaled(y, _):
    y.mul_(3).add_(1)
    y.clamp_(min=0)
    return y.tanh_()


def gated(y, x):
    return functional.silu(y, inplace=True) * y + torch.einsum("ij,kj->ik", y, x).sum()


def attention(y, x):
    y = y.view(1, 1, -1, 6)
    return functional.scaled_dot_product_attention(y, x.view(1, 1, -1, 6), y, is_causal=True)


def seen_by_a_view(y, _):
    view = y[:, :3]
    y.relu_()
    return view + 1


def through_a_view(y, _):
    y.view(-1).relu_()
    return y + 1


def of_another_type(y, _):
    y.gt_(0.5)
    return y + 1


def the_input(y, x):
    x = x + 0
    return torch.sigmoid_(x.reshape(-1, 6)) + y + x


@pytest.fixture
def second_traces(monkeypatch):
    """Programs that were traced a second time."""
    seen = []
    real = ExportedProgram.run_decompositions

    def run(program, *arguments):
        seen.append(program)
        return real(program, *arguments)

    monkeypatch.setattr(ExportedProgram, "run_decompositions", run)
    return seen


def compiled(function):
    """Largest difference of a plan on ideal tiles from its model."""
    model, x = Written(function).eval(), torch.randn(5, 6)
    session = tilewright.Session(tilewright.compile(model, example_inputs=x), ideal=True)
    for rows in (5, 3):
        (output,) = session(x=x[:rows]).values()
        torch.testing.assert_close(output, model(x[:rows].clone()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", [residual, read_before, scaled, gated, attention])
def test_one_trace_is_enough(function, second_traces):
    compiled(function)
    assert not second_traces


@pytest.mark.parametrize("function", [seen_by_a_view, through_a_view, of_another_type, the_input])
def test_what_something_else_may_see_is_traced_again(function, second_traces):
    compiled(function)
    assert second_traces


def test_dropout_in_place_is_nothing(second_traces):
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Dropout(0.5, inplace=True), nn.Linear(6, 2)).eval()
    tilewright.compile(model, example_inputs=torch.randn(4, 6), check=True)
    assert not second_traces
