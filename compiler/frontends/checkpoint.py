"""Completeness of a checkpoint: weights that transformers found missing, of another shape, or of no use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tilewright.compiler.frontends.finite_weights import STATISTICS
from tilewright.runtime.plan.records import UnusedTensor
from tilewright.targets.errors import InputError

SHOWN = 3


def check_complete(model: Any, report: Mapping[str, Any], source: str | Path) -> None:
    """Raise ``InputError`` if a weight is missing or of another shape: transformers would make random ones.

    report: what ``from_pretrained`` tells of its loading. Tied weights, and what a family declares to be computed, are
    not missing there; nor are buffers that a model makes itself, except the statistics of its normalisations.
    """
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, found, wanted = mismatched[0]
        others = f"; {len(mismatched) - 1} others too" if len(mismatched) > 1 else ""
        raise InputError(
            f"the weights of {str(source)!r} do not fit its config: {name} has shape {list(found)}, "
            f"{type(model).__name__} takes {list(wanted)}{others}"
        )
    missing = missing_weights(model, report)
    if missing:
        raise InputError(
            f"the weights of {str(source)!r} lack {len(missing)} that {type(model).__name__} has: "
            f"{', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''}; {_way_out(model, missing)}"
        )


def missing_weights(model: Any, report: Mapping[str, Any]) -> list[str]:
    """Names of the parameters and running statistics that no file held, in the model's order."""
    absent = report["missing_keys"]
    weights = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    statistics = [name for name, _ in model.named_buffers() if name.endswith(STATISTICS)]
    return [name for name in [*weights, *statistics] if name in absent]


def computed_tables(model: Any, report: Mapping[str, Any]) -> list[str]:
    """Buffers of numbers that no file held and that are as the model made them."""
    return [
        name
        for name, buffer in model.named_buffers()
        if name in report["missing_keys"] and buffer.is_floating_point() and not name.endswith(STATISTICS)
    ]


def unused_tensors(report: Mapping[str, Any], weights: Mapping[str, Tensor]) -> list[UnusedTensor]:
    """Tensors in the files that no part of the model is made of, with their shapes."""
    return [UnusedTensor(name=name, shape=_shape(name, weights)) for name in sorted(report["unexpected_keys"])]


def _shape(name: str, weights: Mapping[str, Tensor]) -> list[int]:
    """Shape of a tensor that transformers may have called by a longer or shorter name than its file."""
    alike = (own for own in weights if own.endswith(f".{name}") or name.endswith(f".{own}"))
    own = name if name in weights else next(alike, None)
    return list(weights[own].shape) if own is not None else []


def _way_out(model: Any, missing: Collection[str]) -> str:
    prefix = getattr(model, "base_model_prefix", "")
    base = getattr(model, prefix, None) if prefix else None
    if base is not None and not any(name.startswith(f"{prefix}.") for name in missing):
        kind = type(base).__name__
        return f"to compile the model without its head, name {kind} under architectures in its config.json"
    return "the files are cut off, were converted wrongly, or belong to another architecture than config.json names"
