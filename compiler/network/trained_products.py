"""Ranges of the operands of products that a network was trained with, beside its weights in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tilewright.compiler.network.trained_layers import positive
from tilewright.targets.errors import InputError

LEFT, RIGHT = ".left_range", ".right_range"
MOST_HEADS = 65536


@dataclass(frozen=True)
class TrainedProduct:
    """Ranges of the left and right operand of a product, one in all or one a head."""

    left: tuple[float, ...]
    right: tuple[float, ...]


def trained_products(tensors: Mapping[str, Tensor]) -> dict[str, TrainedProduct]:
    """Trained ranges of products among named tensors, by the product's name: ``P.left_range`` and ``P.right_range``.

    Raises ``InputError`` for what cannot be a range, and one side without the other.
    """
    names = {name.removesuffix(LEFT).removesuffix(RIGHT) for name in tensors if name.endswith((LEFT, RIGHT))}
    found = {}
    for name in sorted(names):
        missing = next((side for side in (LEFT, RIGHT) if name + side not in tensors), None)
        if missing is not None:
            raise InputError(f"the checkpoint has a range of one operand of {name!r} and no {name}{missing}")
        found[name] = TrainedProduct(_ranges(name + LEFT, tensors), _ranges(name + RIGHT, tensors))
    return found


def of_product(trained: Mapping[str, TrainedProduct], name: str) -> str | None:
    """Name under which a product's ranges were trained: its own, or that with the prefix of a model around it."""
    if name in trained:
        return name
    around = [known for known in trained if known.endswith(f".{name}") or name.endswith(f".{known}")]
    return around[0] if len(around) == 1 else None


def _ranges(name: str, tensors: Mapping[str, Tensor]) -> tuple[float, ...]:
    values = positive(name, tensors[name]).flatten()
    if values.numel() > MOST_HEADS:
        raise InputError(f"{name} holds {values.numel()} numbers; allowed are one range, or one a head")
    return tuple(values.tolist())
