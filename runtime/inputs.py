"""Are these inputs what the plan's graph takes?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.runtime.plan import InputRecord, PlanDocument
from tilewright.runtime.plan_types import DTYPES
from tilewright.runtime.weights_file import dtype_name
from tilewright.targets.errors import InputError, nearest


def prepare_inputs(document: PlanDocument, given: Mapping[str, Any]) -> dict[str, Tensor]:
    """The graph's inputs in order, as tensors of its types, with defaults filled in.

    Raises ``InputError`` for unknown or missing names, wrong types, ranks or sizes.
    """
    names = [record.name for record in document.inputs]
    own = {record.source_name: record.name for record in document.inputs if record.source_name is not None}
    given = {own.get(name, name): value for name, value in given.items()}
    for name in given:
        if name not in names:
            raise InputError(f"the plan has no input {name!r}; {nearest(name, names)}")
    sizes: dict[str, tuple[int, str]] = {}
    prepared: dict[str, Tensor] = {}
    for record in document.inputs:
        if record.name in given:
            prepared[record.name] = _checked(record, given[record.name], document, sizes)
    for record in document.inputs:
        if record.name not in prepared:
            prepared[record.name] = _default(record, sizes)
    return {name: prepared[name] for name in names}


def _checked(record: InputRecord, value: Any, document: PlanDocument, sizes: dict[str, tuple[int, str]]) -> Tensor:
    tensor = _as_tensor(record, value)
    if tensor.dim() != len(record.shape):
        raise InputError(f"input {record.name!r} has shape {list(tensor.shape)}, the plan takes {record.shape}")
    for actual, expected in zip(tensor.shape, record.shape, strict=True):
        if isinstance(expected, int):
            if actual != expected:
                raise InputError(f"input {record.name!r} has shape {list(tensor.shape)}, the plan takes {record.shape}")
            continue
        limits = document.dimensions.get(expected)
        largest = limits.maximum if limits else None
        if actual < 1 or (largest is not None and actual > largest):
            raise InputError(f"input {record.name!r}: {expected} is {actual}, allowed is 1 to {largest or 'any size'}")
        known, other = sizes.setdefault(expected, (actual, record.name))
        if known != actual:
            raise InputError(f"{expected} is {actual} in input {record.name!r} but {known} in {other!r}")
    return tensor


def _as_tensor(record: InputRecord, value: Any) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiub":
        raise InputError(f"input {record.name!r} holds {value.dtype}, the plan takes {record.dtype}")
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(value)
    wanted = DTYPES[record.dtype]
    if wanted.is_floating_point != tensor.is_floating_point() and not wanted.is_floating_point:
        raise InputError(f"input {record.name!r} holds {dtype_name(tensor.dtype)}, the plan takes {record.dtype}")
    return tensor.to(wanted)


def _default(record: InputRecord, sizes: dict[str, tuple[int, str]]) -> Tensor:
    unknown = [size for size in record.shape if isinstance(size, str) and size not in sizes]
    if record.default is None or unknown:
        raise InputError(f"input {record.name!r} is missing; the plan takes {record.dtype} of shape {record.shape}")
    shape = [sizes[size][0] if isinstance(size, str) else size for size in record.shape]
    dtype = DTYPES[record.dtype]
    return torch.ones(shape, dtype=dtype) if record.default == "ones" else torch.zeros(shape, dtype=dtype)
