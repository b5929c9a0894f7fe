"""Cost of one layer on a target, whether it is placed there or might be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tilewright.runtime.plan.blocks import split_columns, split_rows
from tilewright.targets.quantity import Quantity, with_unit
from tilewright.targets.spec import AnalogTarget, Chip, Cost, DigitalTarget, bits_of

PICO = 1e-3
"""One pJ in nJ."""
COMPONENTS = ("array", "dac", "adc")
"""Components of a tile, each of which takes energy and area."""


@dataclass
class Account:
    """Energy in nJ by component, as it is summed up, with what is not modelled and what has no published source."""

    energy: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)

    def add(self, energy: Mapping[str, float], missing: Iterable[str], assumptions: Iterable[str]) -> None:
        """Add what was accounted for elsewhere."""
        for component, part in energy.items():
            self.energy[component] = self.energy.get(component, 0.0) + part
        self.missing += missing
        self.assumptions += assumptions

    def known(self, figure: Quantity | None, what: str, gap: str) -> float:
        """A preset's figure as a number; zero where there is none, and ``gap`` is noted as missing."""
        if figure is None:
            self.missing.append(gap)
        elif figure.is_assumed:
            self.assumptions.append(f"{what} {with_unit(f'{figure:g}', figure.unit)}: {figure.source}")
        return 0.0 if figure is None else float(figure)

    def spend(
        self, component: str, count: float, figure: Quantity | None, what: str, gap: str, *, scale: float = 1.0
    ) -> None:
        """Add the energy of so many things of one figure. scale: size in nJ of the figure's unit."""
        each = self.known(figure, what, gap)
        if figure is not None:
            self.energy[component] = count * each * scale

    def spend_on_macs(self, component: str, macs: int, number_format: str, units: int, preset: Cost) -> float:
        """Add the energy of MACs. Returns their time in ns on ``units`` that share the work; zero if not known."""
        self.missing.append(f"{component}: area")
        mac, products = preset.mac(number_format), f"{number_format.upper()} product"
        energy = mac.energy if mac is not None else None
        self.spend(component, macs, energy, products, f"{component}: energy of {products}s", scale=PICO)
        rate = self.known(preset.unit_throughput, "products of a unit in a nanosecond", f"{component}: time")
        return macs / (rate * units) if rate else 0.0


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer in one run.

    reads: of single tiles. energy_nj: by component, or several joined by + where a source gives their sum alone.
    latency_ns: of all its calls one after another. area_mm2: of its tiles. not_modelled: what the preset has no figure
    for.

    name, target: of the layer, and where it runs. tiles: how many hold it. macs: multiplications. assumptions: figures
    that nobody published.
    """

    name: str
    target: str
    tiles: int
    reads: int
    macs: int
    energy_nj: dict[str, float] = field(default_factory=dict)
    latency_ns: float = 0.0
    area_mm2: float = 0.0
    not_modelled: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def total_nj(self) -> float:
        """Energy in nJ: the sum over components that are modelled."""
        return sum(self.energy_nj.values())

    @property
    def known_energy_nj(self) -> float:
        """Energy in nJ; NaN for work of which no energy is modelled at all."""
        return self.total_nj if self.energy_nj or not self.macs else math.nan

    @property
    def known_latency_ns(self) -> float:
        """Latency in ns; NaN for work of which no time is modelled."""
        return self.latency_ns if self.latency_ns or not self.macs else math.nan


def cost_of_layer(
    name: str, shape: tuple[int, int], vectors: int, target: AnalogTarget | DigitalTarget, chip: Chip, preset: Cost
) -> LayerCost:
    """Cost of a layer on a target in one run. shape: (inputs, outputs); vectors: its input vectors."""
    return _COSTS[type(target)](name, shape, vectors, target, chip, preset)


def _on_tiles(
    name: str, shape: tuple[int, int], vectors: int, target: AnalogTarget, _chip: Chip, preset: Cost
) -> LayerCost:
    rows, columns = len(split_rows(shape[0], target.tile)), len(split_columns(shape[1], target.tile))
    tiles, macs = rows * columns, vectors * shape[0] * shape[1]
    figures = preset.tile(int(target.tile.rows), int(target.tile.columns))
    if figures is None:
        missing = f"tiles of {int(target.tile.rows)} x {int(target.tile.columns)}: energy, time and area"
        return LayerCost(name, target.name, tiles, vectors * tiles, macs, not_modelled=(missing,))
    account, area = Account(), 0.0
    for part in figures.parts:
        what = "+".join(part.covers)
        account.spend(what, vectors * tiles, part.energy, f"{what} energy", f"{what}: energy")
        area += tiles * account.known(part.area, f"{what} area", f"{what}: area")
    account.known(figures.read_time, "read time of a tile", "")
    covered = {component for part in figures.parts for component in part.covers}
    account.missing += [f"{component}: energy and area" for component in COMPONENTS if component not in covered]
    if "scale_and_sum" not in covered:
        values = vectors * rows * shape[1]
        account.spend(
            "scale_and_sum", values, preset.scale_and_sum, "scale and sum", "scale_and_sum: energy", scale=PICO
        )
        account.missing.append("scale_and_sum: time and area")
    if target.tile.doublings:
        account.missing.append(f"further reads of vectors whose range {target.name} doubles: energy and time")
    return LayerCost(
        name, target.name, tiles, vectors * tiles, macs, account.energy, vectors * float(figures.read_time), area,
        tuple(account.missing), tuple(account.assumptions),
    )  # fmt: skip


def _on_unit(
    name: str, shape: tuple[int, int], vectors: int, unit: DigitalTarget, chip: Chip, preset: Cost
) -> LayerCost:
    macs, account = vectors * shape[0] * shape[1], Account()
    count = next(int(units.count) for units in chip.digital if units.unit.name == unit.name)
    latency = account.spend_on_macs("digital_layers", macs, wider(unit.weights, unit.inputs), count, preset)
    missing, assumptions = tuple(account.missing), tuple(account.assumptions)
    return LayerCost(name, unit.name, 0, 0, macs, account.energy, latency, 0.0, missing, assumptions)


_COSTS: dict[type, Callable[..., LayerCost]] = {AnalogTarget: _on_tiles, DigitalTarget: _on_unit}


def wider(one: str, other: str) -> str:
    """The wider of two number formats, whose multiplier serves both: floating point, else more bits."""
    return max(one, other, key=lambda number_format: bits_of(number_format) or 100 + int(number_format[2:]))
