"""Spread of repeats of one measurement."""

from __future__ import annotations

import math
from statistics import stdev


def standard_error(values: list[float]) -> float | None:
    """Standard error of the mean; None from a single value."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
