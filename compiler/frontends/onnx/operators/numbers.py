"""ONNX operators on numbers that are known while tracing, such as sizes."""

from __future__ import annotations

import math
import operator as python
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np
import torch

from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.operators.registry import ON_NUMBERS, ComputeNumbers, on_numbers
from tilewright.compiler.frontends.onnx.values import LARGEST_KEPT, Numbers, as_numbers, is_symbolic, plain_list


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    if is_symbolic(left) or is_symbolic(right):
        return left // right  # sizes are not negative
    quotient = abs(left) // abs(right)  # in whole numbers: a fraction has no 64 bits
    return -quotient if (left < 0) != (right < 0) else quotient


def _true(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    return lambda left, right: bool(compare(left, right))


JOINING: dict[str, Callable[[Any, Any], Any]] = {
    "Add": python.add, "Sub": python.sub, "Mul": python.mul, "Div": _divide, "Mod": python.mod, "Min": torch.sym_min,
    "Max": torch.sym_max,
    "Equal": _true(python.eq), "Less": _true(python.lt), "LessOrEqual": _true(python.le),
    "Greater": _true(python.gt), "GreaterOrEqual": _true(python.ge), "And": python.and_, "Or": python.or_,
}  # fmt: skip
"""Operators that join their inputs two by two, as functions of two numbers."""
EACH: dict[str, Callable[..., Any]] = {
    "Not": python.not_,
    "Neg": python.neg,
    "Abs": abs,
    "Floor": lambda number: float(np.floor(number)) if isinstance(number, float) else number,
    "Ceil": lambda number: float(np.ceil(number)) if isinstance(number, float) else number,
    "Identity": lambda number: number,
    "Where": lambda condition, yes, no: yes if condition else no,
}
"""Operators on the numbers at one place of all inputs, as functions of these."""
REDUCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "ReduceProd": python.mul, "ReduceSum": python.add, "ReduceMax": torch.sym_max,
    "ReduceMin": torch.sym_min,
}  # fmt: skip


def _each(function: Callable[..., Any], *arrays: Numbers) -> Numbers:
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    _check_count(math.prod(shape))
    columns = [np.broadcast_to(array, shape).reshape(-1).tolist() for array in arrays]
    results = np.empty(len(columns[0]), dtype=object)
    results[:] = [function(*items) for items in zip(*columns, strict=True)]
    return as_numbers(results.reshape(shape))


def _joining(function: Callable[..., Any]) -> ComputeNumbers:
    return lambda _call, inputs: reduce(partial(_each, function), inputs)


def _at_each_place(function: Callable[..., Any]) -> ComputeNumbers:
    return lambda _call, inputs: _each(function, *inputs)


def _reducing(function: Callable[..., Any]) -> ComputeNumbers:
    def reduction(call: Call, inputs: list[Numbers]) -> Numbers:
        if inputs[0].ndim != 1 or not inputs[0].size:
            raise UnknownNumberError
        value = reduce(function, inputs[0].tolist())
        return as_numbers([value] if call.attribute("keepdims", 1) else value)

    return reduction


ON_NUMBERS.update({name: _joining(function) for name, function in JOINING.items()})
ON_NUMBERS.update({name: _at_each_place(function) for name, function in EACH.items()})
ON_NUMBERS.update({name: _reducing(function) for name, function in REDUCTIONS.items()})
ON_NUMBERS.update(
    Squeeze=lambda call, inputs: np.squeeze(inputs[0], None if (axes := call.axes()) is None else tuple(axes)),
    Unsqueeze=lambda call, inputs: np.expand_dims(inputs[0], tuple(call.axes() or ())),
    Transpose=lambda call, inputs: inputs[0].transpose(call.attribute("perm")),
)


@on_numbers("Cast")
def cast(call: Call, inputs: list[Numbers]) -> Numbers:
    """Conversion between whole numbers, fractions and truth values."""
    wanted = call.attribute("to")
    if wanted == 9:
        return _each(bool, inputs[0])
    if wanted in (1, 10, 11, 16):
        return _each(lambda number: number * 1.0 if is_symbolic(number) else float(number), inputs[0])
    return _each(lambda number: number if is_symbolic(number) else int(number), inputs[0])


@on_numbers("Concat")
def concat(call: Call, inputs: list[Numbers]) -> Numbers:
    """Concatenation along any axis."""
    _check_count(sum(array.size for array in inputs))
    return as_numbers(np.concatenate([array.astype(object) for array in inputs], call.attribute("axis", 0)))


