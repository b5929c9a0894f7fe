"""Decisions about layers that were fused: the tiles of the chip that fusing saves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tilewright.compiler.network.layers import WeightLayer
from tilewright.runtime.plan.blocks import tiles_needed
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.targets.spec import Chip, Tile


def fusion_decisions(
    layers: Mapping[str, WeightLayer], fused: Mapping[str, list[WeightLayer]], chip: Chip
) -> list[Decision]:
    """One decision a fused layer. fused: its name -> the layers it was made of."""
    tile = chip.tiles[0].target.tile if chip.tiles else None
    return [_decision(layers[name], group, tile) for name, group in fused.items()]


def _decision(fused: WeightLayer, group: list[WeightLayer], tile: Tile | None) -> Decision:
    figures, rejected = [Figure(name="input conversions", value=1, unit="1 a token")], []
    if tile is not None:
        figures = _figures([fused], tile)
        rejected = [Alternative(choice="each on tiles of its own", figures=_figures(group, tile))]
    return Decision(
        made_by="fuse_shared_inputs",
        subject=fused.name,
        choice=f"one matrix of {len(group)}: {', '.join(layer.name for layer in group)}",
        reason="they multiply one input: one conversion to analog serves all, and it never takes more tiles",
        figures=figures,
        rejected=rejected,
    )


def _figures(apart: Iterable[WeightLayer], tile: Tile) -> list[Figure]:
    needed = [tiles_needed(layer.inputs, layer.outputs, tile) for layer in apart]
    return [
        Figure(name="tiles", value=sum(needed), unit="tile"),
        Figure(name="input conversions", value=len(needed), unit="1 a token"),
    ]
