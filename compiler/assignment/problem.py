"""Problem of an assignment: each layer's targets with their figures, and the figures of a whole choice."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tilewright.compiler.cost import cost_of_layer, estimate_cost
from tilewright.compiler.cost.estimate import preset_of
from tilewright.compiler.cost.schedule import Schedule, schedule
from tilewright.compiler.sensitivity.measure import targets_of
from tilewright.runtime.measuring.operations import count_operations
from tilewright.runtime.plan.decisions import UNITS
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.loading import target_names
from tilewright.targets.spec import Cost

LOSS, ENERGY, LATENCY, TILES, DIGITAL_MACS, AREA = "loss", "energy", "latency", "tiles", "digital-macs", "area"
"""Measures that are minimised or have a budget. All but latency add up over layers."""
COSTLY = (ENERGY, LATENCY, AREA)
"""Measures that cannot be minimised or limited without a cost preset."""

Choice = Mapping[str, str]
"""Choice of targets: layer -> target."""


@dataclass(frozen=True)
class Option:
    """One layer on one target. figures: by the keys of ``UNITS``; latency is that of all calls one after another."""

    layer: str
    target: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Call:
    """One call of a layer, or of a product of activations, which takes its own time whatever is chosen."""

    node: str
    layer: str | None
    share: float
    """Share of the layer's latency; without a layer the time itself, in ns."""


@dataclass(frozen=True)
class Problem:
    """All options, what the network costs beside its layers, and which call waits for which."""

    options: dict[str, list[Option]]
    macs: dict[str, int]
    """MACs of each layer."""
    fixed: dict[str, float] = field(default_factory=dict)
    """Figures that are spent whatever is chosen: attention, and what lies between layers."""
    calls: list[Call] = field(default_factory=list)
    order: Schedule = field(default_factory=lambda: Schedule({}))

    def option(self, layer: str, target: str) -> Option:
        """One of a layer's options."""
        return next(option for option in self.options[layer] if option.target == target)

    def figures(self, choice: Choice) -> dict[str, float]:
        """Figures of a whole choice, by the keys of ``UNITS``."""
        chosen = [self.option(layer, target) for layer, target in choice.items()]
        sums = {key: self.fixed.get(key, 0.0) + sum(option.figures[key] for option in chosen) for key in UNITS}
        sums[LATENCY] = self.latency({option.layer: option.figures[LATENCY] for option in chosen})
        return sums

    def latency(self, layers: Mapping[str, float]) -> float:
        """Latency of a run: the longest path, in ns, from each layer's latency."""
        durations = {
            call.node: call.share if call.layer is None else call.share * layers[call.layer] for call in self.calls
        }
        return self.order.longest_path(durations)


def check_measures(names: Iterable[str]) -> None:
    """Raise ``InputError`` for what cannot be minimised or have a budget."""
    for name in names:
        if name not in UNITS:
            raise InputError(f"there is no figure {name!r} to minimise or limit; {nearest(name, UNITS)}")


def problem_of(
    plan: Plan,
    losses: Mapping[tuple[str, str], float],
    asked: Collection[str],
    sizes: Mapping[str, int] | None,
    preset: str | Path | Cost | None,
    fixed: Mapping[str, str],
) -> Problem:
    """The problem of a plan. losses: (layer, target) -> figure of a sensitivity criterion.

    asked: figures that are minimised or limited. preset: as of ``estimate_cost``; none is needed where no cost is asked
    for, and figures that it does not know are NaN. fixed: layer -> the target that it must be on. Raises
    ``InputError`` for figures that are asked for and not known.
    """
    document, operations = plan.document, count_operations(plan, sizes)
    chip = document.chip
    needed = preset is not None or chip.cost is not None or any(name in COSTLY for name in asked)
    costs = preset_of(plan, preset) if needed else None
    options: dict[str, list[Option]] = {}
    for layer in document.layers:
        shape, vectors = (layer.inputs, layer.outputs), operations.vectors[layer.name]
        options[layer.name] = []
        for name in [fixed[layer.name]] if layer.name in fixed else targets_of(layer):
            loss, target = losses[layer.name, name], chip.target(name)
            if not math.isfinite(loss):
                continue
            cost = cost_of_layer(layer.name, shape, vectors, target, chip, costs or EMPTY)
            figures = {
                LOSS: max(loss, 0.0),  # noise that helped was luck
                ENERGY: cost.known_energy_nj,
                LATENCY: cost.known_latency_ns,
                TILES: float(cost.tiles),
                DIGITAL_MACS: float(cost.macs) if target.tile is None else 0.0,
                AREA: cost.area_mm2,
            }
            _check_known(figures, asked, name, costs)
            options[layer.name].append(Option(layer.name, name, figures))
        if not options[layer.name]:
            raise InputError(f"layer {layer.name!r} has no finite loss on any of its targets: {targets_of(layer)}")
    whole = estimate_cost(plan, sizes, costs) if costs is not None else None
    attention = {product.name: product.latency_ns for product in whole.attention} if whole else {}
    calls = []
    for call in operations.calls:
        if call.name in options:
            total = operations.layers[call.name]
            calls.append(Call(call.node, call.name, call.macs / total if total else 0.0))
        else:
            calls.append(Call(call.node, None, attention.get(call.name, 0.0)))
    beside = {ENERGY: whole.energy_nj - sum(layer.total_nj for layer in whole.layers)} if whole else {}
    return Problem(options, dict(operations.layers), beside, calls, schedule(plan))


def _check_known(figures: Mapping[str, float], asked: Iterable[str], target: str, costs: Cost | None) -> None:
    for name in asked:
        if math.isnan(figures[name]):
            known = f"the cost preset {costs.name} says nothing" if costs is not None else "nothing is known"
            raise InputError(
                f"{known} of the {name} of {target}, so it can be neither minimised nor limited; name "
                f"another preset, one of: {', '.join(target_names('cost'))}"
            )


EMPTY = Cost(
    schema_version=2, kind="cost", name="nothing-known", summary="Nothing is known.", status="projected", tiles=[],
    macs=[], unit_throughput=None, scale_and_sum=None, softmax_and_norms=None, data_movement=None,
)  # fmt: skip