@on_numbers("Gather")
def gather(call: Call, inputs: list[Numbers]) -> Numbers:
    """Numbers at known places."""
    places = np.array(_plain(inputs[1]), dtype=np.int64).reshape(inputs[1].shape)
    axis = call.attribute("axis", 0)
    _check_count(inputs[0].size // max(inputs[0].shape[axis], 1) * places.size)
    return as_numbers(np.take(inputs[0].astype(object), places, axis))


@on_numbers("Slice")
def slice_(call: Call, inputs: list[Numbers]) -> Numbers:
    """Slice with known bounds."""
    numbers = inputs[0]
    starts = call.attribute("starts") or call.known_list(1, "starts")
    stops = call.attribute("ends") or call.known_list(2, "ends")
    axes = call.axes(3) or list(range(len(starts)))
    steps = call.optional_list(4, "steps") or [1] * len(starts)
    _plain(as_numbers([*starts, *stops, *steps]))
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        goes_past_the_start = step < 0 and stop < -numbers.shape[axis]
        place: list[slice] = [slice(None)] * numbers.ndim
        place[axis] = slice(start, None if goes_past_the_start else stop, step)
        numbers = numbers[tuple(place)]
    return numbers


@on_numbers("Reshape")
def reshape(call: Call, inputs: list[Numbers]) -> Numbers:
    """Numbers in another shape of known sizes."""
    sizes = [inputs[0].shape[place] if size == 0 else size for place, size in enumerate(_plain(inputs[1]))]
    return inputs[0].reshape(sizes)


@on_numbers("NonZero")
def non_zero(call: Call, inputs: list[Numbers]) -> Numbers:
    """Places of known numbers that are not zero."""
    _check_count(inputs[0].size * inputs[0].ndim)
    return np.array(np.nonzero(inputs[0]), dtype=np.int64)


@on_numbers("Split")
def split(call: Call, inputs: list[Numbers]) -> tuple[Numbers, ...]:
    """Parts of equal or given sizes."""
    axis = call.attribute("axis", 0)
    sizes = call.attribute("split") or call.optional_list(1, "sizes")
    if sizes is None:
        each = -(-inputs[0].shape[axis] // len(call.node.outputs))
        bounds = [each * part for part in range(1, len(call.node.outputs))]
    else:
        _plain(as_numbers(sizes))
        bounds = [int(bound) for bound in np.cumsum(sizes)[:-1]]
    return tuple(np.split(inputs[0], bounds, axis))


@on_numbers("ConstantOfShape")
def constant_of_shape(call: Call, inputs: list[Numbers]) -> Numbers:
    """An array of few elements, all of one value."""
    value = call.attribute("value")
    return np.full(_sizes(inputs[0]), 0.0 if value is None else value.reshape(-1)[0])


@on_numbers("Expand")
def expand(call: Call, inputs: list[Numbers]) -> Numbers:
    """Numbers broadcast to few elements."""
    return np.broadcast_to(inputs[0], np.broadcast_shapes(inputs[0].shape, tuple(_sizes(inputs[1])))).copy()


@on_numbers("Tile")
def tile(call: Call, inputs: list[Numbers]) -> Numbers:
    """Numbers repeated to few elements."""
    _sizes(as_numbers([*inputs[1].tolist(), inputs[0].size]))
    return np.tile(inputs[0], inputs[1].tolist())


@on_numbers("Range")
def range_(call: Call, inputs: list[Numbers]) -> Numbers:
    """Few numbers at equal distances."""
    start, limit, step = (_plain(array)[0] for array in inputs)
    if step == 0 or abs((limit - start) / step) > LARGEST_KEPT:
        raise UnknownNumberError
    return np.arange(start, limit, step)


class UnknownNumberError(Exception):
    """Numbers that are too many or not known: they are computed as a tensor."""


def _check_count(count: int) -> None:
    """Raise ``UnknownNumberError`` for too many numbers: chains of operators double them."""
    if count > LARGEST_KEPT:
        raise UnknownNumberError


def _plain(numbers: Numbers) -> list[Any]:
    """The elements, none of them a size that may vary: numpy would ask it for its number and so fix it."""
    found = plain_list(numbers)
    if any(is_symbolic(number) for number in found):
        raise UnknownNumberError
    return found


def _sizes(sizes: Numbers) -> list[int]:
    found = [int(size) for size in _plain(sizes)]
    _check_count(math.prod(found))
    if any(size < 0 for size in found):
        raise UnknownNumberError
    return found
