"""The cost of one run of a plan: layer by layer, component by component, and in sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tilewright.compiler.cost.adapter_cost import AdapterCost, costs_of_adapter
from tilewright.compiler.cost.layer_cost import PICO, Account, LayerCost, cost_of_layer
from tilewright.compiler.cost.schedule import Schedule, schedule
from tilewright.compiler.engineering import engineering, sizes_text
from tilewright.runtime.execution.shape_run import UnboundedError
from tilewright.runtime.measuring.operations import Call, Operations, count_operations
from tilewright.runtime.plan.adapters import is_replaced
from tilewright.runtime.plan.blocks import middle_of
from tilewright.runtime.plan.plan import Plan, chosen_plan
from tilewright.runtime.plan.records import BATCH
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_cost, target_names
from tilewright.targets.spec import Cost

CHEAPER = (1, 2, 5, 10, 100)
"""Factors by which tiles might get cheaper, for ``CostEstimate.with_cheaper_tiles``."""


@dataclass(frozen=True)
class AttentionCost:
    """Cost of one product of two activations. operands: their number format.

    name: of the product in the plan. macs: multiplications in the run. energy_nj, latency_ns: of all its calls.
    relative_energy: see ``relative_area``.
    """

    name: str
    operands: str
    macs: int
    energy_nj: float
    latency_ns: float
    relative_energy: float | None
    relative_area: float | None
    """Energy and area of a multiplier, BF16's being 1; None where the preset does not say."""


@dataclass(frozen=True)
class TimedCall:
    """One call of a layer or product, with start and end in ns from the beginning of the run.

    node: in the plan's graph. name, use: of the layer or product, and which of its uses. start_ns, end_ns: from the
    beginning of the run.
    """

    node: str
    name: str
    use: int
    start_ns: float
    end_ns: float


