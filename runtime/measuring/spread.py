"""Spread of repeats of one measurement."""

from __future__ import annotations

import math
from statistics import stdev


def standard_error(values: list[float]) -> float | None:
    """Standard error of the mean; None from a single value."""
    return deviation(values) / math.sqrt(len(values)) if len(values) > 1 else None


def deviation(values: list[float]) -> float:
    """Standard deviation of two values or more; NaN where one of them is not finite."""
    return stdev(values) if all(map(math.isfinite, values)) else math.nan
