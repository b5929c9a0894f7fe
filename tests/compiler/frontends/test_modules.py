"""Products with weights in whatever form a torch module writes them, and modules that cannot be traced."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import tilewright
from tests.narrowing import present
from tests.networks import SAMPLES_FIRST
from tilewright.runtime.plan.records import SampleAxis
from tilewright.targets.errors import InputError


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(6, 5))
        self.stack = nn.Parameter(torch.randn(3, 6, 5))
        self.offset = nn.Parameter(torch.randn(5))
        self.linear = nn.Linear(6, 6)


class Einsum(Weights):
    def forward(self, x):
        return torch.einsum("bti,io->bto", x, self.matrix)


class EinsumOfStack(Weights):
    def forward(self, x):
        return torch.einsum("bti,hij->bhtj", x, self.stack)


class Bmm(Weights):
    def forward(self, x):
        return torch.bmm(x.unsqueeze(0).expand(3, -1, -1, -1).flatten(1, 2), self.stack)


class BroadcastStack(Weights):
    def forward(self, x):
        return torch.matmul(x.unsqueeze(1), self.stack)


class ConstantOnTheLeft(Weights):
    def forward(self, x):
        return torch.matmul(self.matrix.T, x.transpose(1, 2))


class Functional(Weights):
    def forward(self, x):
        return functional.linear(x, self.matrix.T, self.offset) + functional.linear(x, self.matrix.T * 2)


class MatmulAndBias(Weights):
    def forward(self, x):
        return self.offset + x @ self.matrix


class Loop(Weights):
    def forward(self, x):
        for _ in range(4):
            x = torch.tanh(self.linear(x))
        return x


class Vector(Weights):
    def forward(self, x):
        return torch.mv(self.matrix.T, x[0, 0])


@pytest.mark.parametrize(
    ("kind", "layers"),
    [(Einsum, 1), (EinsumOfStack, 1), (Bmm, 3), (BroadcastStack, 1), (ConstantOnTheLeft, 1), (Functional, 1),
     (MatmulAndBias, 1), (Loop, 1), (Vector, 1)],
)  # fmt: skip
def test_every_form_of_product_is_a_layer(kind, layers):
    torch.manual_seed(0)
    model = kind().eval()
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 4, 6))
    assert len(plan.document.layers) == layers
    used = [weight for weight in plan.document.weights_of_model if "no output" not in weight.reason]
    assert {weight.place for weight in used if len(weight.shape) > 1} == {"analog"}
    assert sum(weight.parameters for weight in plan.document.weights_of_model) == plan.document.model.parameters
    x = torch.randn(3, 5, 6)
    with torch.inference_mode():
        expected = model(x)
    torch.testing.assert_close(tilewright.Session(plan, ideal=True)(x=x)["output"], expected, rtol=1e-4, atol=1e-5)


def test_a_bias_behind_a_product_is_the_layers():
    plan = tilewright.compile(MatmulAndBias(), example_inputs=torch.randn(2, 4, 6))
    assert plan.document.layers[0].has_bias
    assert plan.document.layers[0].parts[0].bias == "offset"


def test_a_loop_is_one_layer_with_a_range_a_round():
    plan = tilewright.compile(Loop(), example_inputs=torch.randn(2, 4, 6))
    assert len({use.input_range for use in plan.document.layers[0].option.uses}) == 4


class SequenceFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4)
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        turned = x.transpose(0, 1)
        return self.head(self.attention(turned, turned, turned, need_weights=False)[0]).transpose(0, 1)


def test_noise_follows_samples_wherever_they_are():
    """torch's own attention computes with samples second, and folded behind the positions."""
    torch.manual_seed(0)
    plan = tilewright.compile(SequenceFirst().eval(), example_inputs=torch.randn(2, 5, 32))
    axes = [use.sample_axis for layer in plan.document.layers for use in layer.uses]
    assert axes == [
        SampleAxis(dimension=1, innermost=False),
        SampleAxis(dimension=0, innermost=True),
        SampleAxis(dimension=1, innermost=False),
    ]
    x = torch.randn(6, 7, 32)
    together = tilewright.Session(plan, 5)(x=x)["output"]
    session = tilewright.Session(plan, 5)
    apart = torch.cat([session(x=x[start:stop])["output"] for start, stop in ((0, 1), (1, 4), (4, 6))])
    assert torch.equal(together, apart)


def test_samples_that_come_first():
    plan = tilewright.compile(nn.Linear(6, 4), example_inputs=torch.randn(2, 3, 6))
    assert plan.document.layers[0].uses[0].sample_axis == SAMPLES_FIRST


class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


def test_what_cannot_be_traced_names_the_module_and_a_way_out():
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), Branch()))
    with pytest.raises(InputError, match=r"in module '1\.1' \(Branch\): .*; .*torch\.where"):
        tilewright.compile(model, example_inputs=torch.ones(2, 3))


def test_tracing_says_nothing_beside_the_error(capfd):
    with pytest.raises(InputError, match="cannot trace"):
        tilewright.compile(nn.Linear(3, 3), example_inputs=torch.ones(2, 4))
    assert capfd.readouterr() == ("", "")


def test_inputs_that_do_not_fit_forward():
    with pytest.raises(InputError, match="example_inputs must hold all inputs of forward"):
        tilewright.compile(nn.Linear(3, 3), example_inputs={"wrong": torch.ones(2, 3)})


def test_a_model_in_training_mode_is_compiled_and_checked_for_inference():
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 3)).train()
    plan = tilewright.compile(model, example_inputs=torch.ones(2, 6), check=True)
    assert present(plan.document.check).largest_relative_error < 1e-6
    assert model.training
    assert model[1].training


def test_check_writes_the_difference_into_the_plan(tmp_path):
    plan = tilewright.compile(nn.Linear(3, 3), example_inputs=torch.ones(2, 3), check=True)
    plan.save(tmp_path / "plan")
    check = present(tilewright.load(tmp_path / "plan").document.check)
    assert check.against.startswith("torch ")
    assert check.largest_relative_error < 1e-6
    assert check.sizes
