"""Placement of blocks onto the tiles of one chip, or of as many as it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import LayerRecord, Placement
from tilewright.targets.spec import Chip, Tiles


def place(layers: Iterable[LayerRecord], chip: Chip) -> tuple[list[LayerRecord], Placement, list[Decision]]:
    """Lay the blocks along the mesh of their target's tiles in the order of the network, one a tile.

    The path turns at each end of a row, so that blocks which follow one another are neighbours. A layer that would
    be cut by the end of a chip starts on the next one if it fits there whole. Tiles of several targets lie side by
    side: each kind has its own columns of the mesh. Returns the layers with their tiles.
    """
    layers, decisions = list(layers), []
    runs: dict[str, list[tuple[int, int]]] = {}
    chips = used = cells = offered = 0
    for tiles in chip.tiles:
        here = [layer for layer in layers if layer.target == tiles.target.name]
        laid = _lay(here, tiles)
        runs |= laid.runs
        chips, used = max(chips, laid.chips), used + laid.used
        cells += sum(layer.inputs * layer.outputs for layer in here)
        offered += laid.used * tiles.target.tile.rows * tiles.target.tile.columns
        decisions.append(_decision(laid, tiles, alone=len(chip.tiles) == 1))
    utilisation = cells / offered if offered else 0.0
    placed = [layer.model_copy(update={"tiles": runs.get(layer.name, [])}) for layer in layers]
    return placed, Placement(chips=chips, mesh=chip.mesh, tiles=used, utilisation=utilisation), decisions


@dataclass(frozen=True)
class Laid:
    """Places of the blocks of one kind of tile, in sum."""

    runs: dict[str, list[tuple[int, int]]]
    """Tiles of each layer as runs (first, count), by layer."""
    chips: int
    used: int
    skipped: int


def _lay(layers: list[LayerRecord], tiles: Tiles) -> Laid:
    next_tile = used = skipped = 0
    runs: dict[str, list[tuple[int, int]]] = {}
    for layer in layers:
        left = -next_tile % tiles.count or tiles.count
        needed = layer.option.block_count
        if left < needed <= tiles.count:
            skipped += left
            next_tile += left
        runs[layer.name] = [(next_tile, needed)]
        next_tile += needed
        used += needed
    return Laid(runs, -(-next_tile // tiles.count), used, skipped)


def _decision(laid: Laid, tiles: Tiles, alone: bool) -> Decision:
    chips, used = laid.chips, laid.used
    return Decision(
        made_by="place",
        subject="all layers" if alone else f"all layers on {tiles.target.name}",
        choice=f"{chips} chip{'s' if chips != 1 else ''}, one block a tile, in the order of the network",
        reason="neighbouring layers exchange activations; a layer is kept on one chip where it fits one",
        figures=[
            Figure(name="tiles used", value=used, unit="tile"),
            Figure(name="tiles on a chip", value=tiles.count, unit="tile"),
            Figure(name="tiles left free at the end of a chip", value=laid.skipped, unit="tile"),
        ],
        rejected=[
            Alternative(
                choice="fill every chip to its last tile",
                figures=[Figure(name="chips", value=-(-used // tiles.count), unit="chip")],
            )
        ],
    )
