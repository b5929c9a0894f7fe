"""Where things are inside a plan's graph, and what their tensors are called."""

from __future__ import annotations

import re

LAYER_PREFIX = "on_tiles."
MATMUL_PREFIX = "on_units."


def layer_path(name: str) -> str:
    """The module that the graph calls for a layer."""
    return LAYER_PREFIX + name


def matmul_path(name: str) -> str:
    """The module that the graph calls for a product of two activations."""
    return MATMUL_PREFIX + name


def weight_key(name: str) -> str:
    """The tensor that holds a layer's weight [outputs, inputs]."""
    return f"{LAYER_PREFIX}{name}.weight"


def channel_scale_key(name: str) -> str:
    """The tensor that an analog layer's inputs are divided by, channel by channel [inputs]."""
    return f"{LAYER_PREFIX}{name}.channel_scale"


def calibration_key(name: str, target: str) -> str:
    """The tensor of inputs on a target's tiles that an affine compensation is fitted to [vectors, inputs]."""
    return f"{LAYER_PREFIX}{name}.calibration_{re.sub('[^A-Za-z0-9]', '_', target)}"


def bias_key(name: str) -> str:
    """The tensor that holds a layer's bias [outputs]."""
    return f"{LAYER_PREFIX}{name}.bias"
