"""The ONNX model itself, run by onnxruntime, for comparisons with a plan."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor

from tilewright.compiler.frontends.foreign_errors import refusing
from tilewright.compiler.frontends.onnx.reading import OnnxSource
from tilewright.compiler.network.traced import Inputs, Original
from tilewright.targets.errors import InputError

HALF = (10, 16)
"""Element types FLOAT16 and BFLOAT16."""
SATURATES = (
    "on this processor, which has no VNNI instructions, onnxruntime's 8-bit products saturate at 16 bits, so there the "
    "quantised model gives other numbers than its file says; the plan computes what the file says: quantise with "
    "reduce_range=True for numbers that are the same everywhere"
)


def original_of(source: OnnxSource, input_names: dict[str, str]) -> Original:
    """The model in onnxruntime, opened on first use. input_names: the model's own names by plain ones.

    A run raises ``InputError`` if onnxruntime refuses the model.
    """

    @cache
    def session() -> Any:
        options = import_runtime().SessionOptions()
        options.log_severity_level = 4
        is_as_stored = source.file is not None and not source.was_quantised
        content = str(source.file) if is_as_stored else source.model.SerializeToString()
        return import_runtime().InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> list[Tensor]:
        import_runtime()
        kinds = {value.name: value.type.tensor_type.elem_type for value in source.model.graph.input}
        with refusing("onnxruntime cannot run the model"):
            given = {
                input_names[name]: value.numpy().astype(helper.tensor_dtype_to_np_dtype(kinds[input_names[name]]))
                for name, value in inputs.items()
            }
            return [torch.from_numpy(result) for result in session().run(None, given)]

    try:
        runs_on = f"onnxruntime {import_runtime().__version__}"
    except InputError:
        runs_on = "onnxruntime (not installed)"
    in_half = any(tensor.data_type in HALF for tensor in source.model.graph.initializer)
    return Original(runs_on, run, tolerance=2e-2 if in_half else 1e-4)


def import_runtime() -> Any:
    """Import onnxruntime. Raises ``InputError`` that says how to install it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "checking an ONNX model needs onnxruntime; install it with: pip install 'tilewright[onnx]'"
        ) from error
    return onnxruntime


@cache
def products_saturate() -> bool:
    """True if onnxruntime's products of uint8 and int8 numbers are wrong on this processor; False without onnxruntime.

    Without VNNI it adds pairs of products in 16 bits, which hold half of the largest pair.
    """
    try:
        onnxruntime = import_runtime()
    except InputError:
        return False
    left = helper.make_tensor_value_info("left", TensorProto.UINT8, [4, 64])
    right = helper.make_tensor_value_info("right", TensorProto.INT8, [64, 16])
    product = helper.make_tensor_value_info("product", TensorProto.INT32, [4, 16])
    node = helper.make_node("MatMulInteger", ["left", "right"], ["product"])
    graph = helper.make_graph([node], "extremes", [left, right], [product])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    extremes = {"left": np.full((4, 64), 255, np.uint8), "right": np.full((64, 16), 127, np.int8)}
    return bool((session.run(None, extremes)[0] != 64 * 255 * 127).any())
