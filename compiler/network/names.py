"""Names that are not taken; those of layers are dotted paths of plain words, none the beginning of another's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from itertools import chain, count


def numbered(wanted: str, is_free: Callable[[str], bool], further: str | None = None) -> str:
    """The wanted name if it is free, else the first free one with a number from 2 on behind it.

    further: what numbers are put behind, where that is not the wanted name itself.
    """
    names = chain([wanted], (f"{further or wanted}_{number}" for number in count(2)))
    return next(name for name in names if is_free(name))


def layer_name(wanted: str, taken: Collection[str]) -> str:
    """``wanted`` as a dotted path of plain words, with a number behind it if it is taken.

    No layer's name is the beginning of another's path: layers are modules, and none is inside another.
    """
    plain = ".".join(re.sub(r"[^A-Za-z0-9_]", "_", part) for part in wanted.split(".") if part) or "layer"
    outer = max((name for name in taken if plain.startswith(f"{name}.")), key=len, default="")
    if outer:
        plain = f"{outer}_{plain.removeprefix(outer + '.').replace('.', '_')}"
    return numbered(plain, lambda name: name not in taken and not any(other.startswith(f"{name}.") for other in taken))


def joint_name(names: list[str]) -> str:
    """Name of a fused layer: a.query, a.key, a.value -> a.query_key_value."""
    split = [name.split(".") for name in names]
    shared = 0
    while all(len(parts) > shared + 1 and parts[shared] == split[0][shared] for parts in split):
        shared += 1
    tails = ["_".join(parts[shared:]) for parts in split]
    return ".".join([*split[0][:shared], "_".join(tails)])