@dataclass(frozen=True)
class CostEstimate:
    """Energy, time and area of one run, by component and layer. ``to_json`` keeps these names.

    status: measured or projected. components: energy in nJ by component, in the order of COMPONENTS as far as they are
    apart. latency_ns: from the first input to the last output, where each call waits for all of its inputs.
    interval_ns: between the ends of two runs that follow one another, when every tile and unit works all the time.
    area_mm2: of the tiles that hold weights.

    preset: name of the figures' preset. sizes: of the inputs, by dimension. samples, tokens: in the run. macs:
    multiplications of all layers and products. layers, attention: cost of each layer, and of each product of
    activations. calls: when each runs. attention_share_of_macs: 0 to 1. not_modelled: what the preset has no figure
    for. assumptions: figures that nobody published. adapter: the plan's that ran; adapters: its cost by layer.
    """

    preset: str
    status: str
    sizes: dict[str, int]
    samples: int
    tokens: int
    macs: int
    layers: list[LayerCost]
    attention: list[AttentionCost]
    components: dict[str, float]
    calls: list[TimedCall]
    latency_ns: float
    interval_ns: float
    area_mm2: float
    attention_share_of_macs: float
    not_modelled: list[str]
    assumptions: list[str]
    adapter: str | None = None
    adapters: list[AdapterCost] = field(default_factory=list)

    @property
    def energy_nj(self) -> float:
        """Energy of one run in nJ: all that is modelled."""
        return sum(self.components.values())

    @property
    def operations_per_joule(self) -> float | None:
        """Operations a joule, two a MAC; None without any energy."""
        return 2e9 * self.macs / self.energy_nj if self.energy_nj else None

    @property
    def samples_per_second(self) -> float | None:
        """Samples a second, where runs follow one another; None without any time."""
        return 1e9 * self.samples / self.interval_ns if self.interval_ns else None

    @property
    def attention_nj(self) -> float:
        """Energy of the products of two activations, in nJ."""
        return sum(product.energy_nj for product in self.attention)

    def with_cheaper_tiles(self) -> list[dict[str, float]]:
        """Energy in nJ, and attention's share of it, if tiles took a so-manieth: what is left to gain (Amdahl)."""
        tiles = sum(layer.total_nj for layer in self.layers if layer.tiles)
        rows = []
        for factor in CHEAPER:
            energy = self.energy_nj - tiles + tiles / factor
            share = self.attention_nj / energy if energy else 0.0
            rows.append({"tiles_cheaper_by": float(factor), "energy_nj": energy, "attention_share": share})
        return rows

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, with the sums."""
        energy = self.energy_nj
        return {
            **asdict(self),
            "energy_nj": energy,
            "energy_nj_per_token": energy / self.tokens,
            "operations_per_joule": self.operations_per_joule,
            "samples_per_second": self.samples_per_second,
            "attention_share_of_energy": self.attention_nj / energy if energy else 0.0,
            "with_cheaper_tiles": self.with_cheaper_tiles(),
        }

    def __repr__(self) -> str:
        """A line for a terminal."""
        energy, latency = engineering(self.energy_nj, "nJ"), engineering(self.latency_ns, "ns")
        area = f"{self.area_mm2:.4g} mm2"
        return f"CostEstimate({sizes_text(self.sizes)} by {self.preset}: {energy}, {latency}, {area})"


def estimate_cost(
    plan: Plan,
    sizes: Mapping[str, int] | None = None,
    preset: str | Path | Cost | None = None,
    *,
    adapter: str | None = None,
) -> CostEstimate:
    """Estimate energy, latency and area of one run of the plan.

    sizes: of its inputs, by the names of the plan's dimensions (see ``count_operations``). preset: a cost preset by
    name, file or object; the one of the plan's chip if None. adapter: one of the plan's, which runs on the chip's
    digital units while tiles are read. Raises ``InputError`` if there is none, or for sizes that the plan does not
    take.
    """
    plan = chosen_plan(plan, adapter)
    figures = preset_of(plan, preset)
    operations = count_operations(plan, sizes)
    chip, account = plan.document.chip, Account()
    attention = _attention(plan, operations, figures, account)
    layers = []
    for layer in plan.document.layers:
        shape, vectors = (layer.inputs, layer.outputs), operations.vectors[layer.name]
        if is_replaced(plan.adapter_record, layer):
            vectors = 0
        layers.append(cost_of_layer(layer.name, shape, vectors, chip.target(layer.target), chip, figures))
        account.add(layers[-1].energy_nj, layers[-1].not_modelled, layers[-1].assumptions)
    beside = costs_of_adapter(plan, operations, figures, account)
    if any(product.energy_nj for product in attention):
        account.energy["attention"] = sum(product.energy_nj for product in attention)
    order = schedule(plan)
    _add_beside(plan, operations, order, figures, account)
    durations = _durations(operations, layers, attention, beside)
    ends = order.finish_times(durations)
    calls = [TimedCall(node, *order.called[node], ends[node] - durations[node], ends[node]) for node in order.before]
    return CostEstimate(
        preset=figures.name,
        status=figures.status,
        sizes=operations.sizes,
        samples=operations.sizes.get(BATCH, 1),
        tokens=operations.tokens,
        macs=operations.total,
        layers=layers,
        attention=attention,
        components=account.energy,
        calls=calls,
        latency_ns=max(ends.values(), default=0.0),
        interval_ns=_interval(layers, attention, beside),
        area_mm2=sum(layer.area_mm2 for layer in layers),
        attention_share_of_macs=operations.attention_share,
        not_modelled=list(dict.fromkeys(account.missing)),
        assumptions=list(dict.fromkeys(account.assumptions)),
        adapter=plan.adapter,
        adapters=beside,
    )


def cost_of_usual_run(plan: Plan) -> tuple[CostEstimate | None, list[str]]:
    """Cost of a run of usual sizes by the chip's own preset, None without one; and warnings, if a cost cannot be given.

    Raises ``InputError`` for a graph that asks for more than any network does.
    """
    if plan.document.chip.cost is None:
        return None, []
    try:
        return estimate_cost(plan), []
    except UnboundedError:
        raise
    except InputError as error:
        return None, [f"the cost of a usual run is not known: {error}"]


def preset_of(plan: Plan, preset: str | Path | Cost | None) -> Cost:
    """The cost preset to use. Raises ``InputError`` if none is named and the plan's chip has none."""
    figures = load_cost(preset) if preset is not None else plan.document.chip.cost
    if figures is None:
        known = ", ".join(target_names("cost"))
        raise InputError(f"nothing is known of the cost of {plan.document.chip.name}; name a preset, one of: {known}")
    return figures


