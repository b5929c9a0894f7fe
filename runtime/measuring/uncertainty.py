"""Uncertainty of a mean over chips on a set of examples: of the examples, of the chips, and of both.

Every chip is measured on every example, a crossed design. With chips c, and resamples of the examples r that all chips
share (``resampling``), let v_c be a chip's figure on all examples and v_cr on a resample.

Over examples: the percentile interval of the means over chips of v_cr (Efron & Tibshirani 1993, ch. 13): other
examples, these very chips. A difference or ratio to the digital reference is formed within each resample, so it is
paired.

Over both: other examples and other chips. The variance of the mean has parts of chips, of examples, and of what
examples do on one chip and not on another:

    A = s²(v_c) / C                                            chips, and both together
    B = ((end - mean) / 1.96)²                                 examples, and both together; by the end over examples
    I = sum over c of the variance over r of v_cr - mean_c v_cr, / (C (C - 1))       both together
    T = max(B, A + (1 - I / variance over r of mean_c v_cr) B)

and the end is the mean ± t √T. Each end has its own B, so a skewed interval over examples stays skewed. I is counted
once, as in two-way analysis of variance; a bootstrap of both counts it twice and is conservative (Owen 2007, "The
pigeonhole bootstrap", Ann. Appl. Stat. 1, 386). Student's t has degrees of freedom by Satterthwaite (1946):
T² / (A² / (C - 1) + (T - A)² / (min(examples, resamples) - 1)). A bootstrap of five chips is too narrow by its nature:
it divides by C where s² divides by C - 1, and has normal tails. The figures of chips are taken for normal, as by any t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from tilewright.runtime.measuring.resampling import FEWEST
from tilewright.runtime.measuring.spread import standard_error

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Interval of 95 % confidence. low, high: its ends."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of its width, as written behind ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Estimate:
    """Mean over chips, with what is uncertain about it.

    mean: over chips. standard_error: of it, over chips; None from one chip. over_examples: what other examples would
    give on these chips; None where nothing is known of resamples. over_both: what other examples on other chips would
    give; None too from one chip.
    """

    mean: float
    standard_error: float | None
    over_examples: Interval | None = None
    over_both: Interval | None = None


def estimated(values: Sequence[float], resampled: NDArray[np.float64], examples: int) -> Estimate:
    """Estimate of the mean of figures of chips.

    values: one a chip, on all examples. resampled: the chips' figures on the resamples [chips, resamples], all finite;
    with too few of these nothing is said of examples.
    """
    value, error = mean(values), standard_error(list(values))
    if resampled.shape[1] < FEWEST or not math.isfinite(value):
        return Estimate(value, error)
    means = resampled.mean(axis=0)
    tails = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    low, high = np.quantile(means, tails, method="weibull").tolist()  # what is right on average for any law
    if error is None:
        return Estimate(value, error, Interval(low, high))
    chips, count = resampled.shape
    of_both = float((resampled - means).var(axis=1, ddof=1).sum()) / (chips * (chips - 1))
    of_means = float(means.var(ddof=1))
    part = max(0.0, 1 - of_both / of_means) if of_means else 0.0
    freedom = chips - 1, max(1, min(examples, count) - 1)
    below, above = (_arm(error**2, max(0.0, arm), part, freedom) for arm in (value - low, high - value))
    return Estimate(value, error, Interval(low, high), Interval(value - below, value + above))


def _arm(of_chips: float, arm: float, part: float, freedom: tuple[int, int]) -> float:
    """Distance of an end over both from the mean.

    of_chips: variance of the mean over chips. arm: distance of the end over examples. part: of its variance that is not
    of chips and examples together. freedom: degrees of freedom of chips and of examples.
    """
    of_examples = (arm / student(math.inf)) ** 2
    total = max(of_examples, of_chips + part * of_examples)
    slack = of_chips**2 / freedom[0] + (total - of_chips) ** 2 / freedom[1]
    return student(total**2 / slack) * math.sqrt(total) if slack else 0.0


def student(freedom: float) -> float:
    """Quantile of Student's t that 95 % lie within."""
    from scipy.stats import t  # takes a second to load

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))
