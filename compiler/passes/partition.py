"""Layers into blocks that fit a tile."""

from __future__ import annotations

from tilewright.compiler.compilation import Compilation
from tilewright.runtime.plan import Alternative, Block, Decision, Figure, LayerRecord, TilePosition

UNPLACED = TilePosition(chip=0, row=0, column=0)


def partition(compilation: Compilation) -> None:
    """Split each layer evenly, over as few tiles as it can have."""
    tile = compilation.target.tile
    for layer in compilation.layers.values():
        rows, columns = split_evenly(layer.inputs, tile.rows), split_evenly(layer.outputs, tile.columns)
        layer.blocks = [
            Block(rows=row_range, columns=column_range, tile=UNPLACED)
            for row_range in ranges(rows)
            for column_range in ranges(columns)
        ]
        compilation.decisions.append(_decision(layer, rows, columns, tile.rows))


def split_evenly(size: int, limit: int) -> list[int]:
    """The fewest parts of at most ``limit``, as equal as they can be: 768 by 512 -> [384, 384]."""
    parts = -(-size // limit)
    small, larger = divmod(size, parts)
    return [small + 1] * larger + [small] * (parts - larger)


def ranges(sizes: list[int]) -> list[tuple[int, int]]:
    """Half-open ranges of consecutive sizes."""
    stops = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return [(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]


def _decision(layer: LayerRecord, rows: list[int], columns: list[int], limit: int) -> Decision:
    greedy = [min(limit, layer.inputs - start) for start in range(0, layer.inputs, limit)]
    rejected = []
    reason = "the fewest tiles"
    if greedy != rows:
        reason = "the fewest tiles; equal row-blocks keep the largest sum of an ADC, and so its clipping, smallest"
        rejected = [Alternative(choice=f"row-blocks of {_text(greedy)}", figures=[_largest(greedy)])]
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
