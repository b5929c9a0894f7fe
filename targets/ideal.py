"""Ideal tiles: those of a target without anything wrong with them."""

from __future__ import annotations

from tilewright.targets.loading import load_programming
from tilewright.targets.spec import AnalogTarget, IdealDevice


def without_noise(target: AnalogTarget) -> AnalogTarget:
    """A target's tiles with ideal devices and no converters."""
    tile = target.tile
    quiet = {
        "dac": None,
        "adc": None,
        "output_noise": type(tile.output_noise)(0, "1", "definition of ideal"),
        "short_term_read_noise": type(tile.short_term_read_noise)(0, "1", "definition of ideal"),
        "ir_drop": None,
        "scale_precision": "float32",
    }
    return target.model_copy(
        update={
            "device": IdealDevice(statistics="ideal"),
            "stuck_devices": None,
            "programming": load_programming("direct"),
            "tile": tile.model_copy(update=quiet),
            "drift_compensation": "none",
        }
    )
