"""The rounding of long sums is told from a bug: after each pass, on ideal tiles, and against the original."""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import present
from tests.networks import lower, plain_wishes, stack, traced_network
from tilewright.compiler import pipeline, verify_tiles
from tilewright.compiler.compare_with_network import checked_against
from tilewright.compiler.driver import trace
from tilewright.compiler.lowering.canonicalize import canonicalize
from tilewright.compiler.lowering.unfold_convolutions import unfold_convolutions
from tilewright.compiler.lowering.write_as_linear import write_as_linear
from tilewright.compiler.network import comparison
from tilewright.compiler.network.traced import Original
from tilewright.compiler.pipeline import PassError
from tilewright.compiler.steps import map_network


def long_sums(cancel):
    """A convolution over 1024 x 512 values, whose sums are far smaller than what they are made of."""
    torch.manual_seed(0)
    model = nn.Conv1d(1024, 2, 512, bias=False)
    with torch.no_grad():
        model.weight -= model.weight.mean((1, 2), keepdim=True)
    return model, torch.randn(2, 1024, 513) + cancel


SHORT = [canonicalize, unfold_convolutions, write_as_linear]


def test_the_rounding_of_long_sums_is_no_bug(monkeypatch):
    """The patches' product differs in float32 from the convolution by more than a pass may; in float64 by nothing."""
    state = traced_network(*long_sums(40.0))
    lower(state, SHORT)
    assert 1e-5 < state.verification[-1].largest_relative_error < comparison.LARGEST_ROUNDING
    # as before: float32 alone cannot tell it from a bug
    monkeypatch.setattr(comparison.Comparison, "_only_rounds", lambda *_: False)
    with pytest.raises(PassError, match="unfold_convolutions changed what the model computes"):
        lower(traced_network(*long_sums(40.0)), SHORT)


@pytest.mark.parametrize("wrong", [1e-7, 1e-3])
@pytest.mark.parametrize("inside", [True, False])
def test_a_bug_is_caught_where_sums_round_by_more(wrong, inside):
    """A weight matrix that is wrong by less than float32 can tell, in the pass that rounds or in one after it."""

    def sabotage(state):
        for node in state.graph.graph.nodes:
            if state.tensor(node) is not None:
                tensor = state.tensor(node)
                state.graph.register_buffer("wrong", tensor * (1 + wrong * torch.randn(tensor.shape)))
                node.target = "wrong"
        state.tidy()

    def unfold_wrongly(state):
        unfold_convolutions(state)
        sabotage(state)

    passes = [canonicalize, unfold_wrongly] if inside else [canonicalize, unfold_convolutions, sabotage]
    with pytest.raises(PassError, match=rf"pass {passes[-1].__name__} changed what the model computes"):
        lower(traced_network(*long_sums(40.0)), passes)


@pytest.mark.parametrize(("wrong", "is_rounding"), [(1e-6, True), (1e-3, False)])
def test_products_of_weights_are_rounded(wrong, is_rounding, monkeypatch):
    """A pass that multiplies weights may round them, but no more; those after it are held to what it left."""

    def multiply(state):
        for node in state.graph.graph.nodes:
            if state.tensor(node) is not None:
                tensor = state.tensor(node)
                state.graph.register_buffer("product", tensor * (1 + wrong))
                node.target = "product"
        state.tidy()

    def leave(state):
        output = next(node for node in state.graph.graph.nodes if node.op == "output")
        with state.graph.graph.inserting_before(output):
            output.args = ([state.graph.graph.call_function(torch.ops.aten.alias.default, (output.args[0][0],))],)
        state.tidy()

    passes = [canonicalize, unfold_convolutions, multiply, leave]
    with pytest.raises(PassError, match="multiply changed"):
        lower(traced_network(*long_sums(40.0)), passes)
    monkeypatch.setattr(pipeline, "ROUND_WEIGHTS", ("multiply",))
    if is_rounding:
        lower(traced_network(*long_sums(40.0)), passes)
    else:
        with pytest.raises(PassError, match="multiply changed"):
            lower(traced_network(*long_sums(40.0)), passes)


