"""Blocks onto the tiles of one chip, or of as many as it takes."""

from __future__ import annotations

from tilewright.compiler.compilation import Compilation
from tilewright.runtime.plan import Alternative, Decision, Figure, Placement, TilePosition
from tilewright.targets.spec import Chip


def place(compilation: Compilation) -> None:
    """Lay the blocks along the mesh in the order of the network, one a tile.

    The path turns at each end of a row, so that blocks which follow one another are neighbours. A layer that would
    be cut by the end of a chip starts on the next one if it fits there whole.
    """
    chip, tile = compilation.target.chip, compilation.target.tile
    next_tile = used = cells = skipped = 0
    for layer in compilation.layers.values():
        left = -next_tile % chip.tiles or chip.tiles
        if left < len(layer.blocks) <= chip.tiles:
            skipped += left
            next_tile += left
        for block in layer.blocks:
            block.tile = position(next_tile, chip)
            next_tile += 1
        used += len(layer.blocks)
        cells += layer.inputs * layer.outputs
    chips = -(-next_tile // chip.tiles)
    compilation.placement = Placement(
        chips=chips,
        mesh=(int(chip.mesh_rows), int(chip.mesh_columns)),
        tiles=used,
        utilisation=cells / (used * tile.rows * tile.columns) if used else 0.0,
    )
    compilation.decisions.append(_decision(chips, used, skipped, chip))


def position(number: int, chip: Chip) -> TilePosition:
    """The place of the ``number``-th tile on a path that goes right on even rows and left on odd ones."""
    on_chip = number % chip.tiles
    row, column = divmod(on_chip, int(chip.mesh_columns))
    if row % 2:
        column = int(chip.mesh_columns) - 1 - column
    return TilePosition(chip=number // chip.tiles, row=row, column=column)


def _decision(chips: int, used: int, skipped: int, chip: Chip) -> Decision:
    return Decision(
        made_by="place",
        subject="all layers",
        choice=f"{chips} chip{'s' if chips != 1 else ''}, one block a tile, in the order of the network",
        reason="neighbouring layers exchange activations; a layer is kept on one chip where it fits one",
        figures=[
            Figure(name="tiles used", value=used, unit="tile"),
            Figure(name="tiles on a chip", value=chip.tiles, unit="tile"),
            Figure(name="tiles left free at the end of a chip", value=skipped, unit="tile"),
        ],
        rejected=[
            Alternative(
                choice="fill every chip to its last tile",
                figures=[Figure(name="chips", value=-(-used // chip.tiles), unit="chip")],
            )
        ],
    )
