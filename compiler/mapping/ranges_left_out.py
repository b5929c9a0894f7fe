"""Notes on input ranges of a checkpoint that the plan makes no use of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tilewright.compiler.engineering import counted
from tilewright.runtime.plan.records import LayerRecord

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
        *_note(strays, "belong to matrices that are no layers of the plan as they were trained"),
        *_note(unused, "are not used, since their layers run on digital units, which have ranges of their own"),
    ]


def _note(names: list[str], what: str) -> list[str]:
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return [f"the input ranges of {counted(len(names), 'weight')} of the checkpoint {what} ({shown})"] if names else []
