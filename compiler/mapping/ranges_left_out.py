"""Notes on ranges of a checkpoint that the plan makes no use of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tilewright.compiler.engineering import counted
from tilewright.compiler.network.trained_products import TrainedProduct, of_product
from tilewright.runtime.plan.records import LayerRecord, MatmulRecord
from tilewright.targets.spec import bits_of

SHOWN = 3


def ranges_left_out(
    trained: Collection[str], weights: Mapping[str, Sequence[str]], layers: Sequence[LayerRecord]
) -> list[str]:
    """Notes on trained ranges that are of no layer, or of one that may run on digital units alone.

    trained: weights that have ranges. weights: those that are in layers as they were trained, by layer.
    """
    in_layers = {weight for names in weights.values() for weight in names}
    digital = {layer.name for layer in layers if all(option.programming is None for option in layer.options)}
    strays = [weight for weight in trained if weight not in in_layers]
    unused = [weight for name, names in weights.items() if name in digital for weight in names]
    return [
        *_note("input", "weight", strays, "belong to matrices that are no layers of the plan as they were trained"),
        *_note(
            "input", "weight", unused,
            "are not used, since their layers run on digital units, which have ranges of their own",
        ),
    ]  # fmt: skip


def product_ranges_left_out(trained: Mapping[str, TrainedProduct], matmuls: Sequence[MatmulRecord]) -> list[str]:
    """Notes on trained ranges that are of no product, or of one in floating point. trained: by the product's name."""
    formats = {of_product(trained, matmul.name): bits_of(matmul.operands) for matmul in matmuls}
    return [
        *_note("operand", "product", [name for name in trained if name not in formats], "belong to none of the plan"),
        *_note(
            "operand", "product", [name for name in trained if formats.get(name, 0) is None],
            "are not used, since their units compute in floating point",
        ),
    ]  # fmt: skip


def _note(which: str, thing: str, names: list[str], what: str) -> list[str]:
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return [f"the {which} ranges of {counted(len(names), thing)} of the checkpoint {what} ({shown})"] if names else []
