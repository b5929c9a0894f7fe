"""Partition of layers into blocks that fit a tile."""

from __future__ import annotations

from collections.abc import Mapping

from tilewright.compiler.network.layers import Options, WeightLayer
from tilewright.runtime.plan.blocks import split_columns, split_evenly, split_greedily, split_rows, split_text
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import LayerOption
from tilewright.targets.spec import Chip, Tile


def partition(layers: Mapping[str, WeightLayer], options: Options, chip: Chip) -> Options:
    """The options with the blocks of each layer on tiles, over as few of them as it can have."""
    return {
        (name, target): option if (tile := chip.target(target).tile) is None else _split(layers[name], option, tile)
        for (name, target), option in options.items()
    }


def _split(layer: WeightLayer, option: LayerOption, tile: Tile) -> LayerOption:
    rows, columns = split_rows(layer.inputs, tile), split_columns(layer.outputs, tile)
    even, greedy = split_evenly(layer.inputs, int(tile.rows)), split_greedily(layer.inputs, int(tile.rows))
    other = greedy if rows == even else even
    rejected = []
    reason = "the fewest tiles"
    if other != rows:
        why = "equal row-blocks keep the largest sum of an ADC, and so its clipping, smallest"
        reason = f"the fewest tiles; {why if rows == even else 'the target asks for full tiles first'}"
        rejected = [Alternative(choice=f"row-blocks of {split_text(other)}", figures=[_largest(other)])]
    decision = Decision(
        made_by="partition",
        subject=layer.name,
        choice=f"{len(rows)} x {len(columns)} blocks: rows {split_text(rows)}, columns {split_text(columns)}",
        reason=reason,
        figures=[_largest(rows), Figure(name="tiles", value=len(rows) * len(columns), unit="tile")],
        rejected=rejected,
    )
    decisions = [*option.decisions, decision]
    return option.model_copy(update={"row_splits": rows, "column_splits": columns, "decisions": decisions})


def _largest(rows: list[int]) -> Figure:
    return Figure(name="rows summed by one ADC", value=max(rows), unit="row")
