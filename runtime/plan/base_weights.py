"""Marks of a base's weights: an adapter that ``train`` made carries them, and fits no other base."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.plan.names import weight_key
from tilewright.runtime.plan.records import PlanDocument
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.storage.weights_file import tensor_bytes
from tilewright.targets.errors import InputError
from tilewright.targets.paths import kind_of, read_bytes
from tilewright.targets.shown import shown

RECORD = "tilewright_training.json"
"""Name of the file that says how a network, or an adapter, was trained."""
BASE = "base_weights"
"""Key of the marks of an adapter's base in that file."""
LARGEST = 2**24  # bytes


def record_in(folder: str | Path) -> dict[str, Any]:
    """Content of the record in a folder, a stranger's; empty if there is none that can be read."""
    found: Any = None
    with suppress(InputError, OSError, ValueError, RecursionError):
        path = Path(folder) / RECORD
        found = json.loads(read_bytes(path, "file", LARGEST)) if kind_of(path) is not None else None
    return found if isinstance(found, dict) else {}


def marks_of(document: PlanDocument, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Mark of each matrix of the model in a plan, by the model's name: a hash of its first column's weights."""
    found = {}
    for layer in document.layers:
        for part in layer.parts:
            if part.stored is not None:
                first = used(tensors[weight_key(layer.name)])[part.columns[0]]
                found[part.weight] = hashlib.sha256(tensor_bytes(first.to(torch.float32))).hexdigest()[:16]
    return found


def check_base(
    folder: str | Path, name: str, document: PlanDocument, tensors: Mapping[str, Tensor], replaced: Collection[str]
) -> None:
    """Raise ``InputError`` for an adapter that was trained beside other weights than a plan's.

    folder: of the adapter; nothing is known of those that were made elsewhere. replaced: modules in whose place it has
    a matrix of its own, so that the base's does not count.
    """
    marks = record_in(folder).get(BASE)
    if not isinstance(marks, dict):
        return
    ends = tuple(f"{module}.weight" for module in replaced)
    differing = [key for key, mark in marks_of(document, tensors).items() if marks.get(key, mark) != mark]
    other = next((key for key in differing if not key.endswith(ends)), None)
    if other is not None:
        raise InputError(
            f"adapter {shown(name)} was trained beside another base: {shown(other)} is not that of the plan; add it to "
            "a plan of its own base"
        )
