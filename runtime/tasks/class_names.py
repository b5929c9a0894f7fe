"""Classes of a model by name and by number: labels of data become the numbers of the model's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown


def class_numbers(labels: Sequence[Any], names: Sequence[str] | None) -> list[int]:
    """Numbers of the classes that labels name.

    A label is a class's name, whatever its capitals, or its number. names: of the model's classes, in order; None if
    it has none, and then labels are numbers. Raises ``InputError`` for a label that the model does not know.
    """
    by_name = {name.lower(): number for number, name in enumerate(names or ())}
    return [_number(label, by_name, names) for label in labels]


def _number(label: Any, by_name: dict[str, int], names: Sequence[str] | None) -> int:
    text = str(label).strip()
    if text.lower() in by_name:
        return by_name[text.lower()]
    number = int(text) if text.isdecimal() else None
    if number is not None and (names is None or number < len(names)):
        return number
    if names is None:
        raise InputError(f"label {shown(text)} is no number of a class, and the model has no names of classes")
    raise InputError(f"label {shown(text)} is no class of the model; {nearest(text, list(names))}")
