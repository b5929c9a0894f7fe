"""The story of one layer, or of one product of activations: what was decided about it, why, and instead of what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from tilewright.compiler.cost import cost_of_usual_run
from tilewright.compiler.engineering import COUNTS, counted, engineering, share, sizes_text
from tilewright.runtime.plan.adapter_records import AdapterRecord
from tilewright.runtime.plan.blocks import positions_of
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.runtime.plan.records import LayerRecord, MatmulRecord
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import visible
from tilewright.targets.spec import Chip

HEADINGS = {
    "find_layers": "It is {}",
    "fuse_shared_inputs": "It is fused: {}",
    "assign_targets": "It runs on {}",
    "choose_programming": "It is programmed by the method {}",
    "rescale_channels": "Its input channels: {}",
    "fold_channel_scales": "Dividing by the channel scale is {}",
    "clip_weights": "Its weights: {}",
    "calibrate": "Calibrated: {}",
    "partition": "It is split into {}",
    "route_attention": "It runs on an {}",
}
"""Beginnings of sentences about a pass's choice; others begin with the pass's name."""
SHOWN = 3
"""Rejected alternatives that a sentence names; JSON has all."""


@dataclass(frozen=True)
class Explanation:
    """The story of one layer or product of activations, in sentences.

    decisions: as the plan has them, in the order they were made. ``to_json`` keeps these names.

    name: of the layer or product. sentences: in the order to read them. adapters: what each of the plan's adapters has
    beside the layer, or in its place.
    """

    name: str
    sentences: list[str]
    decisions: list[dict[str, Any]]
    adapters: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return asdict(self)

    def __repr__(self) -> str:
        """A line for a terminal."""
        return f"Explanation({self.name!r}: {len(self.sentences)} sentences about {len(self.decisions)} decisions)"


def explain(plan: Plan, name: str) -> Explanation:
    """Tell why a layer is as it is. name: the layer's, that of a matrix of the model in it, or a matmul's.

    Raises ``InputError`` with the nearest name if there is none.
    """
    check_is_plan(plan)
    record = _find(plan, name)
    decided = [decision for decision in plan.document.decisions_in_force if decision.subject == record.name]
    about = _holding(record, decided)
    sentences = [_opening(record), *map(_sentence, about)]
    if isinstance(record, LayerRecord) and record.tiles:
        sentences.append(_places(record, plan.document.chip))
    beside = [piece for one in plan.document.adapters for piece in _adapters(one, record)]
    sentences += [sentence for sentence, _ in beside]
    sentences += _cost(plan, record.name)
    return Explanation(
        record.name,
        list(map(visible, sentences)),
        [decision.model_dump(mode="json") for decision in about],
        [piece for _, piece in beside],
    )


def _holding(record: LayerRecord | MatmulRecord, about: list[Decision]) -> list[Decision]:
    """Decisions without those for tiles alone that are not in force on the digital unit that a layer was moved to."""
    if (
        isinstance(record, LayerRecord)
        and not record.option.has_channel_scale
        and any(option.has_channel_scale for option in record.options)
    ):
        return [d for d in about if d.made_by not in ("rescale_channels", "fold_channel_scales")]
    return about


def _find(plan: Plan, name: str) -> LayerRecord | MatmulRecord:
    known: dict[str, LayerRecord | MatmulRecord] = {}
    for layer in plan.document.layers:
        for part in layer.parts:
            known.setdefault(part.weight, layer)
            known.setdefault(part.weight.removesuffix(".weight"), layer)
    known |= {matmul.name: matmul for matmul in plan.document.matmuls}
    known |= {layer.name: layer for layer in plan.document.layers}
    if name not in known:
        raise InputError(f"the plan has no layer {name!r}; {nearest(name, known)}")
    return known[name]


def _opening(record: LayerRecord | MatmulRecord) -> str:
    if isinstance(record, MatmulRecord):
        return f"{record.name} multiplies two activations ({record.kind}): {record.reason}."
    uses = f", {len(record.uses)} times" if len(record.uses) > 1 else ""
    parts = ", ".join(part.weight for part in record.parts)
    matrix = f"a constant matrix of {counted(record.outputs, 'column')}"
    return f"{record.name} multiplies {counted(record.inputs, 'input')} by {matrix}{uses}: {parts}."


def _sentence(decision: Decision) -> str:
    heading = HEADINGS.get(decision.made_by, f"{decision.made_by}: {{}}").format(decision.choice)
    figures = f" ({_figures(decision.figures)})" if decision.figures else ""
    return f"{heading}; reason: {decision.reason}{figures}{_rejected(decision)}."


def _rejected(decision: Decision) -> str:
    """The alternatives, those first whose last figure is nearest to the choice's."""
    others = decision.rejected
    if not others:
        return ""
    if decision.figures and all(other.figures for other in others):
        others = sorted(others, key=lambda other: abs(other.figures[-1].value - decision.figures[-1].value))
    shown = [
        f"{other.choice} ({_figures(other.figures)})" if other.figures else other.choice for other in others[:SHOWN]
    ]
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return f"; rejected: {', '.join(shown)}{more}"


def _figures(figures: list[Figure]) -> str:
    return ", ".join(f"{figure.name} {figure.value:g}{_unit(figure)}" for figure in figures)


def _unit(figure: Figure) -> str:
    """The unit, where the figure's name does not say it already. "1 a token" is read as: a token."""
    unit = figure.unit.removeprefix("1").strip()
    return f" {unit}" if unit and unit not in COUNTS else ""


def _places(layer: LayerRecord, chip: Chip) -> str:
    count = layer.tile_count
    shown = ", ".join(map(str, islice(positions_of(layer, chip), 6))) + (f" and {count - 6} more" if count > 6 else "")
    return f"Its blocks are on tile{'s' if count > 1 else ''} {shown} (chip:row,column)."


def _adapters(adapter: AdapterRecord, record: LayerRecord | MatmulRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    """Sentence on each thing that an adapter has beside a layer or in its place, and its record."""
    for pair in adapter.low_rank:
        if pair.layer == record.name:
            yield (
                f"The adapter {adapter.name} adds a digital product of rank {pair.rank} to {pair.module}, times "
                f"{pair.scale:g}; {counted(pair.parameters, 'parameter')}.",
                {"adapter": adapter.name, **pair.model_dump(mode="json")},
            )
    for matrix in adapter.replacements:
        if matrix.layer == record.name:
            yield (
                f"With the adapter {adapter.name} a digital matrix of {counted(matrix.outputs, 'column')} is in place "
                f"of {matrix.module}; {counted(matrix.parameters, 'parameter')}.",
                {"adapter": adapter.name, **matrix.model_dump(mode="json")},
            )


def _cost(plan: Plan, name: str) -> list[str]:
    """Sentence on what a layer or product takes of a run; none where the chip names no cost preset."""
    run, _ = cost_of_usual_run(plan)
    if run is None:
        return []
    costs = {layer.name: (layer.total_nj, layer.latency_ns) for layer in run.layers}
    costs |= {product.name: (product.energy_nj, product.latency_ns) for product in run.attention}
    energy, latency = costs[name]
    part = f", {share(energy / run.energy_nj)} of the whole" if run.energy_nj else ""
    return [
        f"In a run of {sizes_text(run.sizes)} it takes {engineering(energy, 'nJ')}{part}, and "
        f"{engineering(latency, 'ns')} ({run.preset}, {run.status})."
    ]
