"""Quantised models compile in full precision, and say so."""

import logging

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import tilewright
from tests.narrowing import present
from tests.onnx_models import Perceptron, SmallResNet, SmallTransformer, export, trained_looking


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantised")
    torch.manual_seed(0)
    export(trained_looking(SmallResNet()), (torch.randn(2, 3, 32, 32),), folder / "resnet.onnx", opset=17)
    export(trained_looking(Perceptron()), (torch.randn(3, 20),), folder / "perceptron.onnx", opset=13)
    ids = torch.randint(0, 50, (2, 7))
    export(trained_looking(SmallTransformer()), (ids,), folder / "transformer.onnx", opset=14)
    return folder


class Images:
    """Calibration data for onnxruntime's quantiser."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self._left = [{"input0": generator.standard_normal((2, 3, 32, 32)).astype(np.float32)} for _ in range(4)]

    def get_next(self):
        return self._left.pop() if self._left else None


def largest_difference(plan, path, x):
    """Difference to the quantised model. Weights have 7 bits: with 8 onnxruntime's products saturate without VNNI."""
    (output,) = tilewright.Session(plan, ideal=True)({"input0": x}).values()
    (exact,) = onnxruntime.InferenceSession(str(path)).run(None, {"input0": x.numpy()})
    return np.abs(output.numpy() - exact).max() / np.abs(exact).max()


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_static(models, form, per_channel):
    from onnxruntime import quantization

    logging.disable(logging.WARNING)
    path = models / f"resnet-{form}-{per_channel}.onnx"
    quantization.quantize_static(models / "resnet.onnx", path, Images(), per_channel=per_channel, reduce_range=True,
                                 quant_format=getattr(quantization.QuantFormat, form))  # fmt: skip
    plan = tilewright.compile(path, check=True)
    assert present(plan.document.check).largest_relative_error < 1e-4  # to the dequantised model, run by onnxruntime
    assert any("dequantised" in note for note in plan.document.notes)
    assert len(plan.document.layers) == 8
    assert largest_difference(plan, path, torch.randn(2, 3, 32, 32)) < 0.02  # to the model that rounds to 8 bits


@pytest.mark.parametrize("name", ["perceptron", "transformer"])
def test_dynamic(models, name):
    from onnxruntime import quantization

    logging.disable(logging.WARNING)
    path = models / f"{name}-dynamic.onnx"
    quantization.quantize_dynamic(models / f"{name}.onnx", path, reduce_range=True)
    plan = tilewright.compile(path, check=True)
    assert present(plan.document.check).largest_relative_error < 1e-4
    assert "dequantised" in plan.document.notes[0]
    analog = [weight for weight in plan.document.weights_of_model if weight.place == "analog"]
    assert all(len(weight.shape) == 2 for weight in analog)
    assert analog
    x = torch.randn(3, 20) if name == "perceptron" else torch.randint(0, 50, (2, 7))
    assert largest_difference(plan, path, x) < 0.05


def test_users_are_told_where_onnxruntime_computes_something_else(models, monkeypatch):
    from onnxruntime import quantization

    from tilewright.compiler.frontends.onnx import frontend, original

    logging.disable(logging.WARNING)
    path = models / "perceptron-told.onnx"
    quantization.quantize_dynamic(models / "perceptron.onnx", path)
    for saturates in (False, True):
        monkeypatch.setattr(frontend, "products_saturate", lambda saturates=saturates: saturates)
        assert (original.SATURATES in tilewright.compile(path).document.notes) == saturates


@pytest.mark.parametrize(("product", "saturates"), [(64 * 255 * 127, False), (32 * 32767, True)])
def test_products_are_tried_at_their_extremes(monkeypatch, product, saturates):
    from types import SimpleNamespace

    from tilewright.compiler.frontends.onnx import original

    class Runs:
        def __init__(self, model, providers):
            pass

        def run(self, names, inputs):
            return [np.full((4, 16), product, np.int32)]

    monkeypatch.setattr(original, "import_runtime", lambda: SimpleNamespace(InferenceSession=Runs))
    assert original.products_saturate.__wrapped__() == saturates


def test_a_bias_that_is_added_to_sums_of_integers():
    """Biases in whole steps of both scales, which onnxruntime's first quantisers wrote."""
    draws = np.random.default_rng(0)
    weights, bias = (
        draws.integers(-60, 60, size=(5, 4, 1, 1)).astype(np.int8),
        draws.integers(-900, 900, size=(1, 5, 1, 1)),
    )
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["steps", "x_scale", "x_zero"]),
        helper.make_node("ConvInteger", ["steps", "weights", "x_zero", "zero"], ["sums"]),
        helper.make_node("Cast", ["bias"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Add", ["sums", "whole"], ["with_bias"]),
        helper.make_node("Cast", ["with_bias"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x_scale", "scale"], ["both"]),
        helper.make_node("Mul", ["real", "both"], ["y"]),
    ]
    constants = {"weights": weights, "zero": np.int8(0), "bias": bias.astype(np.float32), "scale": np.float32(0.01)}
    graph = helper.make_graph(
        nodes, "old",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    plan = tilewright.compile(model, check=True)
    x = draws.normal(size=(2, 4, 3, 3)).astype(np.float32)
    (found,) = tilewright.Session(plan, ideal=True)({"x": x}).values()
    wanted = np.einsum("oi,bihw->bohw", weights[:, :, 0, 0] * 0.01, x) + bias * 0.01
    assert np.abs(found.numpy() - wanted).max() < 1e-4
