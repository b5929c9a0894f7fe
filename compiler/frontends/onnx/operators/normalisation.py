"""Softmax and norms of ONNX."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call, along_axis, positive
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value


@operator("Softmax", "LogSoftmax")
def softmax(call: Call) -> Value:
    """Softmax or its logarithm along an axis; before opset 13 over all dimensions from it."""
    return along_axis(call, torch.softmax if call.node.operator == "Softmax" else torch.log_softmax)


@operator("BatchNormalization")
def batch_normalization(call: Call) -> Value:
    """Batch norm in inference; training_mode is not supported. Folds into a convolution or layer before it."""
    if call.attribute("training_mode", 0):
        raise call.refuse("training_mode is set; export the model for inference")
    x, scale, offset, mean, variance = call.tensors()
    _check_channels(call, x, scale, offset, mean, variance)
    return functional.batch_norm(x, mean, variance, scale, offset, False, 0.0, call.attribute("epsilon", 1e-5))


def _check_channels(call: Call, x: Tensor, *vectors: Tensor) -> None:
    """Raise ``InputError`` unless vectors have one number a channel: torch reads on behind their end."""
    for vector in vectors:
        if x.dim() < 2 or vector.dim() != 1 or vector.shape[0] != x.shape[1]:
            shapes = ", ".join(str(list(vector.shape)) for vector in vectors)
            raise call.refuse(f"has parameters of shape {shapes} for inputs of shape {list(x.shape)}: one a channel")


@operator("LayerNormalization")
def layer_normalization(call: Call) -> Value | tuple[Value | None, ...]:
    """Layer norm, with mean and deviation as results where they are asked for."""
    x, scale, offset = call.tensor(0), call.tensor(1), call.optional_tensor(2)
    axis = positive(call.attribute("axis", -1), x.dim(), call)
    epsilon = call.attribute("epsilon", 1e-5)
    if scale.dim() == x.dim() - axis and (offset is None or offset.shape == scale.shape):
        normed = functional.layer_norm(x, list(scale.shape), scale, offset, epsilon)
    else:
        normed = functional.layer_norm(x, list(x.shape[axis:]), None, None, epsilon) * scale
        normed = normed if offset is None else normed + offset
    if len(call.node.outputs) == 1:
        return normed
    axes = list(range(axis, x.dim()))
    mean = x.mean(axes, keepdim=True)
    return normed, mean, torch.rsqrt((x - mean).square().mean(axes, keepdim=True) + epsilon)


@operator("RMSNormalization")
def rms_normalization(call: Call) -> Value:
    """Root mean square norm along an axis and all behind it."""
    x = call.tensor(0)
    axis = positive(call.attribute("axis", -1), x.dim(), call)
    square = x.square().mean(dim=list(range(axis, x.dim())), keepdim=True)
    return x * torch.rsqrt(square + call.attribute("epsilon", 1e-5)) * call.tensor(1)


@operator("InstanceNormalization")
def instance_normalization(call: Call) -> Value:
    """Instance norm over any number of dimensions."""
    x, scale, offset = call.tensors()
    _check_channels(call, x, scale, offset)
    return functional.instance_norm(x, None, None, scale, offset, True, 0.0, call.attribute("epsilon", 1e-5))


@operator("GroupNormalization")
def group_normalization(call: Call) -> Value:
    """Group norm; before opset 21 with a scale for each group, later for each channel."""
    x, scale, offset = call.tensors()
    groups = call.attribute("num_groups")
    if call.node.opset < 21 and scale.shape[0] == groups != x.shape[1]:
        repeats = int(x.shape[1]) // groups
        scale, offset = scale.repeat_interleave(repeats), offset.repeat_interleave(repeats)
    return functional.group_norm(x, groups, scale, offset, call.attribute("epsilon", 1e-5))


@operator("LpNormalization")
def lp_normalization(call: Call) -> Value:
    """Norm of p = 1 or p = 2."""
    x = call.tensor(0)
    axis, order = call.attribute("axis", -1), call.attribute("p", 2)
    size = x.abs().sum(axis, keepdim=True) if order == 1 else x.square().sum(axis, keepdim=True).sqrt()
    return torch.where(size == 0, torch.zeros_like(x), x / size)


@operator("MeanVarianceNormalization")
def mean_variance_normalization(call: Call) -> Value:
    """Mean and variance norm over any axes."""
    x = call.tensor(0)
    axes = list(call.attribute("axes", [0, 2, 3]))
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / (torch.sqrt((x - mean).square().mean(axes, keepdim=True)) + 1e-9)


@operator("LRN")
def local_response_normalization(call: Call) -> Value:
    """Local response norm across channels."""
    x, size = call.tensor(0), call.attribute("size")
    low, high = (size - 1) // 2, math.ceil((size - 1) / 2)
    flat = functional.pad(x.square().flatten(2).unsqueeze(1), [0, 0, low, high])
    summed = functional.avg_pool2d(flat, (size, 1), stride=1).squeeze(1) * size
    alpha, beta, bias = call.attribute("alpha", 1e-4), call.attribute("beta", 0.75), call.attribute("bias", 1.0)
    return torch.div(x, torch.pow(bias + alpha / size * summed.reshape(x.shape), beta))
