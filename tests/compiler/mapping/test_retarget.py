"""Layers of a plan on other targets of the chip, without the model."""

import pytest
import torch
from torch import nn

import tilewright
from tilewright.compiler.mapping.retarget import Move, retarget
from tilewright.runtime.plan.decisions import Decision
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_chip, load_target

X = torch.randn(64, 40, generator=torch.Generator().manual_seed(0))


def chosen(**targets):
    return {
        name.strip("_"): Move(
            target, "test", Decision(made_by="assign_targets", subject=name.strip("_"), choice=target, reason="test")
        )
        for name, target in targets.items()
    }


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 48), nn.GELU(), nn.Linear(48, 600), nn.ReLU(), nn.Linear(600, 8)).eval()


@pytest.fixture(scope="module")
def chip():
    """Tiles with affine compensation, others with dynamic ranges, and digital units."""
    base = load_chip("pcm-512-mixed").model_dump(mode="json")
    base["tiles"][0]["target"] = load_target("pcm-512", {"drift_compensation": "affine"}).model_dump(mode="json")
    own = {**base["tiles"][0], "target": load_target("pcm-512-dynamic").model_dump(mode="json")}
    base["tiles"].append(own)
    return type(load_chip("pcm-512")).model_validate(base)


def compiled(network, chip, **options):
    return tilewright.compile(network, chip, example_inputs=X, **options)


def outputs(plan):
    return tilewright.Session(plan, 3).advance_to("1d")(input=X)["output"]


MOVES = [{"_0": "digital-int8"}, {"_2": "digital-fp16", "_4": "pcm-512-dynamic"}, {"_0": "pcm-512-dynamic"}]


@pytest.mark.parametrize("moves", MOVES)
def test_a_retargeted_plan_is_the_one_that_is_compiled_so(network, chip, moves, tmp_path):
    """Targets, blocks, places, ranges and bits are those of a plan that was asked for from the start."""
    moved = retarget(compiled(network, chip), chosen(**moves))
    wanted = compiled(network, chip, assign={name.strip("_"): target for name, target in moves.items()})
    for one, other in zip(moved.document.layers, wanted.document.layers, strict=True):
        assert one.model_dump(exclude={"reason", "options"}) == other.model_dump(exclude={"reason", "options"})
        assert one.option == other.option
    assert moved.document.placement == wanted.document.placement
    assert [w.place for w in moved.document.weights_of_model] == [w.place for w in wanted.document.weights_of_model]
    assert [w.reason for w in moved.document.weights_of_model] == [w.reason for w in wanted.document.weights_of_model]
    assert torch.equal(outputs(moved), outputs(wanted))
    moved.save(tmp_path / "plan")
    assert torch.equal(outputs(tilewright.load(tmp_path / "plan")), outputs(moved))


def test_there_and_back_changes_nothing(network, chip):
    plan = compiled(network, chip)
    there = retarget(plan, chosen(_0="digital-int8", _2="pcm-512-dynamic"))
    back = retarget(there, chosen(_0="pcm-512", _2="pcm-512"))
    assert not torch.equal(outputs(there), outputs(plan))
    assert torch.equal(outputs(back), outputs(plan))
    made = lambda p: sorted((d.made_by, d.subject, d.choice) for d in p.document.decisions_in_force)  # noqa: E731
    assert made(back) == made(plan)
    assert {layer.target for layer in plan.document.layers} == {"pcm-512"}, "the first plan is as it was"


def test_what_was_asked_for_has_no_other_option(network, chip):
    plan = compiled(network, chip, assign={"0": "digital-int8"})
    assert [option.target for option in plan.layer("0").options] == ["digital-int8"]
    assert [option.target for option in plan.layer("2").options] == [
        "pcm-512", "pcm-512-dynamic", "digital-int8", "digital-fp16",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"layer '0' cannot run on 'pcm-512'; .*digital-int8"):
        retarget(plan, chosen(_0="pcm-512"))
    with pytest.raises(InputError, match="no layer '7'"):
        retarget(plan, chosen(_7="pcm-512"))


def test_programming_that_was_asked_for_holds_on_all_tiles(network, chip):
    plan = compiled(network, chip, programming={"*": "pairs-2", "4": "pairs-4"})
    methods = {option.target: option.programming for option in plan.layer("4").options}
    assert methods == {"pcm-512": "pairs-4", "pcm-512-dynamic": "pairs-4", "digital-int8": None, "digital-fp16": None}
