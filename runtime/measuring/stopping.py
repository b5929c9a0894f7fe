"""Rule for the number of chips: as many as make an error small, or decide iso-accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Literal

from tilewright.runtime.measuring.evaluation import TimePoint
from tilewright.runtime.measuring.spread import deviation
from tilewright.targets.errors import InputError
from tilewright.targets.quantity import is_finite

ISO = "iso"
"""Word for: until iso-accuracy is decided."""
FEWEST = 3
"""Chips of which a spread is told at least."""
GROWTH = 2
"""Largest factor by which the number of chips grows at once: the spread of few chips is known badly."""


@dataclass(frozen=True)
class Until:
    """Rule by which chips are added until something is known.

    kind: a standard error in the metric's unit, one in parts of the mean, or iso-accuracy. error: wanted, of the first
    two. fewest, most: chips of each time.
    """

    kind: Literal["absolute", "relative", "iso"]
    error: float
    fewest: int
    most: int

    def more(self, points: Mapping[str, TimePoint]) -> dict[str, int]:
        """Numbers of chips to go on with, for those times where not enough is known yet.

        They depend on what was measured alone, and so are the same whatever the number of workers.
        """
        wanted = {time: min(self.most, self._wanted(point)) for time, point in points.items()}
        return {time: count for time, count in wanted.items() if count > len(points[time].values)}

    def _wanted(self, point: TimePoint) -> int:
        have = len(point.values)
        if self.kind == "iso":
            return have * GROWTH if point.iso_accuracy == "cannot be told" else have
        error = self.error * (abs(mean(point.values)) if self.kind == "relative" else 1.0)
        if have < 2:
            return self.most
        spread = deviation(point.values)
        if spread <= error * math.sqrt(have):
            return have
        ratio = spread / error if error > 0 else math.inf
        return max(have + 1, math.ceil(ratio**2)) if ratio < math.sqrt(have * GROWTH) else have * GROWTH


def parse_until(given: float | str | None, most: int, fewest: int = FEWEST) -> Until | None:
    """Rule of a standard error such as 0.1 or "1%" (of the mean), or of "iso"; None for None.

    Raises ``InputError`` for anything else.
    """
    if given is None:
        return None
    if most < fewest:
        raise InputError(
            f"until_error begins with {fewest} chips (fewest), and {most} are allowed; allow more, or fewer"
        )
    text = str(given).strip()
    if text == ISO:
        return Until("iso", 0.0, fewest, most)
    try:
        error = float(text.removesuffix("%"))
    except ValueError:
        error = math.nan
    if isinstance(given, bool) or not is_finite(error) or error <= 0:
        raise InputError(
            f"until_error is {given!r}; it is a standard error above 0 in the metric's unit, such as 0.1, or of the "
            f"mean, such as 1%, or {ISO}"
        )
    return (
        Until("relative", error / 100, fewest, most) if text.endswith("%") else Until("absolute", error, fewest, most)
    )
