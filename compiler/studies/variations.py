"""Variants of a study: keys of a target, their values, and the chips that they make together."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml

from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_target
from tilewright.targets.plain_yaml import read_plain
from tilewright.targets.quantity import is_number
from tilewright.targets.shown import shown
from tilewright.targets.spec import Chip

MOST = 1000
"""Variants of one study."""
_STEPS = re.compile(r"\s*([-+.\deE]+?)\s*\.\.\s*([-+.\deE]+?)\s*(?:\.\.\s*([-+.\deE]+?)\s*)?")


@dataclass(frozen=True)
class Variant:
    """One variant of a target. name: in tables and plots. changes: dotted keys and their new values."""

    name: str
    changes: Mapping[str, Any]


def values_of(key: str, given: str | Sequence[Any]) -> list[Any]:
    """Values of a key: ``4..10``, ``0..1..0.25`` (with a step), ``0,.5,1``, or a list.

    Raises ``InputError`` for steps without end, and for no value.
    """
    if not isinstance(key, str):
        raise InputError(f"the key {shown(key)} is no text; write for example tile.adc.bits")
    if not isinstance(given, str):
        plain = given.tolist() if hasattr(given, "tolist") else given  # an array's
        values = list(plain) if isinstance(plain, Iterable) and not isinstance(plain, Mapping) else [plain]
    elif found := _STEPS.fullmatch(given):
        values = _steps(key, given, *found.groups())
    else:
        try:
            values = [read_plain(part) for part in given.split(",")] if given.strip() else []
        except yaml.YAMLError as error:
            raise InputError(f"{shown(key)} has values {shown(given)}, which are no numbers, words or null") from error
    if not values:
        raise InputError(f"{shown(key)} has no values; write for example 4..10, 0..1..0.25 or 0,.5,1")
    if len(values) > MOST:
        raise InputError(f"{shown(key)} has {len(values):,} values, allowed are {MOST:,}")
    twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
    if twice is not None:
        raise InputError(f"{shown(key)} has the value {shown(twice)} twice")
    return values


def _steps(key: str, given: str, *ends: str | None) -> list[Any]:
    try:
        first, last, step = (1.0 if end is None else float(end) for end in ends)
    except ValueError:
        first = math.nan
    if not math.isfinite(first) or not math.isfinite(last) or step <= 0 or last < first or (last - first) / step > MOST:
        raise InputError(
            f"{shown(key)} has values {shown(given)}; steps are FIRST..LAST or FIRST..LAST..STEP, upwards, and at most "
            f"{MOST:,} of them"
        )
    count = math.floor((last - first) / step + 1e-9) + 1
    values = [round(first + number * step, 12) for number in range(count)]
    return [int(value) if value == int(value) and "." not in given.replace("..", "") else value for value in values]


def variants_of(vary: Mapping[str, Sequence[Any]]) -> list[Variant]:
    """All combinations of the values of several keys. Raises ``InputError`` for too many."""
    if not vary:
        raise InputError("nothing varies; name a key and its values, such as tile.adc.bits=4..10")
    count = math.prod(len(values) for values in vary.values())
    if count > MOST:
        raise InputError(f"there are {count:,} combinations, allowed are {MOST:,}")
    return [
        Variant(", ".join(f"{key}={said(value)}" for key, value in changes.items()), changes)
        for changes in (dict(zip(vary, values, strict=True)) for values in product(*vary.values()))
    ]


def said(value: Any) -> str:
    """Value of a key as it is written in tables."""
    if is_number(value):
        value = value["value"]
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def changed_chip(chip: Chip, changes: Mapping[str, Any]) -> Chip:
    """A chip each of whose kinds of tile has the changes. Raises ``InputError`` for a key that a target has not."""
    if not changes:
        return chip
    if not chip.tiles:
        raise InputError(f"the chip {chip.name} has no tiles, so nothing of them can vary")
    tiles = [kind.model_copy(update={"target": load_target(kind.target, dict(changes))}) for kind in chip.tiles]
    return chip.model_copy(update={"tiles": tiles})
