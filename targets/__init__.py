"""Hardware: validated descriptions and conductance statistics. Imports no other part."""

from tilewright.targets.errors import InputError
from tilewright.targets.loading import (
    Target,
    load_attention_unit,
    load_chip,
    load_cost,
    load_document,
    load_programming,
    load_target,
    parse_target,
    target_names,
)
from tilewright.targets.spec import AnalogTarget, AttentionUnit, Chip, Cost, DigitalTarget, Programming

__all__ = [
    "AnalogTarget",
    "AttentionUnit",
    "Chip",
    "Cost",
    "DigitalTarget",
    "InputError",
    "Programming",
    "Target",
    "load_attention_unit",
    "load_chip",
    "load_cost",
    "load_document",
    "load_programming",
    "load_target",
    "parse_target",
    "target_names",
]