def test_a_pass_that_only_rounds_badly_is_a_bug_too():
    def badly(state):
        graph = state.graph.graph
        output = next(node for node in graph.nodes if node.op == "output")
        with graph.inserting_before(output):
            large = graph.call_function(torch.ops.aten.add.Tensor, (output.args[0][0], 1e7))
            again = graph.call_function(torch.ops.aten.sub.Tensor, (large, 1e7))
        output.args = ([again],)
        state.tidy()

    with pytest.raises(PassError, match="pass badly changed"):
        lower(traced_network(stack(8, 8), torch.randn(2, 8)), [canonicalize, badly])


def test_verify_minds_long_layers(monkeypatch):
    """Sums of a layer of half a million inputs round by more, on ideal tiles, than its blocks may differ."""
    found = {}
    real = verify_tiles._error_on_tiles

    def watched(network, layer, ideal, scale, dtype):
        found[dtype] = real(network, layer, ideal, scale, dtype)
        return max(found[dtype], 2e-5) if dtype == torch.float32 else found[dtype]  # as much as such a layer rounds

    monkeypatch.setattr(verify_tiles, "_error_on_tiles", watched)
    map_network(traced_network(stack(600, 40), torch.randn(2, 600)), plain_wishes())
    assert found[torch.float64] < 1e-12

    monkeypatch.setattr(verify_tiles, "_error_on_tiles", lambda *_: 2e-5)
    with pytest.raises(PassError, match=r"on ideal tiles has relative error 2\.00e-05"):
        map_network(traced_network(stack(600, 40), torch.randn(2, 600)), plain_wishes())


def test_the_check_tells_the_originals_rounding_from_a_difference():
    """An original that rounds about as much as the plan is the network; one that is off by more is not."""
    model, x = stack(64, 64, 8), torch.randn(3, 64)
    plan = tilewright.compile(model, "ideal", example_inputs=x)
    traced = trace(model, x, None, None, None)

    def original(factor):
        """A model that sums in another order and is wrong by a factor; nothing is allowed but rounding."""

        def run(inputs):
            order = torch.arange(63, -1, -1)
            first, last = model[0], model[-1]
            hidden = model[1:-1](nn.functional.linear(inputs["input"][:, order], first.weight[:, order], first.bias))
            return [factor * last(hidden).detach()]

        return Original("torch", run, tolerance=1e-12)

    plan = checked_against(plan, traced, original(1.0))
    assert 0 < present(plan.document.check).largest_relative_error < 1e-6
    with pytest.raises(PassError, match="differs from torch"):
        checked_against(plan, traced, original(1 + 1e-5))


@pytest.mark.parametrize(("off", "allowed"), [(1e-7, True), (3e-7, False)])
@pytest.mark.parametrize("is_share", [True, False])
def test_a_small_share_is_right_to_a_rounding_of_one(off, allowed, is_share):
    """Probabilities of 1e-5, from an original whose sigmoid is right to 1e-7 and no better."""
    torch.manual_seed(0)
    layer, x = nn.Linear(4, 3), torch.randn(2, 4)
    with torch.no_grad():
        layer.bias.sub_(12.0)
    model = nn.Sequential(layer, nn.Sigmoid()) if is_share else layer
    traced = trace(model, x, None, None, None)
    plan = tilewright.compile(model, "ideal", example_inputs=x)

    def run(inputs):
        with torch.no_grad():
            (given,) = inputs.values()
            return [model(given) + (off if is_share else 12 * 1e4 * off)]

    if allowed and is_share:
        checked_against(plan, traced, Original("another runtime", run, tolerance=1e-4))
    else:
        with pytest.raises(PassError, match="differs from another runtime"):
            checked_against(plan, traced, Original("another runtime", run, tolerance=1e-4))
