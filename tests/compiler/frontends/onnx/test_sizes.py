"""ONNX models whose sizes vary: padding that follows from them, and sizes that are made up."""

from itertools import product

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import tilewright
from tests.onnx_models import model_of
from tilewright.compiler.frontends import automatic_inputs
from tilewright.targets.errors import InputError

UPPER, LOWER = "SAME_UPPER", "SAME_LOWER"
SIDES = (1, 2, 3, 4, 7, 8, 9, 12)


def network(nodes, input_shape, weights):
    """Nodes from x to y, with weights by name: shapes of random ones, or arrays."""
    generator = np.random.default_rng(0)
    arrays = {
        name: value if isinstance(value, np.ndarray) else generator.standard_normal(value).astype(np.float32)
        for name, value in weights.items()
    }
    return model_of(nodes, {"x": (TensorProto.FLOAT, input_shape)}, {"y": (TensorProto.FLOAT, None)}, arrays)


def equals_onnxruntime(model, shapes, calibration=None):
    plan = tilewright.compile(model, "ideal", calibration=calibration)
    assert plan.document.size_conditions == []
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    exact = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session = tilewright.Session(plan, ideal=True)
    for shape in shapes:
        x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        (found,), (expected,) = session(x=x).values(), exact.run(None, {"x": x})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4, err_msg=str(shape))


def pool(kind, kernel, **how):
    return helper.make_node(kind, ["a"], ["y"], kernel_shape=list(kernel), **how)


def conv(kernel, **how):
    return helper.make_node("Conv", ["a", "v"], ["y"], kernel_shape=list(kernel), **how)


CASES = {
    "max, upper": pool("MaxPool", (2, 2), strides=[2, 2], auto_pad=UPPER),
    "max, lower, a line": pool("MaxPool", (3,), strides=[2], auto_pad=LOWER),
    "max, rounded up, one side padded": pool("MaxPool", (3, 3), strides=[3, 3], pads=[0, 0, 1, 1], ceil_mode=1),
    "average, lower": pool("AveragePool", (3, 2), strides=[2, 2], auto_pad=LOWER),
    "average, padding counted": pool("AveragePool", (2,), strides=[2], auto_pad=UPPER, count_include_pad=1),
    "convolution": conv((3, 2), strides=[2, 3], auto_pad=UPPER),
    "convolution, a line": conv((4,), strides=[2], auto_pad=LOWER),
    "convolution, depthwise": conv((3,), strides=[2], auto_pad=UPPER, group=4),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_padding_follows_every_size(name):
    node = CASES[name]
    kernel = next(attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape")
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    weights = {"w": (4, 3, *[1] * len(kernel))}
    if node.op_type == "Conv":
        weights["v"] = (4, 4 // groups, *kernel)
    open_ = [f"side {axis}" for axis in range(len(kernel))]
    model = network([helper.make_node("Conv", ["x", "w"], ["a"]), node], ["n", 3, *open_], weights)
    equals_onnxruntime(model, [(batch, 3, *sides) for batch in (1, 2) for sides in product(SIDES, repeat=len(kernel))])


def test_a_face_detector_runs_on_images_of_any_size():
    """The first network of MTCNN in small: valid convolutions, a pool with SAME padding, two heads, one by softmax."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"]),
        helper.make_node("PRelu", ["c1", "s1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2], auto_pad=UPPER),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["c2"]),
        helper.make_node("PRelu", ["c2", "s2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["faces"], axis=1),
        helper.make_node("Conv", ["r2", "w4"], ["boxes"]),
        helper.make_node("Concat", ["faces", "boxes"], ["y"], axis=1),
    ]
    weights = {
        "w1": (10, 3, 3, 3), "b1": (10,), "s1": (10, 1, 1), "w2": (16, 10, 3, 3), "b2": (16,), "s2": (16, 1, 1),
        "w3": (2, 16, 1, 1), "w4": (4, 16, 1, 1),
    }  # fmt: skip
    sides = [(9, 9), (10, 13), (12, 12), (15, 16), (24, 17), (37, 37)]
    samples = {"x": np.random.default_rng(2).standard_normal((2, 3, 16, 16)).astype(np.float32)}
    equals_onnxruntime(network(nodes, ["n", 3, "h", "w"], weights), [(2, 3, *size) for size in sides], samples)


def test_larger_sizes_are_made_up_where_the_usual_are_too_small():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[4]),
        helper.make_node("Conv", ["a", "v"], ["y"], strides=[4]),
    ]
    model = network(nodes, ["n", 1, "t"], {"w": (2, 1, 16), "v": (2, 2, 8)})
    plan = tilewright.compile(model, "ideal")
    assert plan.document.dimensions["size_2"].minimum == 16 + 7 * 4
    session = tilewright.Session(plan, ideal=True)
    assert session(x=torch.randn(1, 1, 60))["y"].shape == (1, 2, 2)
    with pytest.raises(InputError, match="size_2 is 43, allowed is 44 to any size"):
        session(x=torch.randn(1, 1, 43))


def test_the_way_out_comes_first_where_no_size_is_taken(monkeypatch):
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["y"])]
    model = network(nodes, ["n", "t"], {"shape": np.array([-1, 100]), "w": (100, 5)})
    with pytest.raises(InputError, match=r"^if the model takes only certain sizes, give sample inputs .*x \[2, 7\]"):
        tilewright.compile(model, "ideal")
    plan = tilewright.compile(model, "ideal", calibration={"x": np.ones((4, 200), np.float32)})
    assert plan.document.size_conditions == ["(batch * sequence) % 100 == 0"]
    monkeypatch.setattr(automatic_inputs, "LARGEST_INPUT", 20)  # nothing larger is made then
    with pytest.raises(InputError, match=r"x \[2, 7\]"):
        tilewright.compile(model, "ideal")
