"""Modules that are wrapped, hooked, called in unusual ways or in other formats: compiled, or refused with a way out."""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import instance
from tilewright.compiler.driver import trace
from tilewright.compiler.network.unsupported import unsupported_aten
from tilewright.targets.errors import InputError

X = torch.linspace(-1, 1, 64).reshape(4, 16)


class Net(nn.Module):
    """A layer, and whatever else a case hangs onto it."""

    def __init__(self, run=None, **parts):
        super().__init__()
        self.layer = nn.Linear(16, 8)
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.layer(x) if self.run is None else self.run(self, x)


def traced(model, inputs=X):
    return trace(model, inputs, None, None, None)


def same(found, *expected):
    """The graph computes what the model gives for its examples, and what is expected."""
    (example,) = found.examples
    for output, of_model, wanted in zip(found.graph(*example.values()), found.expected[0], expected, strict=True):
        torch.testing.assert_close(output, of_model)
        torch.testing.assert_close(output, wanted.detach())


def wrappers():
    model = Net()
    peft = Net(lambda self, x: self.inner(x), inner=model)
    peft.__dict__.update(peft_config={"default": object()}, get_base_model=lambda: model)
    return model, [
        nn.DataParallel(model),
        torch.compile(nn.DataParallel(model), backend="eager"),
        torch.optim.swa_utils.AveragedModel(model),
        peft,
    ]


@pytest.mark.parametrize("number", range(4))
def test_wrappers_are_looked_into(number):
    model, wrapped = wrappers()
    found = traced(wrapped[number])
    same(found, model(X))
    assert list(found.parameters) == ["layer.weight", "layer.bias"]


def test_wrappers_inside_and_compiled_functions():
    model = Net()
    outer = nn.Sequential(instance(torch.compile(model, backend="eager"), nn.Module), nn.ReLU())
    outer[1].compile(backend="eager")
    found = traced(outer)
    same(found, model(X).relu())
    assert list(found.parameters) == ["0.layer.weight", "0.layer.bias"]
    assert type(outer[0]).__name__ == "OptimizedModule"  # left as it was


def test_learned_prompts_are_no_network():
    class Prompted(Net):
        def __init__(self):
            super().__init__()
            self.peft_config = {"default": type("Config", (), {"is_prompt_learning": True})}

        def get_base_model(self):
            return self

    with pytest.raises(InputError, match="learned tokens before the inputs"):
        traced(Prompted())


@pytest.mark.parametrize(
    "make", [lambda m: torch.jit.trace(m, X), torch.jit.script, lambda m: nn.Sequential(torch.jit.script(m))]
)
def test_torchscript_is_refused_with_a_way_out(make):
    with pytest.raises(InputError, match=r"is TorchScript.*compile the Python module.*or write it as an ONNX file"):
        traced(make(nn.Linear(16, 8)))


def test_exported_programs_bring_their_examples():
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU()).eval()
    program = torch.export.export(model, (X,), dynamic_shapes=({0: torch.export.Dim("b", min=2, max=64)},))
    for given, example in ((program, None), (program.module(), X)):
        found = traced(given, example)
        same(found, model(X))
        assert list(found.parameters) == ["0.weight", "0.bias"]
        assert found.inputs[0].shape == ["batch", 16]


def test_a_program_exported_for_training_says_so():
    program = torch.export.export(nn.Sequential(nn.Linear(16, 8), nn.Dropout(0.5)), (X,))
    with pytest.raises(InputError, match=r"native_dropout.*call eval\(\) on the model before torch\.export"):
        tilewright.compile(program)


def test_autocast_is_computed_in_float32_and_noted():
    def run(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.layer(x).float()

    model = Net(run)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = traced(model)
    same(found, model.layer(X))
    assert found.notes == ["the model asks for bfloat16 by autocast; the plan computes in float32"]
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as it was
        assert model.layer(X).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_products_in_other_formats_are_named(dtype):
    kind = getattr(torch, dtype)
    model = Net(lambda self, x: nn.functional.linear(x.to(kind), self.layer.weight.to(kind)).float())
    with pytest.raises(InputError, match=f"a product is computed in {dtype}.*plans compute in float32"):
        traced(model)


def test_hooks_see_their_inputs():
    model = nn.Sequential(Net(), nn.ReLU())
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2,))
    model[0].register_forward_hook(lambda _, inputs, output: output + inputs[0].mean())
    same(traced(model), model(X))


