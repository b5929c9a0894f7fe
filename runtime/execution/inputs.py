"""Inputs of a run, checked against what the plan's graph takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.records import InputRecord, PlanDocument, ValueRecord
from tilewright.runtime.plan.types import DTYPES
from tilewright.runtime.storage.weights_file import dtype_name
from tilewright.targets.errors import InputError, nearest


def sample_axes(records: Sequence[ValueRecord]) -> dict[str, int]:
    """Dimension that counts samples, of each input or output that has one, by name."""
    found = ((record.name, record.sample_axis) for record in records)
    return {name: axis for name, axis in found if axis is not None}


def some_samples(inputs: Mapping[str, Tensor], axes: Mapping[str, int], samples: range) -> dict[str, Tensor]:
    """Inputs of some of the samples; what counts none is whole."""
    return {
        name: value.narrow(axes[name], samples.start, len(samples)) if name in axes else value
        for name, value in inputs.items()
    }


def prepare_inputs(document: PlanDocument, given: Mapping[str, Any]) -> dict[str, Tensor]:
    """The graph's inputs in order, as tensors of its types, with defaults filled in.

    Raises ``InputError`` for unknown or missing names, wrong types, ranks or sizes, and sizes at which the graph may
    not compute the network.
    """
    names = [record.name for record in document.inputs]
    own = {record.source_name: record.name for record in document.inputs if record.source_name is not None}
    given = {own.get(name, name): value for name, value in given.items()}
    for name in given:
        if name not in names:
            raise InputError(f"the plan has no input {name!r}; {nearest(name, names)}")
    allowed = AllowedSizes.of(document)
    sizes: dict[str, tuple[int, str]] = {}
    prepared: dict[str, Tensor] = {}
    for record in document.inputs:
        if record.name in given:
            prepared[record.name] = _checked(record, given[record.name], allowed, sizes)
    for record in document.inputs:
        if record.name not in prepared:
            prepared[record.name] = _default(record, sizes)
    allowed.check({name: size for name, (size, _) in sizes.items()})
    return {name: prepared[name] for name in names}


def sizes_of(records: Sequence[InputRecord], inputs: Mapping[str, Tensor]) -> dict[str, int]:
    """Size of each dimension in these inputs, which are of the records' names and numbers of dimensions."""
    return {
        size: inputs[record.name].shape[axis]
        for record in records
        for axis, size in enumerate(record.shape)
        if isinstance(size, str)
    }


def _checked(record: InputRecord, value: Any, allowed: AllowedSizes, sizes: dict[str, tuple[int, str]]) -> Tensor:
    tensor = _as_tensor(record, value)
    pairs = list(zip(tensor.shape, record.shape, strict=False))
    if tensor.dim() != len(record.shape) or any(isinstance(size, int) and size != actual for actual, size in pairs):
        raise InputError(f"input {record.name!r} has shape {list(tensor.shape)}, the plan takes {record.shape}")
    for actual, expected in pairs:
        if isinstance(expected, int):
            continue
        allowed.check_size(expected, actual, f"input {record.name!r}: ")
        known, other = sizes.setdefault(expected, (actual, record.name))
        if known != actual:
            raise InputError(f"{expected} is {actual} in input {record.name!r} but {known} in {other!r}")
    return tensor


def _as_tensor(record: InputRecord, value: Any) -> Tensor:
    tensor = numbers_of(f"input {record.name!r}", value)
    wanted = DTYPES[record.dtype]
    if wanted.is_floating_point != tensor.is_floating_point() and not wanted.is_floating_point:
        raise InputError(f"input {record.name!r} holds {dtype_name(tensor.dtype)}, the plan takes {record.dtype}")
    return tensor.to(wanted)


def numbers_of(what: str, value: Any) -> Tensor:
    """A tensor, array or nested list as a tensor, in any byte order. Raises ``InputError`` if it holds no numbers.

    what: the value's name, for sentences.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiub":
            raise InputError(f"{what} holds {value.dtype}, not numbers")
        value = value.astype(value.dtype.newbyteorder("="), copy=False)
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # a format or form that torch has not
        raise InputError(f"{what} is no array of numbers: {error}") from error


def _default(record: InputRecord, sizes: dict[str, tuple[int, str]]) -> Tensor:
    unknown = [size for size in record.shape if isinstance(size, str) and size not in sizes]
    if record.default is None or unknown:
        raise InputError(f"input {record.name!r} is missing; the plan takes {record.dtype} of shape {record.shape}")
    shape = [sizes[size][0] if isinstance(size, str) else size for size in record.shape]
    return torch.full(shape, 1 if record.default == "ones" else 0, dtype=DTYPES[record.dtype])
