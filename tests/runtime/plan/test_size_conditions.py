"""Conditions on sizes: what they say, that nothing else is one, and that runs and counts keep to them."""

import json
from shutil import copytree

import pytest
import torch

import tilewright
from tilewright.runtime.plan.allowed_sizes import MOST_CONDITIONS, AllowedSizes
from tilewright.runtime.plan.records import DimensionRecord
from tilewright.runtime.plan.size_conditions import read_condition
from tilewright.runtime.plan.usual_sizes import choose_sizes
from tilewright.targets.errors import InputError

FREE = DimensionRecord(minimum=1, maximum=None)


@pytest.mark.parametrize(
    ("text", "sizes", "holds"),
    [
        ("sequence % 4 == 0", {"sequence": 8}, True),
        ("sequence % 4 == 0", {"sequence": 6}, False),
        ("batch * sequence <= 40", {"batch": 4, "sequence": 10}, True),
        ("batch != sequence and 3 <= batch < 9", {"batch": 5, "sequence": 5}, False),
        ("not (batch == 1 or -batch + 7 > max(sequence, 2, 3))", {"batch": 2, "sequence": 5}, True),
        ("(-sequence) // 4 == -2", {"sequence": 5}, True),
        ("min(batch, sequence - 1) >= 2", {"batch": 9, "sequence": 2}, False),
        ("8 // (sequence - 3) >= 0", {"sequence": 3}, False),  # a division by zero is nothing that holds
        (" * ".join(["sequence"] * 8) + " > 0", {"sequence": 2**12}, False),  # nor is what outgrows 64 bits
    ],
)
def test_what_conditions_say(text, sizes, holds):
    assert read_condition(text).holds(sizes) is holds


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "sequence", "sequence % 4", "1", "True", "sequence == True", "sequence == 4.0", "sequence == 1e3",
        "sequence == '4'", "sequence ** 2 == 4", "sequence / 2 == 4", "sequence << 60 == 0", "~sequence == 0",
        "sequence is 4", "sequence in (4, 5)", "(sequence := 4) == 4", "[sequence][0] == 4", "sequence.real == 4",
        "abs(sequence) == 4", "max(sequence) == 4", "max(*sequence) == 4", "max(sequence, key=4) == 4", "max == 4",
        "max(4, sequence)(4) == 4", "__import__('os').system('true') == 0", "(lambda: 4)() == 4",
        "sequence == 4 if 1 else 2", "sequence == 4; sequence", "sequence == 4\nsequence", "sequence == 4 # yes",
        "f'{sequence}' == 4", "await sequence == 4",
        "sequence == " + "9" * 30, "(" * 300 + "sequence" + ")" * 300 + " == 4", "-" * 900 + "sequence == 4",
        "not " * 200 + "sequence == 4", "sequence" + " + 1" * 200 + " == 4", "sequence == 4" + " " * 2000,
        "ſequence == 4",
    ],
)  # fmt: skip
def test_nothing_else_is_one(text):
    with pytest.raises(InputError, match="is not a condition on sizes"):
        read_condition(text)


def test_a_plan_with_a_bad_condition_is_refused(small_plan_folder, tmp_path):
    copytree(small_plan_folder, tmp_path / "plan")
    path = tmp_path / "plan" / "plan.json"

    def with_conditions(conditions):
        path.write_text(json.dumps({**json.loads(path.read_text()), "size_conditions": conditions}))
        return tilewright.load(path.parent)

    assert with_conditions(["sequence % 2 == 0"]).document.size_conditions == ["sequence % 2 == 0"]
    for conditions, words in {
        ("__import__('os')",): "is not a condition on sizes",
        ("sequenc == 4",): "did you mean 'sequence'",
        ("size_9 == 4",): "is no dimension of the inputs",
        tuple(["sequence > 0"] * (MOST_CONDITIONS + 1)): f"allowed are {MOST_CONDITIONS}",
        ("sequence > 0 and " * 100 + "batch > 0",): "size_conditions",
    }.items():
        with pytest.raises(InputError, match=words):
            with_conditions(list(conditions))


