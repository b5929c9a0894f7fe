"""Sizes that are written in a plan: refused at load where they ask for more than any network does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilewright.runtime.plan.operator_arguments import parameters
from tilewright.targets.errors import InputError

LARGEST_LITERAL_TENSOR = 2**28
"""Largest number of elements that sizes written in a plan may ask for; sizes that follow from inputs may be more."""
LARGEST_PADDING = 2**20
"""Largest padding at one side, in elements."""
SIZES = {"size", "repeats", "output_size", "num_classes", "n", "m", "steps", "scale_factors"}
"""Arguments of operators that are sizes of the result, or are multiplied into them."""
OF_ONE = {
    "tile": {"dims"},
    "im2col": {"kernel_size"},
    **{f"conv_transpose{n}d": {"stride", "dilation", "output_padding"} for n in (1, 2, 3)},
}
"""Arguments that are sizes for single operators alone, by operator; they mean another thing elsewhere."""


def refuse_huge_sizes(where: str, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise ``InputError`` where the numbers among a call's sizes are too large."""
    named = {**dict(zip((parameter.name for parameter in parameters(function)), args, strict=False)), **kwargs}
    name = getattr(function, "overloadpacket", function).__name__
    if "pad" in name:
        for width in _numbers(named.get("pad", named.get("padding", []))):
            if abs(width) > LARGEST_PADDING:
                raise InputError(f"{where} pads by {width} elements, allowed are {LARGEST_PADDING}")
    if name == "arange":
        named["size"] = _steps(named.get("start", 0), named.get("end"), named.get("step", 1))
    literal = math.prod(
        max(abs(size), 1)
        for argument in (SIZES | OF_ONE.get(name, set())) & named.keys()
        for size in _numbers(named[argument])
    )
    if not literal <= LARGEST_LITERAL_TENSOR:
        raise InputError(f"{where} asks for {literal} elements, allowed are {LARGEST_LITERAL_TENSOR}")


def _numbers(value: Any) -> Iterator[float]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, int | float):
            yield item


def _steps(start: Any, end: Any, step: Any) -> float | None:
    """Number of elements of a range; None if it follows from inputs."""
    if not all(isinstance(number, int | float) for number in (start, end, step)):
        return None
    return abs((end - start) / step) if step else math.inf
