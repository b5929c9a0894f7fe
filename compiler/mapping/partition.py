"""Partition of layers into blocks that fit a tile."""

from __future__ import annotations

from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.splitting import split_columns, split_evenly, split_greedily, split_rows
from tilewright.targets.spec import Tile


def partition(layer: str, inputs: int, outputs: int, tile: Tile) -> tuple[list[int], list[int], Decision]:
    """Rows of each row-block and columns of each column-block of a layer, over as few tiles as it can have."""
    rows, columns = split_rows(inputs, tile), split_columns(outputs, tile)
    even, greedy = split_evenly(inputs, int(tile.rows)), split_greedily(inputs, int(tile.rows))
    other = greedy if rows == even else even
    rejected = []
    reason = "the fewest tiles"
    if other != rows:
        why = "equal row-blocks keep the largest sum of an ADC, and so its clipping, smallest"
        reason = f"the fewest tiles; {why if rows == even else 'the target asks for full tiles first'}"
        rejected = [Alternative(choice=f"row-blocks of {_text(other)}", figures=[_largest(other)])]
    return rows, columns, Decision(
        made_by="partition",
        subject=layer,
        choice=f"{len(rows)} x {len(columns)} blocks: rows {_text(rows)}, columns {_text(columns)}",
        reason=reason,
        figures=[_largest(rows), Figure(name="tiles", value=len(rows) * len(columns), unit="tile")],
        rejected=rejected,
    )  # fmt: skip


def _largest(rows: list[int]) -> Figure:
    return Figure(name="rows summed by one ADC", value=max(rows), unit="row")


def _text(sizes: list[int]) -> str:
    return " + ".join(map(str, sizes)) if len(sizes) <= 4 else f"{len(sizes)} of at most {max(sizes)}"
