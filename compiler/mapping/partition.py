"""Layers into blocks that fit a tile."""

from __future__ import annotations

from tilewright.compiler.network.compilation import Compilation
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import LayerRecord
from tilewright.runtime.plan.splitting import split_columns, split_evenly, split_greedily, split_rows
from tilewright.targets.spec import Tile


def partition(compilation: Compilation) -> None:
    """Split each layer on tiles over as few tiles as it can have; a digital unit takes a layer whole."""
    for layer, target in compilation.layers_on_tiles():
        compilation.decisions.append(split_layer(layer, target.tile))


def split_layer(layer: LayerRecord, tile: Tile) -> Decision:
    """Fill a layer's blocks, none of them placed yet."""
    rows, columns = split_rows(layer.inputs, tile), split_columns(layer.outputs, tile)
    layer.row_splits, layer.column_splits, layer.tiles = rows, columns, [(0, len(rows) * len(columns))]
    return _decision(layer, rows, columns, tile)


def _decision(layer: LayerRecord, rows: list[int], columns: list[int], tile: Tile) -> Decision:
    even, greedy = split_evenly(layer.inputs, int(tile.rows)), split_greedily(layer.inputs, int(tile.rows))
    other = greedy if rows == even else even
    rejected = []
    reason = "the fewest tiles"
    if other != rows:
        why = "equal row-blocks keep the largest sum of an ADC, and so its clipping, smallest"
        reason = f"the fewest tiles; {why if rows == even else 'the target asks for full tiles first'}"
        rejected = [Alternative(choice=f"row-blocks of {_text(other)}", figures=[_largest(other)])]
    return Decision(
        made_by="partition",
        subject=layer.name,
        choice=f"{len(rows)} x {len(columns)} blocks: rows {_text(rows)}, columns {_text(columns)}",
        reason=reason,
        figures=[_largest(rows), Figure(name="tiles", value=len(rows) * len(columns), unit="tile")],
        rejected=rejected,
    )


def _largest(rows: list[int]) -> Figure:
    return Figure(name="rows summed by one ADC", value=max(rows), unit="row")


def _text(sizes: list[int]) -> str:
    return " + ".join(map(str, sizes)) if len(sizes) <= 4 else f"{len(sizes)} of at most {max(sizes)}"
