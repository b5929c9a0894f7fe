"""ONNX operators that change the form of a tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call, positive
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value, as_numbers, type_of

LARGEST_MADE = 2**28
"""Largest number of elements of a constant that is made while tracing."""
LARGEST_LIST = 2**20
"""Places along one dimension that are listed one by one, at most."""


@operator("Shape")
def shape(call: Call) -> Value:
    """Sizes of a tensor; those that may vary stay symbolic."""
    sizes = list(call.tensor(0).shape)
    return as_numbers(sizes[call.attribute("start", 0) : call.attribute("end")])


@operator("Size")
def size(call: Call) -> Value:
    """The number of elements."""
    return as_numbers(call.tensor(0).numel())


@operator("Reshape")
def reshape(call: Call) -> Value:
    """Change of shape to sizes that are constant or follow from sizes, with 0 and -1."""
    x, wanted = call.tensor(0), call.known_list(1, "sizes")
    if not call.attribute("allowzero", 0):
        for place, length in enumerate(wanted):
            if isinstance(length, int) and length == 0:
                if place >= x.dim():
                    raise call.refuse(f"size 0 at place {place} copies a size that the input does not have")
                wanted[place] = x.shape[place]
    return x.reshape(wanted)


@operator("Flatten")
def flatten(call: Call) -> Value:
    """Change of shape to two dimensions."""
    x = call.tensor(0)
    axis = call.attribute("axis", 1)
    axis = axis if axis == x.dim() else positive(axis, x.dim(), call)
    if axis == 0:
        return x.reshape(1, -1)
    if axis == x.dim():
        return x.reshape(-1, 1)
    return x.flatten(axis).flatten(0, axis - 1) if x.dim() > 2 else x


@operator("Transpose")
def transpose(call: Call) -> Value:
    """Change of the order of dimensions, any."""
    x = call.tensor(0)
    return x.permute(call.attribute("perm") or list(reversed(range(x.dim()))))


@operator("Squeeze")
def squeeze(call: Call) -> Value:
    """Removal of dimensions of one; axes as an attribute or a constant input."""
    x, axes = call.tensor(0), call.axes()
    if axes is None:
        axes = [axis for axis, length in enumerate(x.shape) if isinstance(length, int) and length == 1]
    for axis in sorted((positive(axis, x.dim(), call) for axis in axes), reverse=True):
        if x.shape[axis] != 1:
            raise call.refuse(f"axis {axis} has size {x.shape[axis]}; only a size of 1 can be squeezed")
        x = x.squeeze(axis)
    return x


@operator("Unsqueeze")
def unsqueeze(call: Call) -> Value:
    """Insertion of dimensions of one; axes as an attribute or a constant input."""
    x, axes = call.tensor(0), call.axes()
    if axes is None:
        raise call.refuse("lacks its axes")
    dimensions = x.dim() + len(axes)
    for axis in sorted(positive(axis, dimensions, call) for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operator("Concat")
def concat(call: Call) -> Value:
    """Concatenation along any axis."""
    return torch.cat(call.tensors(), call.attribute("axis", 0))


@operator("Split")
def split(call: Call) -> tuple[Value | None, ...]:
    """Parts of equal or given sizes, constant or from sizes."""
    x = call.tensor(0)
    axis = positive(call.attribute("axis", 0), x.dim(), call)
    sizes = call.attribute("split") or call.optional_list(1, "sizes")
    if sizes is None:
        parts = len(call.node.outputs)
        each = -(-x.shape[axis] // parts)
        sizes = [each] * (parts - 1) + [x.shape[axis] - each * (parts - 1)]
    return tuple(torch.split(x, sizes, axis))


@operator("Slice")
def slice_(call: Call) -> Value:
    """Slice with bounds constant or from sizes; steps above 0, or any step along a fixed size."""
    x = call.tensor(0)
    starts, stops = (
        call.attribute(name) or call.known_list(place, name) for name, place in (("starts", 1), ("ends", 2))
    )
    axes = call.axes(3) or list(range(len(starts)))
    steps = call.optional_list(4, "steps") or [1] * len(starts)
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        x = _slice(call, x, positive(int(axis), x.dim(), call), start, stop, step)
    return x


def _slice(call: Call, x: Tensor, axis: int, start: Any, stop: Any, step: Any) -> Tensor:
    if isinstance(step, int) and step > 0:
        part: Tensor = torch.ops.aten.slice.Tensor(x, axis, start, stop, step)
        return part
    length = x.shape[axis]
    if not all(isinstance(number, int) for number in (start, stop, step, length)) or step == 0:
        raise call.refuse(f"a slice with step {step} along a size that may vary is not supported")
    if length > LARGEST_LIST:
        raise call.refuse(f"a slice with step {step} along {length} elements; allowed are {LARGEST_LIST}")
    places = list(range(length))[slice(start, None if stop < -length else stop, step)]
    return x.index_select(axis, torch.tensor(places, dtype=torch.int64))


@operator("Expand")
def expand(call: Call) -> Value:
    """Broadcast to sizes that are constant or follow from sizes."""
    x, wanted = call.tensor(0), call.known_list(1, "sizes")
    missing = len(wanted) - x.dim()
    wanted = [1] * -missing + wanted if missing < 0 else wanted
    x = x.reshape([1] * missing + list(x.shape)) if missing > 0 else x
    return x.expand([-1 if isinstance(new, int) and new == 1 else new for new in wanted])


@operator("Tile")
def tile(call: Call) -> Value:
    """Repetition along dimensions, as often as constants or sizes say."""
    return call.tensor(0).repeat(call.known_list(1, "repeats"))


@operator("Pad")
def pad(call: Call) -> Value:
    """Padding, constant, reflected, edge and wrapped; widths constant."""
    x = call.tensor(0)
    widths = [int(width) for width in (call.attribute("pads") or call.known_list(1, "widths"))]
    axes = call.axes(3)
    axes = list(range(x.dim())) if axes is None else [positive(axis, x.dim(), call) for axis in axes]
    if len(widths) != 2 * len(axes):
        raise call.refuse(f"{len(widths)} widths for {len(axes)} axes; there must be two an axis")
    both = {axis: (widths[place], widths[place + len(axes)]) for place, axis in enumerate(axes)}
    first = min((axis for axis, width in both.items() if any(width)), default=x.dim())
    flat = [side for axis in reversed(range(first, x.dim())) for side in both.get(axis, (0, 0))]
    mode = call.attribute("mode", "constant")
    if not flat:
        return x
    if mode == "constant":
        fill = call.known_list(2, "fill value")[0] if call.has(2) else call.attribute("value", 0)
        return functional.pad(x, flat, value=fill)
    modes = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if mode not in modes or not x.dim() >= 2 or len(flat) > 2 * (x.dim() - 1):
        raise call.refuse(f"padding {mode!r} of {len(flat) // 2} of {x.dim()} dimensions is not supported")
    lead = x.dim() - len(flat) // 2
    shaped = x.reshape(-1, *x.shape[lead - 1 :]) if lead != 2 else x
    result = functional.pad(shaped, flat, mode=modes[mode])
    return result.reshape(*x.shape[: lead - 1], *result.shape[1:]) if lead != 2 else result


@operator("DepthToSpace")
def depth_to_space(call: Call) -> Value:
    """Move of channels to height and width, in either order of channels."""
    x, block = call.tensor(0), call.attribute("blocksize")
    if call.attribute("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, block)
    samples, channels, height, width = x.shape
    x = x.reshape(samples, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(samples, channels // block**2, height * block, width * block)


@operator("SpaceToDepth")
def space_to_depth(call: Call) -> Value:
    """Move of height and width to channels, in either order of channels."""
    x, block = call.tensor(0), call.attribute("blocksize")
    if call.attribute("mode", "DCR") == "CRD":
        return functional.pixel_unshuffle(x, block)
    samples, channels, height, width = x.shape
    x = x.reshape(samples, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(samples, channels * block**2, height // block, width // block)


@operator("ConstantOfShape")
def constant_of_shape(call: Call) -> Value:
    """Tensor of one value; sizes constant or from sizes."""
    sizes = call.known_list(0, "sizes")
    literal = [length for length in sizes if isinstance(length, int)]
    if math.prod(literal) > LARGEST_MADE or min(literal, default=0) < 0:
        raise call.refuse(f"asks for sizes {sizes}, allowed are {LARGEST_MADE} elements")
    value = call.attribute("value", np.zeros(1, np.float32))
    dtype = {"f": torch.float32, "b": torch.bool}.get(value.dtype.kind, torch.int64)
    return torch.full(sizes, value.reshape(-1)[0].item(), dtype=dtype)


@operator("Range")
def range_(call: Call) -> Value:
    """Numbers at equal distances; bounds constant or from sizes."""
    start, limit, step = (call.known_list(place, "bounds")[0] for place in range(3))
    plain = all(isinstance(bound, int | float) for bound in (start, limit, step))
    if plain and (step == 0 or abs((limit - start) / step) > LARGEST_MADE):
        raise call.refuse(f"range from {start} to {limit} by {step}: allowed are {LARGEST_MADE} elements")
    return torch.arange(start, limit, step)


@operator("Trilu")
def trilu(call: Call) -> Value:
    """The upper or lower triangle, its diagonal constant."""
    x = call.tensor(0)
    diagonal = int(call.known_list(1, "diagonal")[0]) if call.has(1) else 0
    return torch.triu(x, diagonal) if call.attribute("upper", 1) else torch.tril(x, diagonal)


@operator("EyeLike")
def eye_like(call: Call) -> Value:
    """Ones on a diagonal."""
    x = call.tensor(0)
    wanted = call.attribute("dtype")
    dtype = x.dtype if wanted is None else type_of(wanted, str(call.node))
    rows = torch.arange(x.shape[0]).unsqueeze(1)
    on_diagonal: Tensor = torch.arange(x.shape[1]) - rows == call.attribute("k", 0)
    return on_diagonal.to(dtype)
