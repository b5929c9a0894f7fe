"""ONNX operators that treat every value alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value, type_of

PLAIN: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin, "Asinh": torch.asinh,
    "Atan": torch.atan, "Atanh": torch.atanh, "BitwiseNot": torch.bitwise_not, "Ceil": torch.ceil, "Cos": torch.cos,
    "Cosh": torch.cosh, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "HardSwish": functional.hardswish,
    "IsNaN": torch.isnan, "Log": torch.log, "Mish": functional.mish, "Neg": torch.neg, "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Round": torch.round, "Sigmoid": torch.sigmoid,
    "Sign": torch.sign, "Sin": torch.sin, "Sinh": torch.sinh, "Softplus": functional.softplus, "Sqrt": torch.sqrt,
    "Tan": torch.tan, "Tanh": torch.tanh,
    "Add": torch.add, "And": torch.logical_and, "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor, "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge,
    "Less": torch.lt, "LessOrEqual": torch.le, "Mul": torch.mul, "Or": torch.logical_or, "Sub": torch.sub,
    "Xor": torch.logical_xor,
    "Max": lambda *tensors: reduce(torch.maximum, tensors), "Min": lambda *tensors: reduce(torch.minimum, tensors),
    "Sum": lambda *tensors: reduce(torch.add, tensors),
}  # fmt: skip
"""Operators without attributes, supported entirely, as functions of their inputs."""
WITH_ATTRIBUTES: dict[str, tuple[str, dict[str, Any], Callable[..., Tensor]]] = {
    "Mean": ("Mean of any number of inputs.", {}, lambda *tensors: reduce(torch.add, tensors) / len(tensors)),
    "CastLike": ("Conversion to the type of another tensor.", {}, lambda x, like: x.to(like.dtype)),
    "Where": (
        "Choice between two tensors, with broadcasting.",
        {},
        lambda condition, yes, no: torch.where(condition.to(torch.bool), yes, no),
    ),
    "Shrink": (
        "Shrinkage with any limit and bias.",
        {"lambd": 0.5, "bias": 0.0},
        lambda x, limit, bias: torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, torch.zeros_like(x))),
    ),
    "Gelu": (
        "Gaussian error linear unit, exact or by tanh.",
        {"approximate": "none"},
        lambda x, approximate: functional.gelu(x, approximate=approximate),
    ),
    "LeakyRelu": ("Rectifier with any slope below zero.", {"alpha": 0.01}, functional.leaky_relu),
    "Elu": ("Exponential linear unit with any alpha.", {"alpha": 1.0}, functional.elu),
    "Celu": ("Continuously differentiable exponential linear unit with any alpha.", {"alpha": 1.0}, functional.celu),
    "Selu": (
        "Scaled exponential linear unit with any alpha and gamma.",
        {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
        lambda x, alpha, gamma: torch.mul(torch.where(x > 0, x, alpha * (torch.exp(x) - 1)), gamma),
    ),
    "PRelu": (
        "Rectifier with a slope for each channel or value.",
        {},
        lambda x, slope: torch.where(x < 0, x * slope, x),
    ),
    "HardSigmoid": (
        "Piecewise linear sigmoid with any alpha and beta.",
        {"alpha": 0.2, "beta": 0.5},
        lambda x, alpha, beta: torch.clamp(x * alpha + beta, 0.0, 1.0),
    ),
    "Swish": (
        "Swish, x · sigmoid(alpha · x) with any alpha.",
        {"alpha": 1.0},
        lambda x, alpha: x * torch.sigmoid(x * alpha),
    ),
    "Softsign": ("Softsign, x / (1 + abs(x)).", {}, lambda x: x / (1 + x.abs())),
    "ThresholdedRelu": (
        "Rectifier with any threshold.",
        {"alpha": 1.0},
        lambda x, alpha: torch.where(x > alpha, x, torch.zeros_like(x)),
    ),
}
"""Other operators: what is supported, attributes with their defaults, and a function of inputs and attributes."""


def _register(name: str, description: str, attributes: dict[str, Any], function: Callable[..., Tensor]) -> None:
    def compute(call: Call) -> Value:
        values = (call.attribute(attribute, default) for attribute, default in attributes.items())
        return function(*call.tensors(), *values)

    operator(name, description=description)(compute)


for _name, _function in PLAIN.items():
    _register(_name, "", {}, _function)
for _name, _entry in WITH_ATTRIBUTES.items():
    _register(_name, *_entry)


@operator("Div")
def div(call: Call) -> Value:
    """Division; integers are rounded towards zero."""
    left, right = call.tensor(0), call.tensor(1)
    if left.is_floating_point() or right.is_floating_point():
        return torch.div(left, right)
    if not _may_overflow(call):
        return torch.div(left, right, rounding_mode="trunc")
    quotient = torch.div(left, torch.where(right == -1, 1, right), rounding_mode="trunc")
    return torch.where(right == -1, -left, quotient)


@operator("Mod")
def mod(call: Call) -> Value:
    """Remainder with the sign of the divisor, or of the dividend where fmod is set."""
    left, right = call.tensor(0), call.tensor(1)
    if not (left.is_floating_point() or right.is_floating_point()) and _may_overflow(call):
        right = torch.where(right == -1, 1, right)  # nothing is left by either
    return torch.fmod(left, right) if call.attribute("fmod", 0) else torch.remainder(left, right)


def _may_overflow(call: Call) -> bool:
    """True if the lowest whole number may be divided by -1, which ends the process."""
    divisor = call.known[1]
    return divisor is None or divisor.dtype == object or bool((divisor == -1).any())


@operator("Pow")
def power(call: Call) -> Value:
    """Power; the result has the type of the base."""
    base = call.tensor(0)
    exponent = call.known[1]
    if exponent is not None and exponent.size == 1 and exponent.dtype != object and base.is_floating_point():
        result = torch.pow(base, float(exponent.reshape(-1)[0]))
        missing = exponent.ndim - base.dim()
        return result.reshape([1] * missing + list(base.shape)) if missing > 0 else result
    return torch.pow(base, call.tensor(1)).to(base.dtype)


@operator("Cast")
def cast(call: Call) -> Value:
    """Conversion to numbers and truth values; all floating-point types are computed in float32."""
    wanted = type_of(int(call.attribute("to")), str(call.node))
    x = call.tensor(0)
    return x if x.dtype == wanted else x.to(wanted)


@operator("Clip")
def clip(call: Call) -> Value:
    """Clipping; limits may be attributes, constants or computed."""
    x = call.tensor(0)
    for place, name in ((1, "min"), (2, "max")):
        limit = call.attribute(name)
        known = call.known[place] if call.has(place) else None
        if limit is None and known is not None and known.dtype != object:
            limit = known.reshape(-1)[0].item()
        if limit is not None:
            x = torch.clamp(x, **{name: limit})
        elif call.has(place):
            x = (torch.maximum if name == "min" else torch.minimum)(x, call.tensor(place))
    return x


@operator("IsInf")
def is_inf(call: Call) -> Value:
    """True where a value is infinite: of either sign, or of one."""
    x = call.tensor(0)
    infinite = torch.isinf(x)
    if not call.attribute("detect_negative", 1):
        infinite = infinite & (x > 0)
    return infinite if call.attribute("detect_positive", 1) else infinite & (x < 0)


@operator("BitShift")
def bit_shift(call: Call) -> Value:
    """Shift of bits to the left or right."""
    x, by = call.tensors()
    left = call.attribute("direction", "LEFT") == "LEFT"
    return torch.bitwise_left_shift(x, by) if left else torch.bitwise_right_shift(x, by)


@operator("Identity", "Dropout")
def identity(call: Call) -> Value | tuple[Value | None, ...]:
    """The input itself, which dropout too gives in inference; its mask is all true."""
    x = call.values[0]
    if x is None:
        raise call.refuse("lacks its input")
    if call.node.operator == "Dropout" and call.has(2) and bool(call.known_list(2, "training mode")[0]):
        raise call.refuse("is in training mode; export the model for inference")
    if len(call.node.outputs) > 1:
        return x, torch.ones_like(call.tensor(0), dtype=torch.bool)
    return x
