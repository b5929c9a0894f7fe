"""Plans that were made by hand to do harm: the first seeds of the plans."""

from collections.abc import Callable
from typing import Any

from tests.fuzz import hostile

CORPUS: list[tuple[str, Callable[[Any], Any]]] = []


def _in(base="mlp"):
    def keep(change):
        CORPUS.append((base, change))
        return change

    return keep


def _reference(name):
    return {"node": name}


def _call(name, target, *args, **kwargs):
    return {"name": name, "op": "call_function", "target": target, "args": list(args), "kwargs": kwargs}


def _nodes(*nodes, at=2, base="mlp"):
    """A plan with these nodes behind its input."""
    _in(base)(lambda document: document["graph"].__setitem__(slice(at, at), [*nodes]))


def _ones(name, *shape):
    return _call(name, "aten.ones.default", list(shape))


def _chain(target, first, count, both=True):
    """A node whose result goes into the next, and so on."""
    rows = [_call("c0", target, *first)]
    for number in range(1, count):
        before = _reference(f"c{number - 1}")
        rows.append(_call(f"c{number}", target, before, before if both else 1))
    return rows


_a, _ids = _reference("a"), _reference("ids")
_nodes(*_chain("operator.mul", (3, 3), 46))
_nodes(_call("a", "operator.mul", "a" * 64, 2**31), _call("b", "operator.add", _a, _a))
_nodes(_call("a", "operator.mul", [0], 2**31))
_nodes(_call("a", "operator.mod", "%08589934592d", 1))
_nodes(_ones("a", 2**27), _call("b", "aten.unbind.int", _a, 0))
_nodes(_ones("a", 2**27), _call("b", "aten.split.Tensor", _a, 1))
_nodes(_ones("a", 2**27), _call("b", "aten.unsafe_split.Tensor", _a, 1))
_nodes(_ones("a", 2**27), _call("b", "aten.chunk.default", _a, 2**27))
_nodes(_ones("a", 2**20), *_chain("aten.cat.default", ([_a] * 64,), 1),
       *(_call(f"c{n}", "aten.cat.default", [_reference(f"c{n - 1}")] * 64) for n in range(1, 4)))  # fmt: skip
_nodes(_ones("a", 2**18, 1), _ones("b", 1, 2**18), _call("c", "aten.mul.Tensor", _a, _reference("b")))
_nodes(_call("a", "aten.arange.start_step", 0, 1.0, 1e-12))
_nodes(_call("a", "aten.linspace.default", 0, 1, 2**40))
_nodes(_call("a", "aten.eye.m", 2**20, 2**20))
_nodes(
    _ones("a", 2**24),
    _call("b", "aten.unfold.default", _a, 0, 2**12, 1),
    _call("c", "aten.clone.default", _reference("b")),
)
_nodes(_call("a", "aten.one_hot.default", _ids, 2**27))
_nodes(
    _ones("a", 4),
    _call("b", "aten.as_strided.default", _a, [2**40], [0]),
    _call("c", "aten.clone.default", _reference("b")),
)
_nodes(
    _ones("a", 4),
    _call("b", "aten.as_strided.default", _a, [4], [2**40]),
    _call("c", "aten.clone.default", _reference("b")),
)
_nodes(_ones("a", 2, 4, 3), _call("b", "aten.native_group_norm.default", _a, None, None, 1000000, 4, 3000, 2, 1e-5))
_nodes(_ones("a", 2, 4, 3), _ones("b", 1), _call("c", "aten._native_batch_norm_legit_no_training.default", _a,
       *[_reference("b")] * 4, 0.1, 1e-5))  # fmt: skip
_nodes(_ones("a", 1, 2**24, 1), _ones("b", 1), _call("c", "aten._native_batch_norm_legit_no_training.default", _a,
       *[_reference("b")] * 4, 0.1, 1e-5))  # fmt: skip
_nodes(_call("a", "aten.full.default", [4], 1, dtype={"dtype": "int64"}),
       _call("b", "aten.full.default", [4], 63, dtype={"dtype": "int64"}),
       _call("c", "aten.bitwise_left_shift.Tensor", _a, _reference("b")),
       _call("d", "aten.full.default", [4], -1, dtype={"dtype": "int64"}),
       _call("e", "aten.div.Tensor_mode", _reference("c"), _reference("d"), rounding_mode="trunc"))  # fmt: skip
_nodes(_ones("a", 4), _call("b", "aten.to.dtype", _a, -1, True, True))
_nodes(_ones("a", 4), _call("b", "aten._safe_softmax.default", _a, 0, -2))
_nodes(_call("a", "aten.pow.Scalar", 10**30, _ids))
_nodes(_call("a", "aten.add.Tensor", _ids, hostile.nested(900)))
_nodes(*_chain("aten.add.Tensor", (_ids, 1), 3000, both=False))
_nodes(*_chain("aten.repeat.default", (_ids, [2, 2]), 1), *(
    _call(f"c{n}", "aten.repeat.default", _reference(f"c{n - 1}"), [4, 4]) for n in range(1, 20)))  # fmt: skip
