"""Chips against the digital reference, on the same examples and on the same resamples of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.runtime.measuring.evaluation import TimePoint
from tilewright.runtime.measuring.iso_accuracy import normalised_values, verdict
from tilewright.runtime.measuring.measurements import Measured
from tilewright.runtime.measuring.uncertainty import CONFIDENCE, Estimate, Interval, estimated
from tilewright.runtime.tasks import Metric


class Comparison:
    """Comparison of chips at several times with the digital reference.

    resamples: that all measurements have figures on, at most those asked for. left_out: those on which one of them has
    none. digital_over_examples: interval of the digital reference's figure; None where resamples are too few.
    """

    def __init__(
        self, metric: Metric, examples: int, digital: Measured, chips: Mapping[str, Sequence[Measured]], resamples: int
    ) -> None:
        """Take what was measured. chips: by time. resamples: asked for."""
        self.metric, self.examples, self.digital = metric, examples, digital.value
        every = [digital, *(one for found in chips.values() for one in found)]
        # resamples of one example are all that example, which tells nothing of others
        self.resamples = min(resamples if examples > 1 else 0, *(len(one.resampled or ()) for one in every))
        figures = np.array([_numbers(one, self.resamples) for one in every]).reshape(len(every), self.resamples)
        usable = np.isfinite(figures).all(axis=0)
        self.left_out = self.resamples - int(usable.sum())
        self._values = {time: [one.value for one in found] for time, found in chips.items()}
        self._of_digital, *rows = figures[:, usable]
        lines = iter(rows)
        self._of_chips = {time: np.array([next(lines) for _ in found]) for time, found in chips.items()}
        self.digital_over_examples, _ = self._intervals([self.digital], self._of_digital[np.newaxis])

    def point(self, time: str, seconds: float, iso: float) -> TimePoint:
        """Figures at one of the times. iso: A* that iso-accuracy asks for."""
        values, of_chips = self._values[time], self._of_chips[time]
        over_examples, over_both = self._intervals(values, of_chips)
        lost = estimated([value - self.digital for value in values], of_chips - self._of_digital, self.examples)
        normalised = self._normalised(values, of_chips)
        both = normalised.over_both if normalised is not None else None
        holds = verdict(both, iso) if both is not None else None
        return TimePoint(time, seconds, values, over_examples, over_both, lost, normalised, holds)

    def _intervals(self, values: list[float], of_chips: NDArray[np.float64]) -> tuple[Interval | None, Interval | None]:
        """Intervals of the mean over examples and over both; of the geometric mean for a metric in logarithms.

        Perplexities of chips differ by factors: around their mean an interval would reach below nothing.
        """
        in_logarithms = self.metric.in_logarithms and min(values) > 0 and bool((of_chips > 0).all())
        if not in_logarithms:
            found = estimated(values, of_chips, self.examples)
            return found.over_examples, found.over_both
        found = estimated(np.log(values).tolist(), np.log(of_chips), self.examples)
        ends = (found.over_examples, found.over_both)
        over_examples, over_both = (one and Interval(math.exp(one.low), math.exp(one.high)) for one in ends)
        return over_examples, over_both

    def _normalised(self, values: list[float], of_chips: NDArray[np.float64]) -> Estimate | None:
        """Estimate of A*; None where it is not known: of a chip, of chance, of a network no better than chance.

        Without intervals where the digital reference is no better than chance on more resamples than an interval
        leaves out at an end.
        """
        known = normalised_values(self.metric, np.array(values)[:, np.newaxis], np.array([self.digital]))[:, 0]
        if not np.isfinite(known).all():
            return None
        resampled = normalised_values(self.metric, of_chips, self._of_digital)
        usable = resampled[:, np.isfinite(resampled).all(axis=0)]
        if usable.shape[1] < (1 - (1 - CONFIDENCE) / 2) * resampled.shape[1]:
            usable = usable[:, :0]
        return estimated(known.tolist(), usable, self.examples)

    @property
    def notes(self) -> list[str]:
        """Sentence on a digital reference that is no better than chance, if it is not."""
        chance = self.metric.chance
        if chance is None or self.metric.is_better_than_chance(self.digital):
            return []
        return [
            f"the digital reference ({self.digital:.4g}) is no better than chance ({chance:.4g}), so there is no A*: "
            "the network has not learnt the task, or has no head for it"
        ]


def _numbers(found: Measured, count: int) -> list[float]:
    """Figures on the first ``count`` resamples; NaN where there is none."""
    return [math.nan if figure is None else figure for figure in (found.resampled or [])[:count]]
