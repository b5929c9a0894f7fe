"""One node of an ONNX graph as its operator sees it: inputs, attributes, and the opset they are meant in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tilewright.compiler.frontends.onnx.values import Numbers, Value, as_tensor, plain_list
from tilewright.targets.errors import InputError


@dataclass(frozen=True)
class Node:
    """Parts of an ONNX node that stay the same in every run."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    """Names of the inputs; empty for one that is not given."""
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.operator})"


@dataclass(frozen=True)
class Call:
    """An ONNX node with the values of its inputs."""

    node: Node
    values: tuple[Value | None, ...]
    known: tuple[Numbers | None, ...]
    """Inputs as numbers, each where it is known while tracing, else None."""

    def has(self, place: int) -> bool:
        """True if this optional input is given."""
        return place < len(self.values) and self.values[place] is not None

    def tensor(self, place: int) -> Tensor:
        """An input as a tensor."""
        value = self.values[place] if place < len(self.values) else None
        if value is None:
            raise InputError(f"{self.node} lacks its input number {place + 1}")
        return as_tensor(value)

    def optional_tensor(self, place: int) -> Tensor | None:
        """An input as a tensor; None if it is not given."""
        return self.tensor(place) if self.has(place) else None

    def tensors(self) -> list[Tensor]:
        """All inputs as tensors."""
        return [self.tensor(place) for place in range(len(self.values))]

    def numbers(self, place: int, what: str) -> Numbers:
        """An input that must be known while tracing. Raises ``InputError`` with ``what`` it is if it is not."""
        found = self.known[place] if place < len(self.known) else None
        if found is None:
            raise InputError(f"{self.node}: its {what} depend on the data; they must be constant or follow from sizes")
        return found

    def known_list(self, place: int, what: str) -> list[Any]:
        """A list from an input that must be known while tracing. Raises ``InputError`` with ``what`` it is if not."""
        return plain_list(self.numbers(place, what))

    def optional_list(self, place: int, what: str) -> list[Any] | None:
        """A list from an input that must be known while tracing; None if it is not given."""
        return self.known_list(place, what) if self.has(place) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or its default."""
        return self.node.attributes.get(name, default)

    def axes(self, place: int = 1, name: str = "axes") -> list[int] | None:
        """Axes from the attribute (older opsets) or from the input (newer ones); None if neither is given."""
        given = self.attribute(name)
        if given is not None:
            return [int(axis) for axis in given]
        return [int(axis) for axis in self.known_list(place, name)] if self.has(place) else None

    def refuse(self, what: str) -> InputError:
        """The error for something that is not supported, with the node and ``what`` it is."""
        return InputError(f"{self.node}: {what}")


def positive(axis: int, dimensions: int, call: Call) -> int:
    """An axis counted from the front. Raises ``InputError`` if there is no such axis."""
    if not -dimensions <= axis < dimensions:
        raise call.refuse(f"axis {axis} is out of range for {dimensions} dimensions")
    return axis % dimensions


def along_axis(call: Call, function: Callable[[Tensor, int], Tensor]) -> Tensor:
    """A function of a tensor along the node's axis; before opset 13 over all dimensions from it."""
    x, is_old = call.tensor(0), call.node.opset < 13
    axis = positive(call.attribute("axis", 1 if is_old else -1), x.dim(), call)
    if is_old and axis < x.dim() - 1:
        return function(x.flatten(axis), axis).reshape(x.shape)
    return function(x, axis)
