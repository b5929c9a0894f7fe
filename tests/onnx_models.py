"""Small ONNX models in the styles that exporters write."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.narrowing import present


class ResidualBlock(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 2 * channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * channels)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * channels)
        self.down = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1, stride, bias=False), nn.BatchNorm2d(2 * channels)
        )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.down(x))


class SmallResNet(nn.Module):
    """A stem, two residual blocks, pooling, a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                                  nn.MaxPool2d(3, 2, padding=1))  # fmt: skip
        self.blocks = nn.Sequential(ResidualBlock(8, 1), ResidualBlock(16, 2))
        self.head = nn.Linear(32, 5)

    def forward(self, image):
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(self.blocks(self.stem(image)), 1), 1))


class SmallYolo(nn.Module):
    """Split and concatenated features, pooling of several sizes, an upsampled branch, boxes and scores."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1), nn.BatchNorm2d(8), nn.SiLU())
        self.split = nn.Conv2d(8, 16, 1)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.down = nn.Conv2d(24, 16, 3, 2, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 5, padding=2, groups=16)
        self.pool = nn.MaxPool2d(5, 1, padding=2)
        self.mix = nn.Conv2d(64, 24, 1)
        self.detect = nn.Conv2d(48, 7, 1)

    def forward(self, image):
        x = self.stem(image)
        left, right = self.split(x).chunk(2, 1)
        fine = torch.cat([left, right, nn.functional.silu(self.inner(right))], 1)
        x = self.depthwise(nn.functional.silu(self.down(fine)))
        pooled = [x]
        for _ in range(3):
            pooled.append(self.pool(pooled[-1]))
        coarse = self.mix(torch.cat(pooled, 1))
        both = torch.cat([fine, nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")], 1)
        out = self.detect(both).flatten(2).transpose(1, 2)
        boxes, scores = out.split([4, 3], -1)
        return boxes, scores.sigmoid()


class ManyOperators(nn.Module):
    """Norms, resizing, padding, pooling, selection and reductions of many kinds."""

    def __init__(self):
        super().__init__()
        self.conv, self.group = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)
        self.slope, self.instance = nn.PReLU(8), nn.InstanceNorm2d(8, affine=True)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.layer = nn.LayerNorm(4)

    def forward(self, image):
        x = self.instance(self.slope(self.group(self.conv(image))))
        x = x * x.std(1, keepdim=True)
        x = self.up(nn.functional.interpolate(x, scale_factor=1.5, mode="bilinear"))
        x = nn.functional.pad(x, (1, 2, 3, 0), mode="reflect")
        x = nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False, ceil_mode=True)
        x = self.layer(x.permute(0, 2, 3, 1))
        values = x.flatten(1).topk(5).values
        joint = torch.einsum("bhwc,bhwd->bcd", x, x)
        gelu = nn.functional.gelu(values, approximate="tanh")
        rolled = torch.roll(values, 1, 1).flip(1)
        return torch.where(x > 0, x, x.exp()), joint, x.var(dim=1), gelu, rolled, torch.cumsum(values, 1)


class SmallTransformer(nn.Module):
    """Embeddings, two encoder layers, a classifier."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(50, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 3)

    def forward(self, ids):
        return self.head(self.encoder(self.tokens(ids)).mean(1))


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(20, 30), nn.Linear(30, 4)

    def forward(self, x):
        return torch.softmax(self.second(torch.tanh(self.first(x))), -1)


def trained_looking(model: nn.Module) -> nn.Module:
    """The model with batch norms that do something."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -0.5, 1.5)
            nn.init.normal_(module.bias)
            present(module.running_mean).normal_()
            present(module.running_var).uniform_(0.5, 2.0)
    return model.eval()


def export(model, inputs, path: Path, *, opset: int, dynamo=False, dynamic=(0,), fold=True) -> Path:
    """Export by one of torch's two exporters; the dimensions ``dynamic`` of every input may vary."""
    names = [f"input{number}" for number in range(len(inputs))]
    options: dict[str, Any] = {"opset_version": opset, "input_names": names, "dynamo": dynamo}
    if dynamo:
        sizes = {axis: torch.export.Dim(f"size{axis}", min=1) for axis in dynamic}
        options |= {"dynamic_shapes": (sizes,) * len(inputs), "verbose": False}
    else:
        mode = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
        axes = {axis: f"size{axis}" for axis in dynamic}
        options |= {"dynamic_axes": dict.fromkeys(names, axes), "do_constant_folding": fold, "training": mode}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, inputs, str(path), **options)
    return path


def model_of(nodes, inputs, outputs, constants=None, opset=17, functions=()) -> onnx.ModelProto:
    """A graph by hand. inputs, outputs: name -> (type, shape); constants: name -> array."""
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(f.domain, 1) for f in functions)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=9)


def tensorflow_style() -> onnx.ModelProto:
    """A model of tf2onnx: NHWC with transposes around, names with slashes and :0, shapes computed in the graph."""
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.standard_normal(shape).astype(np.float32) / 3

    make = helper.make_node
    nodes = [
        make("Transpose", ["serving_default_image:0"], ["nchw"], "model/conv/Conv2D__6", perm=[0, 3, 1, 2]),
        make("Conv", ["nchw", "model/conv/Conv2D/ReadVariableOp:0", "model/conv/BiasAdd/ReadVariableOp:0"], ["conv"],
             "model/conv/BiasAdd", strides=[2, 2], auto_pad="SAME_UPPER", kernel_shape=[3, 3]),
        make("Relu", ["conv"], ["relu"], "model/conv/Relu"),
        make("Transpose", ["relu"], ["nhwc"], "model/pool__12", perm=[0, 2, 3, 1]),
        make("ReduceMean", ["nhwc"], ["mean"], "model/pool/Mean", axes=[1, 2], keepdims=0),
        make("Shape", ["mean"], ["shape"], "model/Shape"),
        make("Cast", ["shape"], ["shape32"], "model/Shape__19", to=TensorProto.INT32),
        make("Slice", ["shape32", "zero", "one", "zero"], ["count"], "model/strided_slice"),
        make("Concat", ["count", "two_three"], ["wanted32"], "model/Reshape/shape_Concat__28", axis=0),
        make("Cast", ["wanted32"], ["wanted"], "model/Reshape__29", to=TensorProto.INT64),
        make("Reshape", ["mean", "wanted"], ["grouped"], "model/Reshape"),
        make("MatMul", ["grouped", "model/dense/MatMul/ReadVariableOp:0"], ["product"], "model/dense/MatMul"),
        make("Add", ["product", "model/dense/BiasAdd/ReadVariableOp:0"], ["Identity:0"], "model/dense/BiasAdd"),
    ]  # fmt: skip
    constants = {
        "model/conv/Conv2D/ReadVariableOp:0": normal(6, 3, 3, 3),
        "model/conv/BiasAdd/ReadVariableOp:0": normal(6),
        "zero": np.array([0], np.int64), "one": np.array([1], np.int64), "two_three": np.array([2, 3], np.int32),
        "model/dense/MatMul/ReadVariableOp:0": normal(3, 5),
        "model/dense/BiasAdd/ReadVariableOp:0": normal(5),
    }  # fmt: skip
    return model_of(
        nodes,
        {"serving_default_image:0": (TensorProto.FLOAT, ["unk__1", 15, 15, 3])},
        {"Identity:0": (TensorProto.FLOAT, ["unk__2", 2, 5])},
        constants,
        opset=13,
    )
