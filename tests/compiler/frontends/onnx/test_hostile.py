"""ONNX files of strangers: refused in one sentence before memory, time or another's file is taken."""

import itertools
import time

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import tilewright
from tests.onnx_models import model_of
from tilewright.compiler.frontends.onnx.network import OnnxNetwork
from tilewright.compiler.frontends.onnx.reading import read_model
from tilewright.targets.errors import InputError

NODE = helper.make_node
SECONDS = 15


def simple(nodes, constants=None, shape=("n", 4), kind=TensorProto.FLOAT):
    return model_of(nodes, {"x": (kind, list(shape))}, {"y": (kind, None)}, constants, 17)


def refusal(model):
    started = time.process_time()
    with pytest.raises(InputError) as error:
        tilewright.compile(model)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert time.process_time() - started < SECONDS
    return str(error.value)


def chain(operator, count, *more, first="x", **attributes):
    """An operator behind itself many times, each with its own result twice if it takes two."""
    names = [first, *(f"v{number}" for number in range(count))]
    nodes = []
    for before, after in itertools.pairwise(names):
        inputs = [before, before] if not more else [before, *more]
        nodes.append(NODE(operator, inputs, [after], after, **attributes))
    return nodes, names[-1]


def test_chains_that_double_their_sizes():
    nodes, last = chain("Concat", 40, axis=1)
    assert "makes a tensor of" in refusal(simple([*nodes, NODE("Relu", [last], ["y"])]))
    nodes, last = chain("Tile", 12, "twice")
    text = refusal(simple([*nodes, NODE("Relu", [last], ["y"])], {"twice": np.array([1, 2**5], np.int64)}))
    assert "elements" in text or "(Tile)" in text


def test_known_numbers_that_double():
    """Sizes are computed while tracing, on the host, where a list has no limit of its own."""
    known = {"one": np.ones(4, np.int64)}
    nodes, last = chain("Concat", 40, first="one", axis=0)
    refusal(simple([*nodes, NODE("ConstantOfShape", [last], ["big"]), NODE("Add", ["x", "big"], ["y"])], known))
    nodes, last = chain("Mul", 70, first="two")
    reading = [NODE("ConstantOfShape", [last], ["big"]), NODE("Add", ["x", "big"], ["y"])]
    refusal(simple([*nodes, *reading], {"two": np.array([2], np.int64)}))
    column, row = np.ones((128, 1), np.int64), np.ones((1, 128), np.int64)
    nodes = [
        NODE("Mul", ["a", "b"], ["c"]),
        NODE("ReduceSum", ["c"], ["s"], keepdims=0),
        NODE("Add", ["x", "s"], ["y"]),
    ]
    tilewright.compile(simple(nodes, {"a": column, "b": row}, kind=TensorProto.INT64))  # as tensors


def test_sizes_that_grow_beyond_64_bits():
    shape = [NODE("Shape", ["x"], ["v"]), NODE("Gather", ["v", "zero"], ["n"], axis=0)]
    nodes, last = chain("Mul", 40, first="n")
    tail = [NODE("Unsqueeze", [last, "axis"], ["sizes"]), NODE("ConstantOfShape", ["sizes"], ["big"])]
    ending = [NODE("ReduceSum", ["big"], ["s"], keepdims=0), NODE("Add", ["x", "s"], ["y"])]
    known = {"zero": np.array(0, np.int64), "axis": np.array([0], np.int64)}
    assert "64 bits" in refusal(simple([*shape, *nodes, *tail, *ending], known))


def test_lists_of_places():
    """A step below zero, resizing and coordinates are listed one by one, or taken apart."""
    wide = {"sizes": np.array([1, 2**27], np.int64), "a": np.array([-1], np.int64), "b": np.array([-(2**40)], np.int64)}
    nodes = [
        NODE("ReduceSum", ["x"], ["s"], keepdims=1), NODE("Expand", ["s", "sizes"], ["e"]),
        NODE("Slice", ["e", "a", "b", "a", "a"], ["y"]),
    ]  # fmt: skip
    assert "allowed are 1048576" in refusal(simple(nodes, wide))
    places = [NODE("ConstantOfShape", ["many"], ["p"], value=numpy_helper.from_array(np.zeros(1, np.int64))),
              NODE("GatherND", ["x", "p"], ["y"])]  # fmt: skip
    assert "coordinates for 2 dimensions" in refusal(simple(places, {"many": np.array([1, 2**27], np.int64)}))


