"""Numbers with a unit and a source.

In a target file every number is written ``{value: 25, unit: uS, source: "..."}``. Once validated it behaves as a
plain ``float`` or ``int``, so the physics reads ``device.conductance_max`` and a report can still print the source.

"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeGuard

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from tilewright.targets.shown import shown

_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]{1,3}")
"""Pattern of numbers such as 1e-6, which YAML 1.1 reads as words because they have no point."""


COUNTED = {"bit", "column", "iteration", "pair", "reading", "row", "state", "tile", "unit", "vector"}
"""Units that are things, of which there is one or there are several."""
NUMBER_KEYS = {"value", "unit", "source"}
CHANGED = "changed by the user"
"""Source of a number that was changed without a word on where it comes from."""
ASSUMED = ("our choice", CHANGED)
"""Beginnings of the sources of numbers that nobody published."""


class _Sourced:
    """Base of numbers with a unit and a source."""

    unit: str
    source: str
    is_assumed: bool
    """True if nobody published it: its source begins with one of ``ASSUMED``."""

    def __new__(cls, value: float, unit: str, source: str) -> Self:
        self = super().__new__(cls, value)  # type: ignore[call-arg]
        self.unit, self.source, self.is_assumed = unit, source, source.startswith(ASSUMED)
        return self

    def __getnewargs__(self) -> tuple[float, str, str]:
        """Arguments that copies, and pickles between worker processes, are made with: unit and source stay."""
        return self + 0, self.unit, self.source  # type: ignore[operator]


class Quantity(_Sourced, float):  # type: ignore[misc]
    """A real number with ``unit`` and ``source``."""


class Count(_Sourced, int):  # type: ignore[misc]
    """A whole number with ``unit`` and ``source``."""


@dataclass(frozen=True)
class Rule:
    """Rule for a quantity of a target: its unit (or units) and its closed range. Used inside ``Annotated``."""

    unit: str | tuple[str, ...]
    minimum: float = -math.inf
    maximum: float = math.inf

    @property
    def units(self) -> tuple[str, ...]:
        """Allowed units of the quantity."""
        return (self.unit,) if isinstance(self.unit, str) else self.unit

    def check(self, given: Any, number: type[Quantity] | type[Count]) -> Quantity | Count:
        """The quantity that ``given`` describes. Raises ``ValueError`` with a sentence for the user."""
        if isinstance(given, number):
            given = {"value": given, "unit": given.unit, "source": given.source}
        if not isinstance(given, dict):
            raise ValueError(f"a number needs value, unit ({' or '.join(self.units)}) and source")
        unknown = [key for key in given if key not in NUMBER_KEYS]
        missing = [key for key in ("value", "unit", "source") if key not in given]
        if unknown or missing:
            what = f"unknown key {shown(unknown[0])}" if unknown else f"{missing[0]!r} is missing"
            raise ValueError(f"{what}; a number has exactly value, unit and source")
        value, unit, source = given["value"], given["unit"], given["source"]
        if isinstance(value, str) and _EXPONENT.fullmatch(value):
            value = float(value)
        if not is_finite(value):
            raise ValueError("the value must be a finite number")
        if number is Count and value != int(value):
            raise ValueError("the value must be a whole number")
        if unit not in self.units:
            raise ValueError(f"the unit must be {' or '.join(self.units)}, not {shown(unit)}")
        if not isinstance(source, str) or not source.strip():
            raise ValueError("the source must say where the number comes from")
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"allowed is {self.minimum:g} to {with_unit(f'{self.maximum:g}', unit)}")
        return Count(int(value), unit, source) if number is Count else Quantity(value, unit, source)

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Schema by which pydantic validates and writes a quantity."""
        return core_schema.no_info_plain_validator_function(
            lambda given: self.check(given, source),
            serialization=core_schema.plain_serializer_function_ser_schema(_written),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The published schema of a quantity."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        value = {"type": "number", **{name: bound for name, bound in bounds.items() if math.isfinite(bound)}}
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["value", "unit", "source"],
            "properties": {"value": value, "unit": {"enum": list(self.units)}, "source": {"type": "string"}},
        }


def with_unit(number: str, unit: str) -> str:
    """A number with its unit for sentences: nothing of "1", which is none; several rows where it is not one row."""
    if unit == "1":
        return number
    return f"{number} {unit}s" if unit in COUNTED and number != "1" else f"{number} {unit}"


def is_number(node: Any) -> TypeGuard[dict[str, Any]]:
    """True if a node is a number as files write it: a mapping of exactly value, unit and source."""
    return isinstance(node, dict) and set(node) == NUMBER_KEYS


def is_finite(value: Any) -> TypeGuard[float]:
    """True if a value is a number that arithmetic takes: a stranger's file may hold whole ones of any size, and NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of all that is not made of other parts; a number is one leaf, and so is an empty part."""
    if isinstance(node, dict | list) and node and not is_number(node):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _written(quantity: Quantity | Count) -> dict[str, Any]:
    value = int(quantity) if isinstance(quantity, Count) else float(quantity)
    return {"value": value, "unit": quantity.unit, "source": quantity.source}
