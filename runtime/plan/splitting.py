"""Splitting of a matrix's rows and columns over tiles."""

from __future__ import annotations

from math import ceil

from tilewright.targets.spec import Tile


def split_rows(size: int, tile: Tile) -> list[int]:
    """Rows of each row-block: equal ones, or full tiles and the rest, as the tile's description says."""
    limit = int(tile.rows)
    return split_evenly(size, limit) if tile.row_splitting == "even" else split_greedily(size, limit)


def split_columns(size: int, tile: Tile) -> list[int]:
    """Columns of each column-block."""
    return split_evenly(size, int(tile.columns))


def tiles_needed(inputs: int, outputs: int, tile: Tile) -> int:
    """Number of tiles that a layer takes alone."""
    return ceil(inputs / tile.rows) * ceil(outputs / tile.columns)


def split_evenly(size: int, limit: int) -> list[int]:
    """The fewest parts of at most ``limit``, as equal as they can be: 768 by 512 -> [384, 384]."""
    parts = -(-size // limit)
    small, larger = divmod(size, parts)
    return [small + 1] * larger + [small] * (parts - larger)


def split_greedily(size: int, limit: int) -> list[int]:
    """Full parts and the rest: 768 by 512 -> [512, 256]."""
    return [min(limit, size - start) for start in range(0, size, limit)]
