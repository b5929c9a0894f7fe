"""A graph from a stranger is data: what is not on the list is refused before anything runs."""

import json

import pytest
import torch
from pydantic import ValidationError

from tilewright.runtime.plan.graph import build_module, decode_graph, encode_graph
from tilewright.runtime.plan.operators import ATEN, allowed_functions
from tilewright.runtime.plan.records import NodeRecord
from tilewright.targets.errors import InputError


def nodes(*middle, result="y"):
    return [
        {"name": "x", "op": "placeholder", "target": "x"},
        *middle,
        {"name": "output", "op": "output", "target": "output", "args": [[{"node": result}]]},
    ]


def decode(records, modules=(), tensors=()):
    return decode_graph([NodeRecord.model_validate(record) for record in records], set(modules), set(tensors))


def call(target, *args, name="y", **kwargs):
    return {"name": name, "op": "call_function", "target": target, "args": list(args), "kwargs": kwargs}


X = {"node": "x"}


def test_graphs_survive_json():
    records = nodes(
        call("aten.masked_fill.Scalar", X, {"node": "m"}, {"number": "-inf"}, name="f"),
        call("aten._to_copy.default", {"node": "f"}, dtype={"dtype": "float64"}),
    )
    records.insert(1, call("aten.lt.Scalar", X, 0, name="m"))
    graph = decode(records)
    again = [record.model_dump() for record in encode_graph(graph)]
    assert json.loads(json.dumps(again)) == [NodeRecord.model_validate(record).model_dump() for record in records]
    (result,) = build_module(graph, {}, {})(torch.tensor([-1.0, 2.0]))
    assert result.dtype == torch.float64
    assert result.tolist() == [-torch.inf, 2.0]


@pytest.mark.parametrize(
    "record",
    [
        call("os.system", "true"),
        call("aten.add_.Tensor", X, 1),  # writes into its input
        call("aten.from_file.default", "/etc/passwd"),
        call("operator.pow", 10, 10**10),
        call("builtins.eval", "1"),
        call("aten.add.Tensor", X, {"node": "later"}),
        call("aten.add.Tensor", X, {"__class__": "x"}),
        call("aten.add.Tensor", X, {"device": "cuda"}),
        call("aten.gelu.default", X, approximate="x" * 100),
        call("aten.gelu.default", X, approximate="a\nb"),
        call("aten.full.default", [2**40], 0),
        call("aten.ones.default", [2**20, 2**20]),
        call("aten.arange.default", 2**50),
        call("aten.repeat.default", X, [2**30, 2]),
        call("aten.constant_pad_nd.default", X, [0, 2**40], 0.0),
        call("aten.upsample_nearest2d.vec", X, [2**20, 2**20], None),
        call("aten.col2im.default", X, [2**20, 2**20], [1, 1], [1, 1], [0, 0], [1, 1]),
        {"name": "y", "op": "call_module", "target": "anything"},
        {"name": "y", "op": "get_attr", "target": "__class__"},
        {"name": "y", "op": "placeholder", "target": "x, y=__import__('os')"},
        {"name": "x", "op": "placeholder", "target": "x"},
        {"name": "class", "op": "placeholder", "target": "class"},
        {"name": "y", "op": "output", "target": "output", "args": [[X]]},
    ],
)
def test_what_a_plan_may_not_hold_is_refused(record):
    with pytest.raises(InputError):
        decode(nodes(record))


@pytest.mark.parametrize("name", ["a b", "a\nimport os", "1x", "", "x;y", "é"])
def test_names_are_plain_words(name):
    with pytest.raises(ValidationError):
        NodeRecord.model_validate({"name": name, "op": "placeholder", "target": name})


def test_every_allowed_operator_is_pure():
    """No operator on the list writes into its arguments, by torch's own schema."""
    for name, function in allowed_functions().items():
        if name.startswith("aten."):
            assert not function._schema.is_mutable, name


def test_the_list_holds_only_operators_that_exist():
    missing = sorted(f"aten.{name}" for name in ATEN if f"aten.{name}" not in allowed_functions())
    assert missing == []
