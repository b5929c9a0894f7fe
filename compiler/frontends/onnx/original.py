"""The ONNX model itself, run by onnxruntime, for comparisons with a plan."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor

from tilewright.compiler.frontends.onnx.constants import first_line
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


class OnnxOriginal:
    """ONNX model in onnxruntime, opened on first use."""

    def __init__(self, source: OnnxSource, input_names: dict[str, str]) -> None:
        """Keep a model to open. input_names: the model's own names by plain ones."""
        self._source, self._names = source, input_names
        self._session: Any = None

    def as_original(self) -> Original:
        """The model as the driver takes it."""
        in_half = any(tensor.data_type in HALF for tensor in self._source.model.graph.initializer)
        return Original(runtime_name(), self, tolerance=2e-2 if in_half else 1e-4)

    def __call__(self, inputs: Inputs) -> list[Tensor]:
        """The outputs in the model's order. Raises ``InputError`` if onnxruntime refuses the model."""
        onnxruntime = import_runtime()
        try:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.log_severity_level = 4
                self._session = onnxruntime.InferenceSession(
                    _openable(self._source), options, providers=["CPUExecutionProvider"]
                )
            types = {value.name: _NUMPY[value.type] for value in self._session.get_inputs()}
            given = {
                self._names[name]: value.numpy().astype(types[self._names[name]]) for name, value in inputs.items()
            }
            results = self._session.run(None, given)
        except Exception as error:  # onnxruntime raises many types of its own
            raise InputError(f"onnxruntime cannot run the model: {first_line(error)}") from error
        return [torch.from_numpy(result) for result in results]


_NUMPY = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(int16)": "int16", "tensor(int8)": "int8", "tensor(uint8)": "uint8",
    "tensor(bool)": "bool", "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64",
}  # fmt: skip


def _openable(source: OnnxSource) -> str | bytes:
    if source.file is not None and not source.was_quantised:
        return str(source.file)
    content: bytes = source.model.SerializeToString()
    return content


def import_runtime() -> Any:
    """Import onnxruntime. Raises ``InputError`` that says how to install it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "checking an ONNX model needs onnxruntime; install it with: pip install 'tilewright[onnx]'"
        ) from error
    return onnxruntime


def runtime_name() -> str:
    """Name of onnxruntime with its version, if it is installed."""
    try:
        return f"onnxruntime {import_runtime().__version__}"
    except InputError:
        return "onnxruntime (not installed)"


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
