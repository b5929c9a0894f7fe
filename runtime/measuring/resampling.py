"""Bootstrap resamples of examples, and a metric's figures on them.

A resample takes as many examples as there are, each drawn from all of them (Efron & Tibshirani 1993, "An introduction
to the bootstrap"). Which ones depends on the number of examples and the resample's number alone: so chips, the digital
reference, other plans and other metrics that are measured on the same examples are compared on the same resamples.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.philox import random_words
from tilewright.runtime.measuring.measurements import MOST_RESAMPLES
from tilewright.runtime.tasks import Metric
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole

RESAMPLES = 200
FEWEST = 39
"""Fewest resamples of which an interval is made: one in 40 lies above the largest."""
DIGITS = 9
"""Digits that a figure on a resample is kept with."""
CLOSE = 1e-4
"""Relative difference that the mean of a metric's figures of examples may have from its figure."""

Figures = list[float | None]
"""A metric's figure on each resample; None where it has none there."""


def check_resamples(number: Any) -> None:
    """Raise ``InputError`` unless so many resamples can be asked for: none, or enough for an interval."""
    if number != 0 or isinstance(number, bool):
        check_whole("resamples (none is 0)", number, least=FEWEST, most=MOST_RESAMPLES)


def resamples(examples: int, count: int) -> Iterator[NDArray[np.int64]]:
    """Numbers of the examples of each of ``count`` resamples [examples]. The first ones do not depend on ``count``."""
    key, places = Draws(0, 0).key("resamples", examples), torch.zeros(1, 3, dtype=torch.int64)
    for number in range(count):
        places[0, 0] = number
        words = random_words(key, places, -(-examples // 4)).flatten()[:examples]
        yield (words * examples >> 32).numpy()  # of 32 bits: each example within a part in 2³² / examples


def figures_on_resamples(metric: Metric, predictions: Any, labels: Any, figure: float, count: int) -> Figures | None:
    """The metric's figure on each of ``count`` resamples of the examples, None where it fails or is not finite.

    figure: that of all examples. None in place of all if none are asked for, or predictions are not one an example.
    Raises ``InputError`` if the metric's form by example fails, or its mean is not the figure.
    """
    if not count or len(predictions) != len(labels):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of resamples with one class alone, which have no figure
        if metric.each is None:
            found = [
                _figure(metric, _taken(predictions, numbers), _taken(labels, numbers))
                for numbers in resamples(len(labels), count)
            ]
        else:
            by_example = _by_example(metric, predictions, labels, figure)
            found = [float(by_example[numbers].mean()) for numbers in resamples(len(labels), count)]
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in found]


def _figure(metric: Metric, predictions: Any, labels: Any) -> float:
    try:
        return metric(predictions, labels)
    except InputError:
        return math.nan


def _by_example(metric: Metric, predictions: Any, labels: Any, figure: float) -> NDArray[np.float64]:
    assert metric.each is not None
    try:
        values = np.asarray(metric.each(predictions, labels), dtype=np.float64)
    except Exception as error:
        raise InputError(f"metric {metric.name!r} fails by example: {error}") from error
    if values.shape != (len(labels),):
        raise InputError(f"metric {metric.name!r} gives {values.shape} figures of {len(labels)} examples")
    if math.isfinite(figure) and not math.isclose(values.mean(), figure, rel_tol=CLOSE, abs_tol=CLOSE):
        raise InputError(
            f"metric {metric.name!r} has figures of examples with the mean {values.mean():.6g}, and its figure is "
            f"{figure:.6g}: leave out each= if the figure is no mean"
        )
    return values


def _taken(values: Any, numbers: NDArray[np.int64]) -> Any:
    """Values of these examples."""
    if isinstance(values, Tensor):
        return values[torch.from_numpy(numbers)]
    return values[numbers] if isinstance(values, np.ndarray) else [values[number] for number in numbers.tolist()]
