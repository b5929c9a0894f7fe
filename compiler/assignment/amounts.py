"""Budgets as people write them: "60uJ", "250 us", "40", "1.5e9"; figures as they read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from tilewright.compiler.assignment.problem import check_measures
from tilewright.compiler.engineering import figure_text
from tilewright.runtime.plan.decisions import UNITS
from tilewright.targets.errors import InputError, nearest

SCALES: dict[str, dict[str, float]] = {
    "nJ": {"pJ": 1e-3, "nJ": 1.0, "uJ": 1e3, "µJ": 1e3, "mJ": 1e6, "J": 1e9},
    "ns": {"ps": 1e-3, "ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9},
    "mm2": {"mm2": 1.0},
    "1": {"": 1.0, "%": 1e-2},
    "tile": {"": 1.0, "tiles": 1.0},
    "MAC": {"": 1.0, "M": 1e6, "G": 1e9},
}
"""Units that an amount may be written in, with their size, by the unit of the figure."""
EXAMPLES = {"nJ": "60uJ", "ns": "250us", "mm2": "40mm2", "1": "0.01", "tile": "40", "MAC": "1e9"}
_AMOUNT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]{1,3})?)\s*([A-Za-zµ%]*[0-9]?)\s*")


def parse_budgets(given: Mapping[str, float | str]) -> dict[str, float]:
    """Budgets in the units of ``UNITS``. Raises ``InputError`` for unknown names, units, and what is below zero."""
    check_measures(given)
    return {name: _amount(name, value) for name, value in given.items()}


def _amount(name: str, value: float | str) -> float:
    scales = SCALES[UNITS[name]]
    if isinstance(value, str):
        found = _AMOUNT.fullmatch(value)
        number, unit = (float(found[1]), found[2]) if found else (math.nan, "")
        allowed = [known for known in scales if known]
        if found and unit not in scales:
            known = nearest(unit, allowed) if unit and allowed else f"write it with one of: {', '.join(allowed)}"
            raise InputError(f"the budget of {name} is {value!r}, whose unit is not known; {known}")
        amount = number * scales.get(unit, 1.0)
    else:
        amount = float(value)
    if not (math.isfinite(amount) and amount >= 0):
        raise InputError(
            f"the budget of {name} is {value!r}; allowed is a number from 0, such as {EXAMPLES[UNITS[name]]}"
        )
    return amount


def readable(name: str, value: float) -> str:
    """A figure of ``UNITS`` with four digits and its unit, in the prefix that fits."""
    return figure_text(value, UNITS[name])