_nodes(_call("a", "aten.unbind.int", _ids, 7))
_nodes(_call("a", "operator.mul", _ids))
_nodes(_call("a", "aten.gather.default", _ids, 0, 1))
_nodes(_call("a", "aten.relu.default", _ids, **{"class": 1}))
_nodes(_call("a", "aten.full.default", [2, 2], -(2**63)), _call("b", "aten.to.dtype", _a, {"dtype": "int64"}),
       _call("c", "aten.floor_divide.default", _reference("b"), -1))  # fmt: skip
_nodes(_call("a", "aten.to.dtype", _ids, 3), _call("b", "aten.to.dtype", _ids, 2**31))
_nodes(_call("a", "aten.einsum.default", "i,j,k,l,m->ijklm", [_ids] * 5))
_nodes(_call("a", "aten.constant_pad_nd.default", _ids, [2**19] * 4))
_nodes(_call("a", "aten.cumsum.default", _ids, 2**40))


def _renamed_input(name):
    def change(document):
        document["inputs"][0]["name"] = name
        for node in document["graph"]:
            if node["op"] == "placeholder":
                node["target"] = name

    return change


for _name in ("self", "torch", "class", "inputs", "forward", "_args", "on_tiles", "__class__"):
    _in()(_renamed_input(_name))


def _input(**fields):
    return lambda document: document["inputs"][0].update(fields)


_INPUTS: tuple[dict[str, Any], ...] = (
    {"dtype": "load"}, {"dtype": "nope"}, {"dtype": "os"}, {"dtype": "Tensor"}, {"dtype": "complex64"},
    {"dtype": "bits8"}, {"dtype": "qint8"}, {"dtype": "bool"}, {"shape": [2**40, 2**40]}, {"shape": []},
    {"default": "ones"}, {"shape": [2**31 - 1, 1]},
)  # fmt: skip
for _fields in _INPUTS:
    _in()(_input(**_fields))


@_in()
def _many_chips(document):
    document["placement"]["chips"] = 2**40


@_in()
def _many_tiles(document):
    document["layers"][0]["tiles"] = [[0, 2**40]]


@_in("config")
def _huge_tensor(document):
    document["tensors"]["huge"] = {"stored_as": "huge", "dtype": "float32", "shape": [2**40] * 3}


@_in()
def _huge_sizes(document):
    document["dimensions"] = {name: {"minimum": 2**40, "maximum": None} for name in document["dimensions"]}


@_in()
def _odd_output(document):
    document["graph"][-1]["args"] = [[[_ids]]]


@_in()
def _layer_of_a_number(document):
    document["graph"][3]["args"] = [5, 0]


def _everywhere(text):
    """A text in every field that takes any."""

    def change(document):
        document["model"] |= {"name": text, "architecture": text}
        document["calibration"]["source"], document["notes"] = text, [text]
        document["chip"]["summary"] = text[:2000]
        layers = [layer["name"] for layer in document["layers"]]
        for layer in document["layers"]:
            layer["reason"] = text
            layer["parts"][0]["weight"] = text
        for weight in document["weights_of_model"]:
            weight |= {"name": text, "reason": text}
        for decision in document["decisions"]:
            decision |= {"choice": text, "reason": text, "made_by": text}
            decision["subject"] = decision["subject"] if decision["subject"] in layers else text
            for figure in decision["figures"]:
                figure |= {"name": text, "unit": text}
            for other in decision["rejected"]:
                other["choice"] = text
        for output in document["outputs"]:
            output["name"] = text
        document["unused_tensors"] = [{"name": text, "shape": [2]}]
        document["check"] = {"against": text, "sizes": [{text: [1]}], "largest_relative_error": 0.0, "tolerance": 1e-3}
        figure = {"name": text, "value": 1.0, "unit": text}
        numbers = ("digital", "mean", "standard_error", "normalised", "lower_bound", "wanted", "confidence", "seconds")
        accuracy = {"metric": text, "examples": 1, **dict.fromkeys(numbers, 0.5), "repeats": 1, "seed": 0}
        figures = {key: [figure] for key in ("budgets", "predicted", "measured")}
        document["assignment"] = {
            "method": text, "criterion": text, "seconds": 1.0, "minimise": text, **figures, "accuracy": accuracy,
            "compared": [{"choice": text, "figures": [figure]}],
        }  # fmt: skip

    return change


for _text in (hostile.ESCAPES, "\x9b31m", hostile.SCRIPT, hostile.MARKUP, "\r\n", "=cmd|'/c calc'!A1", "\t=1+1",
              "\r=1+1", "@SUM(1)", "a|b", "x" * 5000, "\ud800", "{{7*7}}", ""):  # fmt: skip
    _in()(_everywhere(_text))
