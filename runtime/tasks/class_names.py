"""Classes of a model by name and by number: labels of data become the numbers of the model's outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown

LONGEST_NUMBER = 19
"""Digits of a class's number, at most; Python refuses to read thousands."""


def class_numbers(labels: Sequence[Any], names: Sequence[str] | None, count: int | None = None) -> list[int]:
    """Numbers of the classes that labels name.

    A label is a class's name, whatever its capitals where no other class has the same letters, or its number.
    names: of the model's classes, in order; None if it has none, and then labels are numbers. count: of the classes; as
    many as there are names if None, and without names any number is a class. Raises ``InputError`` for a label that the
    model does not know.
    """
    by_name = _by_name(names or ())
    known = len(names) if count is None and names is not None else count
    return [_number(label, by_name, names, known) for label in labels]


def _by_name(names: Sequence[str]) -> dict[str, int]:
    """Numbers of classes by their names, and by these in small letters where no two classes have the same."""
    small = Counter(name.lower() for name in names)
    known = {name.lower(): number for number, name in enumerate(names) if small[name.lower()] == 1}
    return known | {name: number for number, name in enumerate(names)}


def _number(label: Any, by_name: dict[str, int], names: Sequence[str] | None, count: int | None) -> int:
    text = str(label).strip()
    named = by_name.get(text, by_name.get(text.lower()))
    if named is not None:
        return named
    number = int(text) if text.isdecimal() and len(text) < LONGEST_NUMBER else None
    if number is not None and (count is None or number < count):
        return number
    if names is None and number is None:
        raise InputError(f"label {shown(text)} is no number of a class, and the model has no names of classes")
    if names is None:
        raise InputError(f"label {shown(text)} is no class of the model; allowed are 0 to {(count or 0) - 1}")
    raise InputError(f"label {shown(text)} is no class of the model; {nearest(text, list(names))}")