def test_forwards_of_every_kind():
    class Star(Net):
        def forward(self, *xs):
            return self.layer(xs[0] - xs[1])

    class Named(Net):
        def forward(self, x, *, scale, **more):  # type: ignore[override]
            return self.layer(x) * scale + more["class"].mean() + more["inputs"].mean()

    class Words(Net):
        def forward(this, self, torch):  # type: ignore[override]
            return this.layer(self) - torch.mean()

    star, named, words = Star(), Named(), Words()
    found = traced(star, (X, X * 2))
    same(found, star(X, X * 2))
    assert [record.name for record in found.inputs] == ["xs_0", "xs_1"]
    inputs = {"class": X, "inputs": X * 3, "scale": torch.tensor(2.0), "x": X / 2}
    found = traced(named, inputs)
    same(found, named(**inputs))
    assert [(record.name, record.source_name) for record in found.inputs] == [
        ("x", None), ("scale", None), ("class_", "class"), ("inputs", None),
    ]  # fmt: skip
    found = traced(words, {"torch": X, "self": X * 2})
    same(found, words(X * 2, X))
    assert [(record.name, record.source_name) for record in found.inputs] == [("self_", "self"), ("torch_", "torch")]


def test_sessions_take_inputs_in_order_by_name_or_as_a_mapping():
    class Words(Net):
        def forward(this, self, inputs):  # type: ignore[override]
            return this.layer(self) - inputs.mean()

    plan = tilewright.compile(Words(), example_inputs=(X, X * 2), calibration={"self": X, "inputs": X})
    session = tilewright.Session(plan, ideal=True)
    first = session(X, X * 2)["output"]
    assert torch.equal(first, session({"self": X, "inputs": X * 2})["output"])
    assert torch.equal(first, session(self=X, inputs=X * 2)["output"])
    assert torch.equal(first, session(X, inputs=X * 2)["output"])
    with pytest.raises(InputError, match="3 inputs were given, the plan takes 2: self_, inputs"):
        session(X, X, X)


def test_matrices_without_numbers_stay_digital():
    model = nn.Sequential(nn.Linear(16, 0), nn.Linear(0, 4))
    plan = tilewright.compile(model, example_inputs=X)
    assert not plan.document.layers
    torch.testing.assert_close(tilewright.Session(plan)(X)["output"], model(X).detach())


def test_examples_without_dimensions():
    found = traced(Net(lambda self, x: self.layer(x.expand(1, 16))), torch.tensor(1.0))
    assert found.inputs[0].shape == []
    assert found.calibration.samples == 1


REFUSED = [
    (lambda: (Net(), X[:0]), r"shape \[0, 16\], which holds no value to trace with"),
    (lambda: (Net(), X.to_sparse()), "give x.to_dense"),
    (lambda: (Net(), X.to(torch.complex64)), "is complex64; allowed: float64"),
    (lambda: (Net(), {"x": [1.0]}), "holds a list for 'x'"),
    (lambda: (Net(), {"y": X}), "must hold all inputs of forward: 'x' of Net is missing"),
    (lambda: (Net(), {"x": X, "y": X}), "Net takes no 'y'; allowed: x"),
    (lambda: (nn.Sequential(nn.LazyLinear(4)), X), "has no size yet: call the model once"),
    (lambda: (Net(lambda *_: None), X), "gives no tensor"),
    (
        lambda: (Net(lambda self, x: self.parts["n" * 500](x), parts=nn.ModuleDict({"n" * 500: nn.Linear(16, 2)})), X),
        "a name of 513 letters",
    ),
    (
        lambda: (Net(lambda self, x: self.parts["class"](x), parts=nn.ModuleDict({"class": nn.Linear(16, 2)})), X),
        "a word of Python; call it otherwise",
    ),
    (lambda: (Net(lambda _, x: x[: int(x.sum().item())]), X), "depends on values; write it with torch.where"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_traced_says_what_to_do(number):
    make, words = REFUSED[number]
    with pytest.raises(InputError, match=words) as refused:
        traced(*make())
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_weights_that_are_no_numbers():
    for name, value, words in (
        ("0.weight", "nan", "has 1 of 128 values that are NaN"),
        ("0.bias", "-inf", "has 1 of 8 values that are infinite"),
        ("1.running_var", "inf", "has 1 of 8 values that are infinite"),
    ):
        model = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8)).eval()
        model.state_dict()[name].view(-1)[3] = float(value)
        with pytest.raises(InputError, match=f"weight '{name}' {words}"):
            traced(model)


def test_masks_may_be_infinite():
    model = Net(lambda self, x: torch.softmax(self.layer(x) + self.mask, -1))
    model.register_buffer("mask", torch.tensor([0.0] * 7 + [float("-inf")]))
    same(traced(model), model(X))
    instance(model.mask, torch.Tensor)[0] = float("nan")
    with pytest.raises(InputError, match="'mask' has 1 of 8 values that are NaN"):
        traced(model)


def test_an_unknown_operator_is_described_and_no_other_is_named():
    message = str(unsupported_aten("aten.histc.default", "node histc"))
    assert message == (
        "operator aten.histc.default (node histc) is not supported: it computes the histogram of a tensor; compile the "
        "part of the model without it (docs/operators.md lists all)"
    )
