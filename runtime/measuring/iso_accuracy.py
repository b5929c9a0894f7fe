"""Iso-accuracy: is A* what is wanted, such as 99 %? And the figure where it would be."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.runtime.measuring.uncertainty import Interval
from tilewright.runtime.tasks import Metric
from tilewright.targets.errors import InputError

Verdict = Literal["holds", "fails", "cannot be told"]
STEPS = 200
"""Most halvings of an interval of floats."""


def verdict(normalised: Interval, iso: float) -> Verdict:
    """Verdict on A*: "holds" if its interval lies at ``iso`` or above, "fails" if below, else "cannot be told"."""
    if normalised.low >= iso:
        return "holds"
    return "fails" if normalised.high < iso else "cannot be told"


def iso_figure(metric: Metric, digital: float, iso: float) -> float | None:
    """Figure whose A* is ``iso``; None where chance is not known, or the digital reference is no better than it."""
    if metric.chance is None or not metric.is_better_than_chance(digital) or not math.isfinite(digital):
        return None
    low, high = metric.chance, digital  # A* is 0 and 1 there, and monotone between
    try:
        for _ in range(STEPS):
            middle = low + (high - low) / 2
            if middle in (low, high):
                break
            if metric.normalised(middle, digital) < iso:
                low = middle
            else:
                high = middle
    except InputError:
        return None
    return high


def normalised_values(metric: Metric, values: NDArray[np.float64], digital: NDArray[np.float64]) -> NDArray[np.float64]:
    """A* of figures [chips, resamples] against the digital reference's on the same resamples [resamples].

    NaN where there is none.
    """

    def one(value: float, reference: float) -> float:
        try:
            return metric.normalised(value, reference)
        except InputError:
            return math.nan

    return np.array([list(map(one, line, digital.tolist())) for line in values.tolist()]).reshape(values.shape)