def nested_functions(depth, *, itself=False):
    """Functions that each call the one before twice."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    functions = [helper.make_function("mine", "f0", ["a"], ["b"], [NODE("Relu", ["a"], ["b"])], opsets)]
    for number in range(1, depth):
        called = number if itself else number - 1
        body = [NODE(f"f{called}", ["a"], ["m"], domain="mine"), NODE(f"f{called}", ["m"], ["b"], domain="mine")]
        functions.append(helper.make_function("mine", f"f{number}", ["a"], ["b"], body, opsets))
    model = simple([NODE(f"f{depth - 1}", ["x"], ["y"], domain="mine")])
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.functions.extend(functions)
    return model


def test_functions_that_call_functions():
    assert "nodes once its functions are written out" in refusal(nested_functions(30))
    assert "calls itself" in refusal(nested_functions(3, itself=True))
    assert "calls itself, or functions are more than 32 deep" in refusal(nested_functions(60))
    assert tilewright.compile(nested_functions(4)).document.outputs


def test_too_many_nodes():
    nodes, last = chain("Identity", 2**16, "")
    for node in nodes:
        del node.input[1:]
    assert "allowed: 65536" in refusal(simple([*nodes, NODE("Relu", [last], ["y"])]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n" * 10**6, "a name of 1000000 letters"),
        ("a\x1b[31mred", "control characters"),
        ("a\nb", "control characters"),
    ],
)
def test_names(name, words):
    for model in (
        simple([NODE("Relu", ["x"], [name]), NODE("Relu", [name], ["y"])]),
        simple([NODE("Relu", ["x"], ["y"], name)]),
        simple([NODE("Relu", ["x"], ["y"])], {name: np.ones(3, np.float32)}),
    ):
        assert words in refusal(model)


def test_long_paths_are_cut():
    names = ["/".join(["deep"] * 200) + "/a", "/".join(["deep"] * 200) + "/b"]
    nodes = [NODE("MatMul", ["x", names[0]], ["h"]), NODE("MatMul", ["h", names[1]], ["y"])]
    plan = tilewright.compile(simple(nodes, {name: np.eye(4, dtype=np.float32) for name in names}))
    assert [layer.name.rpartition(".")[2] for layer in plan.document.layers] == ["a", "b"]


def test_data_of_others(tmp_path):
    """External data lie beside the model; those of attributes and branches nowhere."""
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(64))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path)
    for location in ("../secret", "link/secret", str(secret), "a\0b", "n" * 5000):
        model = simple([NODE("MatMul", ["x", "w"], ["y"])], {"w": np.ones((4, 4), np.float32)})
        move_outside(model.graph.initializer[0], location)
        onnx.save(model, inside / "model.onnx")
        assert "not a file beside the model" in refusal(inside / "model.onnx")
    value = numpy_helper.from_array(np.ones((4, 4), np.float32), "value")
    move_outside(value, "secret")
    model = simple([NODE("Constant", [], ["w"], value=value), NODE("MatMul", ["x", "w"], ["y"])])
    onnx.save(model, tmp_path / "model.onnx")
    assert "which only a model's own constants may be" in refusal(tmp_path / "model.onnx")


def move_outside(tensor, location):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="64")


@pytest.mark.parametrize("operator", ["BatchNormalization", "InstanceNormalization"])
def test_norms_with_parameters_of_another_size(operator):
    names = ["s", "b", "m", "v"] if operator == "BatchNormalization" else ["s", "b"]
    constants = {name: np.ones(1, np.float32) for name in names}
    nodes = [NODE(operator, ["x", *names], ["y"], "norm")]
    assert "node 'norm'" in (text := refusal(simple(nodes, constants, shape=("n", 2**20, 4))))
    assert "one a channel" in text


def test_the_lowest_number_by_minus_one():
    """The processor raises a signal for it, which ends the process."""
    lowest, minus = np.array([-(2**63), 7, -7, 9], np.int64), np.array([-1, -1, 2, -2], np.int64)
    for operator, attributes, expected in (
        ("Div", {}, [-(2**63), -7, -3, -4]),
        ("Mod", {}, [0, 0, 1, -1]),
        ("Mod", {"fmod": 1}, [0, 0, -1, 1]),
    ):
        model = simple(
            [NODE(operator, ["x", "d"], ["y"], **attributes)], {"d": minus}, shape=(4,), kind=TensorProto.INT64
        )
        network = OnnxNetwork(read_model(model).model, "")
        assert network({"x": torch.from_numpy(lowest)})["y"].tolist() == expected
    nodes = [NODE("Div", ["a", "b"], ["q"]), NODE("Add", ["x", "q"], ["y"])]
    known = {"a": np.full(4, -(2**63), np.int64), "b": np.full(4, -1, np.int64)}
    assert "(Div)" in refusal(simple(nodes, known, kind=TensorProto.INT64))


def test_weights_that_are_no_numbers():
    product = [NODE("MatMul", ["x", "w"], ["h"]), NODE("Add", ["h", "mask"], ["y"])]
    good, mask = np.eye(4, dtype=np.float32) * 3, np.array([0, 0, 0, -np.inf], np.float32)
    for name, value, words in (
        ("w", np.nan, "1 of 16 values that are NaN"),
        ("w", np.inf, "1 of 16 values that are infinite"),
        ("mask", np.nan, "1 of 4 values that are NaN"),
    ):
        constants = {"w": good.copy(), "mask": mask.copy()}
        constants[name].reshape(-1)[1] = value
        assert words in refusal(simple(product, constants))
    plan = tilewright.compile(simple(product, {"w": good, "mask": mask}))
    assert torch.isinf(tilewright.Session(plan)(torch.ones(2, 4))["y"][:, 3]).all()


def test_constants_that_no_node_reads_are_listed():
    constants = {"w": np.eye(4, dtype=np.float32), "learned.input_range": np.ones((1, 3), np.float32)}
    plan = tilewright.compile(simple([NODE("MatMul", ["x", "w"], ["y"])], constants))
    assert [(tensor.name, tensor.shape) for tensor in plan.document.unused_tensors] == [("learned.input_range", [1, 3])]
    assert plan.document.model.parameters == 16


def test_an_unknown_operator_is_described():
    text = refusal(simple([NODE("Det", ["x"], ["y"], "last")], {}, shape=(3, 4, 4)))
    assert "operator Det (node 'last') is not supported: it" in text
    assert "; export the model" in text