def _attention(plan: Plan, operations: Operations, preset: Cost, account: Account) -> list[AttentionCost]:
    """Cost of the products of two activations. Notes what is not modelled or assumed of them."""
    costs: list[AttentionCost] = []
    units, reference = int(plan.document.chip.attention.count), preset.mac("bf16")
    for matmul in plan.document.matmuls:
        macs, mac, own = operations.matmuls[matmul.name], preset.mac(matmul.operands), Account()
        latency = own.spend_on_macs("attention", macs, matmul.operands, units, preset)
        account.add({}, own.missing, own.assumptions)
        energy = float(mac.energy) / float(reference.energy) if mac and reference and reference.energy else None
        area = float(mac.relative_area) if mac else None
        costs.append(AttentionCost(matmul.name, matmul.operands, macs, sum(own.energy.values()), latency, energy, area))
    return costs


def _add_beside(plan: Plan, operations: Operations, order: Schedule, preset: Cost, account: Account) -> None:
    """Add the cost of all but layers and products: other functions, and the way of the values between tiles."""
    values = sum(operations.values.values())
    if preset.softmax_and_norms is not None or values:
        gap = f"softmax_and_norms: energy of {values:,} values of softmax, norms and activation functions"
        account.spend("softmax_and_norms", values, preset.softmax_and_norms, "softmax and norms", gap, scale=PICO)
    if any("data_movement" in component for component in account.energy):
        return
    hops = _value_hops(plan, operations, order)
    if preset.data_movement is not None or hops:
        gap = f"data_movement: energy of {hops:,.0f} values times lengths of a tile on the mesh"
        account.spend("data_movement", hops, preset.data_movement, "data movement", gap, scale=PICO)


def _value_hops(plan: Plan, operations: Operations, order: Schedule) -> float:
    """Values that layers on tiles take in, times their hops from the middle of the tiles that they come from."""
    middles = {layer.name: middle_of(layer, plan.document.chip) for layer in plan.document.layers if layer.tiles}
    name_of = {call.node: call.name for call in operations.calls}
    inputs = {layer.name: layer.inputs for layer in plan.document.layers}
    total = 0.0
    for call in operations.calls:
        if call.name in middles and call.macs:
            here = middles[call.name]
            there = [middles[name_of[node]] for node in order.before[call.node] if name_of[node] in middles]
            away = max((abs(here[0] - row) + abs(here[1] - column) for row, column in there), default=0.0)
            total += call.vectors * inputs[call.name] * away
    return total


def _durations(
    operations: Operations,
    layers: Iterable[LayerCost],
    attention: Iterable[AttentionCost],
    beside: Iterable[AdapterCost],
) -> dict[str, float]:
    """Time of each call in ns, by node: a layer's time is shared by its calls as their vectors are.

    An adapter computes while tiles are read: the slower of the two decides.
    """
    whole = {layer.name: layer.latency_ns for layer in layers}
    whole |= {product.name: product.latency_ns for product in attention}
    of_adapter = {adapter.name: adapter.latency_ns for adapter in beside}
    macs = {**operations.layers, **operations.matmuls}

    def duration(call: Call) -> float:
        own = whole[call.name] * call.macs / macs[call.name] if macs[call.name] else 0.0
        vectors = operations.vectors.get(call.name)
        return max(own, of_adapter.get(call.name, 0.0) * call.vectors / vectors) if vectors else own

    return {call.node: duration(call) for call in operations.calls}


def _interval(layers: list[LayerCost], attention: list[AttentionCost], beside: list[AdapterCost]) -> float:
    """Time in ns of the busiest part: one layer's tiles, one kind of digital unit, attention's, or an adapter's."""
    units = [layer for layer in layers if not layer.tiles]
    kinds = {unit.target for unit in units}
    busy = [layer.latency_ns for layer in layers if layer.tiles]
    busy += [sum(unit.latency_ns for unit in units if unit.target == kind) for kind in kinds]
    busy.append(sum(product.latency_ns for product in attention))
    busy.append(sum(adapter.latency_ns for adapter in beside))
    return max(busy, default=0.0)
