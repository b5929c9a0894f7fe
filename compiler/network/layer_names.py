"""Names of layers: dotted paths of plain words, none the beginning of another's."""

from __future__ import annotations

import re
from collections.abc import Collection

from tilewright.compiler.network.unique_names import numbered


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
