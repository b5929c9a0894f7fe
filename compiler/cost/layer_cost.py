"""Cost of one layer on a target, whether it is placed there or might be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tilewright.runtime.plan.splitting import split_columns, split_rows
from tilewright.targets.quantity import Quantity
from tilewright.targets.spec import AnalogTarget, Chip, Cost, DigitalTarget, bits_of

PICO = 1e-3
"""One pJ in nJ."""


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer in one run.

    reads: of single tiles. energy_nj: by component, or several joined by + where a source gives their sum alone.
    latency_ns: of all its calls one after another. area_mm2: of its tiles. not_modelled: what the preset has no figure
    for.
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
    energy: dict[str, float] = {}
    missing_parts, assumptions, area = [], [], 0.0
    for part in figures.parts:
        what = "+".join(part.covers)
        if part.energy is None:
            missing_parts.append(f"{what}: energy")
        else:
            energy[what] = vectors * tiles * float(part.energy)
            assumptions += assumed(f"{what} energy", part.energy)
        if part.area is None:
            missing_parts.append(f"{what}: area")
        else:
            area += tiles * float(part.area)
            assumptions += assumed(f"{what} area", part.area)
    assumptions += assumed("read time of a tile", figures.read_time)
    covered = {component for part in figures.parts for component in part.covers}
    missing_parts += [
        f"{component}: energy and area" for component in ("array", "dac", "adc") if component not in covered
    ]
    if "scale_and_sum" not in covered:
        if preset.scale_and_sum is None:
            missing_parts.append("scale_and_sum: energy")
        else:
            energy["scale_and_sum"] = vectors * rows * shape[1] * float(preset.scale_and_sum) * PICO
            assumptions += assumed("scale and sum", preset.scale_and_sum)
        missing_parts.append("scale_and_sum: time and area")
    if target.tile.doublings:
        missing_parts.append(f"further reads of vectors whose range {target.name} doubles: energy and time")
    latency = vectors * float(figures.read_time)
    return LayerCost(
        name, target.name, tiles, vectors * tiles, macs, energy, latency, area, tuple(missing_parts), tuple(assumptions)
    )


def _on_unit(
    name: str, shape: tuple[int, int], vectors: int, unit: DigitalTarget, chip: Chip, preset: Cost
) -> LayerCost:
    macs = vectors * shape[0] * shape[1]
    count = next(int(units.count) for units in chip.digital if units.unit.name == unit.name)
    energy, latency, missing, assumptions = cost_of_macs(
        "digital_layers", macs, wider(unit.weights, unit.inputs), count, preset
    )
    return LayerCost(name, unit.name, 0, 0, macs, energy, latency, not_modelled=missing, assumptions=assumptions)


_COSTS: dict[type, Callable[..., LayerCost]] = {AnalogTarget: _on_tiles, DigitalTarget: _on_unit}


def cost_of_macs(
    component: str, macs: int, number_format: str, units: int, preset: Cost
) -> tuple[dict[str, float], float, tuple[str, ...], tuple[str, ...]]:
    """Energy by component of MACs, their time on ``units`` that share the work, parts not modelled, assumptions."""
    missing, assumptions = [f"{component}: area"], []
    energy, latency = {}, 0.0
    mac = preset.mac(number_format)
    if mac is None:
        missing.append(f"{component}: energy of {number_format.upper()} products")
    else:
        energy[component] = macs * float(mac.energy) * PICO
        assumptions += assumed(f"{number_format.upper()} product", mac.energy)
    if preset.unit_throughput is None:
        missing.append(f"{component}: time")
    else:
        latency = macs / (float(preset.unit_throughput) * units)
        assumptions += assumed("products of a unit in a nanosecond", preset.unit_throughput)
    return energy, latency, tuple(missing), tuple(assumptions)


def wider(one: str, other: str) -> str:
    """The wider of two number formats, whose multiplier serves both: floating point, else more bits."""
    return max(one, other, key=lambda number_format: bits_of(number_format) or 100 + int(number_format[2:]))


def assumed(what: str, figure: Quantity) -> list[str]:
    """Sentence of a cost on a figure that has no published source; none on one that has."""
    return [f"{what} {figure:g} {figure.unit}: {figure.source}"] if figure.is_assumed else []
