"""Effects of a target's tiles, and the changes that switch each of them off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilewright.compiler.studies.variations import Variant
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_target
from tilewright.targets.quantity import is_number
from tilewright.targets.spec import AnalogTarget, Chip

_NO_DRIFT = {
    f"device.drift.{law}.{part}": 0
    for law in ("exponent_mean", "exponent_spread")
    for part in ("slope", "intercept", "minimum", "maximum")
} | {f"device.drift.{part}": 0 for part in ("cubic", "quadratic", "linear", "constant")}

EFFECTS: dict[str, dict[str, Any]] = {
    "programming noise": {
        "device.programming.scale": 0,
        "device.programming.device_to_device": 0,
        "device.programming.cycle_to_cycle": 0,
    },
    "drift": _NO_DRIFT,
    "1/f noise": {"device.accumulated_noise.scale": 0},
    "stuck devices": {"stuck_devices": None},
    "short-term read noise": {"tile.short_term_read_noise": 0},
    "IR drop": {"tile.ir_drop.enabled": False},
    "DAC": {"tile.dac": None},
    "ADC": {"tile.adc": None},
    "output noise": {"tile.output_noise": 0},
}
"""Effects by name, with the keys that switch them off on one target or another.

The output noise follows the ADC: without the converter it is kept in other units, unless it is off as well.
"""

GROUPS = {
    "the devices": ("programming noise", "drift", "1/f noise", "stuck devices"),
    "the periphery": ("short-term read noise", "IR drop", "DAC", "ADC", "output noise"),
}
"""Effects that come of the devices, and those of what drives and reads them."""


def ablations(chip: Chip) -> list[Variant]:
    """Variants that tell what each effect costs: all effects on, each off, each alone, each group alone, and none.

    Of a chip with several kinds of tile an effect is switched on all of them. Raises ``InputError`` for a chip without
    tiles.
    """
    if not chip.tiles:
        raise InputError(f"the chip {chip.name} has no tiles, so there is no effect to switch off")
    found = [effects_of(kind.target) for kind in chip.tiles]
    there = [name for name in EFFECTS if any(name in one for one in found)]
    off = {name: {key: value for one in found for key, value in one.get(name, {}).items()} for name in there}
    without = [Variant(f"no {name}", changes) for name, changes in off.items()]
    alone = [Variant(f"only {name}", _together(off, but=[name])) for name in there]
    groups = {group: [name for name in names if name in there] for group, names in GROUPS.items()}
    alone += [Variant(f"only {group}", _together(off, but=names)) for group, names in groups.items() if len(names) > 1]
    return [Variant("all effects", {}), *without, *alone, Variant("no effect", _together(off))]


def _together(off: Mapping[str, Mapping[str, Any]], but: Sequence[str] = ()) -> dict[str, Any]:
    return {key: value for name, changes in off.items() if name not in but for key, value in changes.items()}


def effects_of(target: AnalogTarget) -> dict[str, dict[str, Any]]:
    """Effects that a target's tiles have, with the changes that switch each off."""
    content = target.model_dump(mode="json")
    found = {}
    for name, changes in EFFECTS.items():
        own = {key: value for key, value in changes.items() if _differs(content, key, value)}
        if own and load_target(target, own) != target:
            found[name] = own
    if "ADC" in found and target.tile.output_noise.unit == "LSB":  # steps of a converter that is not there
        found["ADC"] = found["ADC"] | {"tile.output_noise": _as_sum(target)}
    return found


def _differs(content: Mapping[str, Any], key: str, value: Any) -> bool:
    """True if a target has a key, and another value there."""
    node: Any = content
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return bool((node["value"] if is_number(node) else node) != value)


def _as_sum(target: AnalogTarget) -> dict[str, Any]:
    """Output noise in units of the sum, as large as it is in steps of the ADC."""
    source = f"{target.tile.output_noise:g} LSB of the ADC that is left out"
    return {"value": target.tile.output_noise_deviation, "unit": "1", "source": source}
