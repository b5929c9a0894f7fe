"""The pipeline says what each step decided, and notices a wrong one."""

import pytest
import torch

from tests.networks import lower, plain_wishes, stack, traced_network
from tilewright.compiler.driver import build_plan, compile
from tilewright.compiler.lowering.find_layers import find_layers
from tilewright.compiler.network.comparison import TOLERANCE, relative_error
from tilewright.compiler.pipeline import PassError
from tilewright.compiler.steps import LOWERING, ON_NUMBERS, map_network
from tilewright.runtime.plan.check import PlanError, check_plan
from tilewright.runtime.plan.decisions import STEPS


def test_every_decision_has_a_reason_and_a_figure(small_plan):
    decisions = small_plan.document.decisions_in_force
    for decision in decisions:
        assert all((decision.reason, decision.choice, decision.figures)), decision
    made_by = [decision.made_by for decision in decisions]
    not_here = {"fold_batch_norms", "unfold_convolutions", "fold_channel_scales", "clip_weights"}
    silent = {"canonicalize", "write_as_linear", "find_products", "locate_samples", "observe", "account_for_weights"}
    assert list(dict.fromkeys(made_by)) == [step for step in STEPS if step not in not_here | silent]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_steps_are_told_of_by_the_names_under_which_they_decide(device):
    """All of them, in running order; without weights those that look at no number."""
    told = []
    with torch.device(device):
        model, inputs = stack(8, 8), torch.zeros(2, 8)
    compile(model, example_inputs=inputs, on_pass=lambda *step: told.append(step[:3]))
    names = [step for step in STEPS if device == "cpu" or step not in ON_NUMBERS]
    assert told == [(name, number, len(names)) for number, name in enumerate(names, start=1)]


def test_every_pass_is_verified(small_plan):
    checked = [check.pass_name for check in small_plan.document.verification]
    assert checked == [*(step.__name__ for step in LOWERING), "fold_channel_scales"]
    assert max(check.largest_relative_error for check in small_plan.document.verification) < 1e-5


def test_a_pass_that_changes_the_model_is_named():
    def wrong(state):
        module = state.layer_module("0")
        module.weight = module.weight * 1.01

    passes = [*LOWERING[: LOWERING.index(find_layers) + 1], wrong]
    with pytest.raises(PassError, match=r"pass wrong changed what the model computes.*canonicalize, .*find_layers"):
        lower(traced_network(stack(8, 8, 8), torch.randn(2, 8)), passes)


def test_a_pass_that_fails_is_named():
    def broken(_network):
        raise KeyError("x")

    with pytest.raises(PassError, match="pass broken failed after canonicalize"):
        lower(traced_network(stack(8, 8), torch.randn(2, 8)), [LOWERING[0], broken])


def test_relative_error():
    one = torch.tensor([1.0, -2.0])
    assert relative_error(one, one) == 0
    assert relative_error(torch.tensor([1.0, -1.0]), one) == pytest.approx(0.5)
    assert relative_error(torch.tensor([1.0, float("nan")]), one) == float("inf")
    nan = torch.tensor([1.0, float("nan"), float("-inf")])
    assert relative_error(nan, nan) == 0
    assert relative_error(one, torch.zeros(3)) == float("inf")
    assert TOLERANCE <= 1e-5


def test_a_plan_that_does_not_agree_with_itself_is_the_compilers_fault(monkeypatch):
    """Not the user's: the command line would say that the input is wrong."""
    from tilewright.compiler import driver

    def damaged(*arguments, build=driver.build_plan):
        plan = build(*arguments)
        plan.document.outputs.pop()
        return plan

    monkeypatch.setattr(driver, "build_plan", damaged)
    with pytest.raises(PassError, match="does not agree with itself: the graph has 1 outputs, the plan names 0"):
        driver.compile(stack(8, 8), example_inputs=torch.randn(2, 8))


def test_a_weight_on_no_tile_and_one_on_two_are_noticed():
    network, wishes = traced_network(stack(600, 600), torch.randn(2, 600)), plain_wishes()
    plan = build_plan(network, map_network(network, wishes), wishes.chip)
    (layer,) = plan.document.layers
    assert layer.option.row_splits == layer.option.column_splits == [300, 300]

    def tiles(*runs):
        return layer.model_copy(update={"tiles": list(runs)})

    lost = layer.model_copy(update={"options": [layer.option.model_copy(update={"row_splits": [300]})]})
    for damaged, said in (
        (lost, "the rows of its blocks cover 300 of 600"),
        (tiles((0, 3)), "4 blocks on 3 tiles"),
        (tiles((0, 2), (1, 2)), "holds blocks of both"),
    ):
        document = plan.document.model_copy(update={"layers": [damaged]})
        with pytest.raises(PlanError, match=said):
            check_plan(document, plan.tensors)