def with_conditions(plan, conditions, **limits):
    document = plan.document.model_copy(
        update={"size_conditions": conditions, "dimensions": {**plan.document.dimensions, **limits}}
    )
    return tilewright.Plan(document, plan.tensors)


@pytest.mark.parametrize(
    ("conditions", "limits", "batch", "length", "words"),
    [
        (["sequence % 4 == 0"], {}, 1, 8, None),
        (["sequence % 4 == 0"], {}, 1, 6, "sequence is 6, .*sequence % 4 == 0 holds.*allowed for sequence: 4 and 8"),
        (["batch * sequence <= 16"], {}, 2, 9, "batch is 2 and sequence is 9, .*nearest allowed for sequence: 8"),
        (["batch * sequence <= 16"], {}, 17, 1, "nearest allowed for batch: 16"),
        (["sequence == 8"], {}, 1, 9, "nearest allowed for sequence: 8"),
        (["sequence == 8", "batch == 0"], {}, 1, 8, "no size near it is allowed"),
        (["sequence // (batch - 1) >= 1"], {}, 1, 8, "nearest allowed for batch: 2"),
        ([], {"batch": DimensionRecord(minimum=2, maximum=None)}, 1, 8, "batch is 1, allowed is 2 to any size"),
        (None, {}, 1, 6, None),
    ],
)  # fmt: skip
def test_a_run_keeps_to_them(small_plan, conditions, limits, batch, length, words):
    session = tilewright.Session(with_conditions(small_plan, conditions, **limits), ideal=True)
    ids = torch.ones(batch, length, dtype=torch.long)
    if words is None:
        assert session(input_ids=ids)["last_hidden_state"].shape[:2] == (batch, length)
    else:
        with pytest.raises(InputError, match=words):
            session(input_ids=ids)


@pytest.mark.parametrize(
    ("conditions", "given", "found"),
    [
        ([], {}, {"batch": 1, "sequence": 64}),
        (["sequence % 48 == 0"], {}, {"batch": 1, "sequence": 48}),
        (["sequence % 2 == 1"], {"batch": 3}, {"batch": 3, "sequence": 63}),
        (["batch * sequence == 34"], {}, {"batch": 1, "sequence": 34}),
        (["batch * sequence == 34"], {"sequence": 17}, {"batch": 2, "sequence": 17}),
        (["batch % 3 == 0", "sequence % 5 == 1"], {}, {"batch": 3, "sequence": 61}),
        (["batch == sequence"], {}, {"batch": 64, "sequence": 64}),
        (["sequence % 2 == 0"], {"sequence": 5}, "sequence is 5, .*allowed for sequence: 4 and 6"),
        (["batch * sequence == 67 * 71"], {}, "batch is 1 and sequence is 64"),
    ],
)
def test_counts_are_made_at_sizes_that_the_plan_takes(small_plan, conditions, given, found):
    document = with_conditions(small_plan, conditions).document
    if isinstance(found, dict):
        assert choose_sizes(document, given) == found
    else:
        with pytest.raises(InputError, match=found):
            choose_sizes(document, given)


def test_a_hostile_plan_cannot_make_the_search_long(small_plan):
    long = "sequence * batch * " * 12 + "sequence != " + str(2**62)
    document = with_conditions(
        small_plan, [*[long + " " * n for n in range(MOST_CONDITIONS - 1)], "batch == 0"]
    ).document
    with pytest.raises(InputError, match="no size near it"):
        choose_sizes(document, {})


def test_limits_are_in_the_order_of_the_inputs(small_plan):
    assert list(AllowedSizes.of(small_plan.document).limits) == ["batch", "sequence"]
    assert AllowedSizes.of(small_plan.document.model_copy(update={"dimensions": {}})).limits["batch"] == FREE
