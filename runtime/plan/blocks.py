"""Blocks of a layer and their places: splits of its matrix, a chip's mesh, the path along which tiles are numbered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, product
from typing import NamedTuple

from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.spec import Chip, Tile, Tiles


class TilePosition(NamedTuple):
    """Place of a physical crossbar: chip, row and column on its mesh.

    chip: from 0. row, column: on the chip's mesh, from 0.
    """

    chip: int
    row: int
    column: int

    def __str__(self) -> str:
        return f"{self.chip}:{self.row},{self.column}"


class Block(NamedTuple):
    """A sub-matrix on one tile: half-open ranges of the layer's inputs (rows) and outputs (columns)."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    tile: TilePosition


def split_rows(size: int, tile: Tile) -> list[int]:
    """Rows of each row-block: equal ones, or full tiles and the rest, as the tile's description says."""
    limit = int(tile.rows)
    return split_evenly(size, limit) if tile.row_splitting == "even" else split_greedily(size, limit)


def split_columns(size: int, tile: Tile) -> list[int]:
    """Columns of each column-block."""
    return split_evenly(size, int(tile.columns))


def tiles_needed(inputs: int, outputs: int, tile: Tile) -> int:
    """Number of tiles that a layer takes alone."""
    return -(-inputs // int(tile.rows)) * -(-outputs // int(tile.columns))


def split_evenly(size: int, limit: int) -> list[int]:
    """The fewest parts of at most ``limit``, as equal as they can be: 768 by 512 -> [384, 384]."""
    return equal_parts(size, -(-size // limit))


def equal_parts(size: int, count: int) -> list[int]:
    """Sizes of so many parts, as equal as they can be, the larger ones first: 10 in 3 -> [4, 3, 3]."""
    small, larger = divmod(size, count)
    return [small + 1] * larger + [small] * (count - larger)


def split_text(sizes: list[int]) -> str:
    """A split in words, short where there are many parts."""
    return " + ".join(map(str, sizes)) if len(sizes) <= 4 else f"{len(sizes)} of at most {max(sizes)}"


def split_greedily(size: int, limit: int) -> list[int]:
    """Full parts and the rest: 768 by 512 -> [512, 256]."""
    return [min(limit, size - start) for start in range(0, size, limit)]


def tile_position(number: int, tiles: Tiles, first_column: int = 0) -> TilePosition:
    """Place of the ``number``-th tile of one kind, counted over all chips.

    The path goes right on even rows and left on odd ones, so that tiles which follow one another are neighbours.
    first_column: first column of this kind of tile on the mesh.
    """
    on_chip = number % tiles.count
    row, column = divmod(on_chip, int(tiles.mesh_columns))
    if row % 2:
        column = int(tiles.mesh_columns) - 1 - column
    return TilePosition(number // tiles.count, row, first_column + column)


def tile_number(place: TilePosition, tiles: Tiles, first_column: int = 0) -> int:
    """Number of the tile at a place. Raises ``ValueError`` if there is none of its kind."""
    rows, columns = int(tiles.mesh_rows), int(tiles.mesh_columns)
    column = place.column - first_column
    if not (0 <= place.row < rows and 0 <= column < columns):
        raise ValueError(f"there is no such tile at {place}")
    along = columns - 1 - column if place.row % 2 else column
    return place.chip * tiles.count + place.row * columns + along


def tiles_of(chip: Chip, target: str) -> tuple[Tiles, int]:
    """The tiles of a target, and the first of their columns on the mesh. Raises ``KeyError``."""
    first_column = 0
    for tiles in chip.tiles:
        if tiles.target.name == target:
            return tiles, first_column
        first_column += int(tiles.mesh_columns)
    raise KeyError(target)


def ranges(sizes: list[int]) -> list[tuple[int, int]]:
    """Half-open ranges of consecutive sizes."""
    return [(stop - size, stop) for stop, size in zip(accumulate(sizes), sizes, strict=True)]


def positions_of(layer: LayerRecord, chip: Chip) -> Iterator[TilePosition]:
    """The tiles of a layer, in the order of its blocks; none on digital units."""
    if layer.tiles:
        tiles, first_column = tiles_of(chip, layer.target)
        for first, count in layer.tiles:
            for number in range(first, first + count):
                yield tile_position(number, tiles, first_column)


def middle_of(layer: LayerRecord, chip: Chip) -> tuple[float, float]:
    """Mean row and column of a layer's tiles on the mesh, however many there are."""
    tiles, first_column = tiles_of(chip, layer.target)
    rows = columns = 0
    for first, count in layer.tiles:
        (low_row, low_column), (high_row, high_column) = _sums(first, tiles), _sums(first + count, tiles)
        rows, columns = rows + high_row - low_row, columns + high_column - low_column
    return rows / layer.tile_count, columns / layer.tile_count + first_column


def _sums(number: int, tiles: Tiles) -> tuple[int, int]:
    """Sums of the rows, and of the columns, of all tiles before the ``number``-th."""
    height, width = int(tiles.mesh_rows), int(tiles.mesh_columns)
    chips, on_chip = divmod(number, tiles.count)
    row, along = divmod(on_chip, width)
    rows = chips * width * _up_to(height) + width * _up_to(row) + row * along
    columns = (chips * height + row) * _up_to(width)
    return rows, columns + (_up_to(width) - _up_to(width - along) if row % 2 else _up_to(along))


def _up_to(number: int) -> int:
    """Sum 0 + 1 + ... of so many numbers."""
    return number * (number - 1) // 2


def blocks_of(layer: LayerRecord, chip: Chip) -> Iterator[Block]:
    """The blocks of a layer, row-block by row-block; none on digital units."""
    option = layer.option
    grid = product(ranges(option.row_splits), ranges(option.column_splits))
    for (rows, columns), tile in zip(grid, positions_of(layer, chip), strict=True):
        yield Block(rows, columns, tile)
