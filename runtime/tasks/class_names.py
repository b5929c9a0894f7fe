"""Classes of a model by name and by number: labels of data become the numbers of the model's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown

LONGEST_NUMBER = 19
"""Digits of a class's number, at most; Python refuses to read thousands."""


def class_numbers(labels: Sequence[Any], names: Sequence[str] | None, count: int | None = None) -> list[int]:
    """Numbers of the classes that labels name.

    A label is a class's name, whatever its capitals, or its number. names: of the model's classes, in order; None if
    it has none, and then labels are numbers. count: of the classes; as many as there are names if None, and without
    names any number is a class. Raises ``InputError`` for a label that the model does not know.
    """
    by_name = {name.lower(): number for number, name in enumerate(names or ())}
    known = len(names) if count is None and names is not None else count
    return [_number(label, by_name, names, known) for label in labels]


def _number(label: Any, by_name: dict[str, int], names: Sequence[str] | None, count: int | None) -> int:
    text = str(label).strip()
    if text.lower() in by_name:
        return by_name[text.lower()]
    number = int(text) if text.isdecimal() and len(text) < LONGEST_NUMBER else None
    if number is not None and (count is None or number < count):
        return number
    if names is None and number is None:
        raise InputError(f"label {shown(text)} is no number of a class, and the model has no names of classes")
    if names is None:
        raise InputError(f"label {shown(text)} is no class of the model; allowed are 0 to {(count or 0) - 1}")
    raise InputError(f"label {shown(text)} is no class of the model; {nearest(text, list(names))}")
