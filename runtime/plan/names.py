"""Names inside a plan: paths of modules in its graph, and keys of tensors."""

from __future__ import annotations

import re

LAYER_PREFIX = "on_tiles."
MATMUL_PREFIX = "on_units."
LOOP_PREFIX = "in_loops."


def layer_path(name: str) -> str:
    """Path of the module that the graph calls for a layer."""
    return LAYER_PREFIX + name


def matmul_path(name: str) -> str:
    """Path of the module that the graph calls for a product of two activations."""
    return MATMUL_PREFIX + name


def loop_path(name: str) -> str:
    """Path of the module that the graph calls for a loop."""
    return LOOP_PREFIX + name


def weight_key(name: str) -> str:
    """Key of a layer's weight [outputs, inputs]."""
    return f"{LAYER_PREFIX}{name}.weight"


def channel_scale_key(name: str) -> str:
    """Key of a layer's channel scale [inputs], by which its inputs on tiles are divided."""
    return f"{LAYER_PREFIX}{name}.channel_scale"


def calibration_key(name: str, target: str) -> str:
    """Key of the inputs [vectors, inputs] on a target's tiles that an affine compensation is fitted to."""
    return f"{LAYER_PREFIX}{name}.calibration_{re.sub('[^A-Za-z0-9]', '_', target)}"


def bias_key(name: str) -> str:
    """Key of a layer's bias [outputs]."""
    return f"{LAYER_PREFIX}{name}.bias"


def input_factor_key(name: str) -> str:
    """Key of the numbers [inputs] that a layer's matrix has more than the model's, and its inputs less."""
    return f"{LAYER_PREFIX}{name}.input_factor"


def output_factor_key(name: str) -> str:
    """Key of the numbers [outputs] by which a layer's matrix and outputs are the model's times that."""
    return f"{LAYER_PREFIX}{name}.output_factor"


def adapter_word(adapter: str) -> str:
    """Plain word for an adapter's name in keys; two adapters of a plan have different ones."""
    return re.sub("[^a-z0-9]", "_", adapter.lower())


def adapter_key(layer: str, adapter: str, part: int, what: str) -> str:
    """Key of a tensor of an adapter for one part of a layer. what: A, B, weight or bias."""
    return f"{LAYER_PREFIX}{layer}.adapter_{adapter_word(adapter)}.{part}_{what}"
