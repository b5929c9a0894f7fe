"""Names for a graph's inputs: plain words that mean nothing else to Python and torch."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 128
"""Largest number of letters of a name; a plan may hold longer ones, but nobody types them."""
TAKEN = {"self", "torch", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree"}
"""Words that the code of a graph uses itself."""


def plain_word(name: str) -> str:
    """A name as one identifier: ``input.1`` -> ``input_1``, ``self`` -> ``self_``."""
    word = re.sub(r"[^A-Za-z0-9_]", "_", name.removesuffix(":0"))[:LONGEST] or "input"
    word = word if re.match(r"[A-Za-z_]", word) else f"input_{word}"
    return f"{word}_" if keyword.iskeyword(word) or word in TAKEN else word


def unique(names: Iterable[str]) -> list[str]:
    """The names in order, those that were taken with a number behind."""
    taken: set[str] = set()
    count: dict[str, int] = {}
    result = []
    for name in names:
        free = name
        while free in taken:
            count[name] = count.get(name, 1) + 1
            free = f"{name}_{count[name]}"
        taken.add(free)
        result.append(free)
    return result


def by_plain_names(values: Mapping[Any, Any], own_names: Mapping[str, str]) -> dict[Any, Any]:
    """A mapping with the model's own names of inputs, under the plain ones. own_names: plain name -> the model's."""
    plain = {own: name for name, own in own_names.items()}
    return {plain.get(name, name): value for name, value in values.items()}
