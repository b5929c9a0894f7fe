"""ONNX operators that treat every value alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value, type_of

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin, "Asinh": torch.asinh,
    "Atan": torch.atan, "Atanh": torch.atanh, "BitwiseNot": torch.bitwise_not, "Ceil": torch.ceil, "Cos": torch.cos,
    "Cosh": torch.cosh, "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "HardSwish": functional.hardswish,
    "IsNaN": torch.isnan, "Log": torch.log, "Mish": functional.mish, "Neg": torch.neg, "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Round": torch.round, "Sigmoid": torch.sigmoid,
    "Sign": torch.sign, "Sin": torch.sin, "Sinh": torch.sinh, "Softplus": functional.softplus, "Sqrt": torch.sqrt,
    "Tan": torch.tan, "Tanh": torch.tanh,
}  # fmt: skip
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add, "And": torch.logical_and, "BitwiseAnd": torch.bitwise_and, "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor, "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge,
    "Less": torch.lt, "LessOrEqual": torch.le, "Mul": torch.mul, "Or": torch.logical_or, "Sub": torch.sub,
    "Xor": torch.logical_xor,
}  # fmt: skip
VARIADIC: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Max": torch.maximum, "Min": torch.minimum, "Sum": torch.add,
}  # fmt: skip


def _register_tables() -> None:
    for name, function in UNARY.items():

        def unary(call: Call, function: Callable[[Tensor], Tensor] = function) -> Value:
            return function(call.tensor(0))

        operator(name)(unary)
    for name, binary_function in BINARY.items():

        def binary(call: Call, function: Callable[[Tensor, Tensor], Tensor] = binary_function) -> Value:
            return function(call.tensor(0), call.tensor(1))

        operator(name)(binary)
    for name, joining in VARIADIC.items():

        def variadic(call: Call, function: Callable[[Tensor, Tensor], Tensor] = joining) -> Value:
            return reduce(function, call.tensors())

        operator(name)(variadic)


_register_tables()


@operator("Mean")
def mean(call: Call) -> Value:
    """Mean of any number of inputs."""
    tensors = call.tensors()
    return reduce(torch.add, tensors) / len(tensors)


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
        return (
            result.reshape([1] * (exponent.ndim - base.dim()) + list(base.shape))
            if exponent.ndim > base.dim()
            else result
        )
    return torch.pow(base, call.tensor(1)).to(base.dtype)


@operator("Where")
def where(call: Call) -> Value:
    """Choice between two tensors, with broadcasting."""
    condition, yes, no = call.tensors()
    return torch.where(condition.to(torch.bool), yes, no)


@operator("Cast")
def cast(call: Call) -> Value:
    """Conversion to numbers and truth values; all floating-point types are computed in float32."""
    wanted = type_of(int(call.attribute("to")), str(call.node))
    x = call.tensor(0)
    return x if x.dtype == wanted else x.to(wanted)


@operator("CastLike")
def cast_like(call: Call) -> Value:
    """Conversion to the type of another tensor."""
    return call.tensor(0).to(call.tensor(1).dtype)


@operator("Shrink")
def shrink(call: Call) -> Value:
    """Shrinkage with any limit and bias."""
    x, limit, bias = call.tensor(0), call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    return torch.where(x < -limit, x + bias, torch.where(x > limit, x - bias, torch.zeros_like(x)))


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
            x = torch.clamp(x, min=limit) if name == "min" else torch.clamp(x, max=limit)
        elif call.has(place):
            x = (torch.maximum if name == "min" else torch.minimum)(x, call.tensor(place))
    return x


@operator("Gelu")
def gelu(call: Call) -> Value:
    """Gaussian error linear unit, exact or by tanh."""
    return functional.gelu(call.tensor(0), approximate=call.attribute("approximate", "none"))


@operator("LeakyRelu")
def leaky_relu(call: Call) -> Value:
    """Rectifier with any slope below zero."""
    return functional.leaky_relu(call.tensor(0), call.attribute("alpha", 0.01))


@operator("Elu")
def elu(call: Call) -> Value:
    """Exponential linear unit with any alpha."""
    return functional.elu(call.tensor(0), call.attribute("alpha", 1.0))


@operator("Celu")
def celu(call: Call) -> Value:
    """Continuously differentiable exponential linear unit with any alpha."""
    return functional.celu(call.tensor(0), call.attribute("alpha", 1.0))


@operator("Selu")
def selu(call: Call) -> Value:
    """Scaled exponential linear unit with any alpha and gamma."""
    x = call.tensor(0)
    alpha, gamma = (
        call.attribute("alpha", 1.67326319217681884765625),
        call.attribute("gamma", 1.05070102214813232421875),
    )
    return torch.mul(torch.where(x > 0, x, alpha * (torch.exp(x) - 1)), gamma)


@operator("PRelu")
def prelu(call: Call) -> Value:
    """Rectifier with a slope for each channel or value."""
    x, slope = call.tensors()
    return torch.where(x < 0, x * slope, x)


@operator("HardSigmoid")
def hard_sigmoid(call: Call) -> Value:
    """Piecewise linear sigmoid with any alpha and beta."""
    return torch.clamp(call.tensor(0) * call.attribute("alpha", 0.2) + call.attribute("beta", 0.5), 0.0, 1.0)


@operator("Swish")
def swish(call: Call) -> Value:
    """Swish, x · sigmoid(alpha · x) with any alpha."""
    x = call.tensor(0)
    return x * torch.sigmoid(x * call.attribute("alpha", 1.0))


@operator("Softsign")
def softsign(call: Call) -> Value:
    """Softsign, x / (1 + abs(x))."""
    x = call.tensor(0)
    return x / (1 + x.abs())


@operator("ThresholdedRelu")
def thresholded_relu(call: Call) -> Value:
    """Rectifier with any threshold."""
    x = call.tensor(0)
    return torch.where(x > call.attribute("alpha", 1.0), x, torch.zeros_like(x))


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
