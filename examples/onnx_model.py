"""An ONNX file: compile it, compare it with onnxruntime, see where every weight went, and let the chip drift.

    python examples/onnx_model.py [model.onnx]

Without a file it writes a small one, as a user's exporter would.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper, save

import tilewright


def write_small_model(path: Path) -> None:
    """A convolution with its batch norm, pooling and a classifier."""
    draw = np.random.default_rng(0)
    constants = {
        "conv.weight": draw.normal(0, 0.3, (8, 3, 3, 3)), "norm.scale": draw.uniform(0.5, 1.5, 8),
        "norm.offset": draw.normal(0, 0.1, 8), "norm.mean": draw.normal(0, 0.1, 8),
        "norm.variance": draw.uniform(0.5, 1.5, 8), "head.weight": draw.normal(0, 0.3, (8, 5)),
        "head.bias": draw.normal(0, 0.1, 5),
    }  # fmt: skip
    norm = ["conv", "norm.scale", "norm.offset", "norm.mean", "norm.variance"]
    nodes = [
        helper.make_node("Conv", ["image", "conv.weight"], ["conv"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", norm, ["normed"], "norm"),
        helper.make_node("Relu", ["normed"], ["active"], "relu"),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], "flatten"),
        helper.make_node("Gemm", ["features", "head.weight", "head.bias"], ["scores"], "head"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["samples", 3, 32, 32])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["samples", 5])
    stored = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "small", [image], [scores], stored)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def main() -> None:
    """Compile, report, run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "small.onnx"
        if len(sys.argv) == 1:
            write_small_model(path)
        plan = tilewright.compile(path, check=True)
    check = plan.document.check
    assert check is not None
    print(f"{plan}: {check.largest_relative_error:.1e} from {check.against}")
    for weight in plan.document.weights_of_model:
        print(f"  {weight.name:14} {weight.place:8} {', '.join(weight.layers) or weight.reason}")
    sizes = {record.name: [4 if isinstance(s, str) else s for s in record.shape] for record in plan.document.inputs}
    inputs = {name: torch.rand(shape) for name, shape in sizes.items()}
    exact = tilewright.Session(plan, ideal=True)(inputs)
    session = tilewright.Session(plan, seed=0)
    for time in ("1s", "1d", "1mo"):
        outputs = session.advance_to(time)(inputs)
        for name, value in outputs.items():
            error = float((value - exact[name]).norm() / exact[name].norm())
            print(f"after {time:>3}: {name} differs by {error:.1%}")


if __name__ == "__main__":
    main()
