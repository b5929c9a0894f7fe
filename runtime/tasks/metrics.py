"""Metrics of built-in tasks, from scikit-learn and scipy; those of classes take labels as numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tilewright.runtime.tasks.metric import Metric
from tilewright.targets.errors import InputError

TOP = 5
"""Number of likeliest classes among which the label must be for ``accuracy_of_top``."""


def accuracy(classes: int) -> Metric:
    """Share of examples whose class is predicted, in %; chance is the share of one class of equally many."""

    def right(predictions: Any, labels: Any) -> Any:
        return 100.0 * (np.asarray(predictions) == np.asarray(labels))

    def of(predictions: Any, labels: Any) -> float:
        return 100 * float(_sklearn().accuracy_score(labels, predictions))

    return Metric("accuracy, %", of, 100 / classes, each=right)


def accuracy_of_top(classes: int) -> Metric:
    """Share of examples whose class is among the five likeliest, in %; chance is five of equally many classes.

    Raises ``InputError`` for five classes or fewer, which leave nothing to be wrong about.
    """
    if classes <= TOP:
        raise InputError(f"the model has {classes} classes, and the {TOP} likeliest of them are no question")

    def right(predictions: Any, labels: Any) -> Any:
        return 100.0 * (np.asarray(predictions) == np.asarray(labels)[:, None]).any(axis=1)

    def of(predictions: Any, labels: Any) -> float:
        return float(right(predictions, labels).mean())

    return Metric(f"top-{TOP} accuracy, %", of, 100 * TOP / classes, each=right)


def f1(_classes: int) -> Metric:
    """F1 of the class 1, x 100: harmonic mean of precision and recall; chance is that of a coin (GLUE: MRPC, QQP)."""

    def of(predictions: Any, labels: Any) -> float:
        return 100 * float(_sklearn().f1_score(labels, predictions, zero_division=0.0))

    return Metric("F1 x 100", of, 50.0)


def matthews(_classes: int) -> Metric:
    """Matthews correlation x 100; 0 where all predictions are one class (GLUE: CoLA)."""

    def of(predictions: Any, labels: Any) -> float:
        with warnings.catch_warnings(action="ignore"):  # of one class alone, which is 0
            return 100 * float(_sklearn().matthews_corrcoef(labels, predictions))

    return Metric("Matthews correlation x 100", of, 0.0)


def spearman() -> Metric:
    """Spearman's rank correlation x 100; 0 where all predictions are equal, which rank nothing."""
    return Metric("Spearman correlation x 100", _correlation("spearmanr"), 0.0)


def pearson() -> Metric:
    """Pearson's correlation x 100; 0 where all predictions are equal."""
    return Metric("Pearson correlation x 100", _correlation("pearsonr"), 0.0)


def _correlation(function: str) -> Callable[[Any, Any], float]:
    def of(predictions: Any, labels: Any) -> float:
        from scipy import stats  # takes a second to load

        measure = getattr(stats, function)
        values = np.asarray(predictions, dtype=np.float64)
        if len(values) < 2:
            raise InputError(f"a correlation needs at least 2 examples; there are {len(values)}")
        if np.ptp(values) == 0:
            return 0.0
        with warnings.catch_warnings(action="ignore"):  # of equal labels, whose figure is NaN and so an error
            return 100 * float(measure(values, np.asarray(labels, dtype=np.float64)).statistic)

    return of


def _sklearn() -> Any:
    try:
        import sklearn.metrics
    except ImportError as error:
        raise InputError(
            f"metrics of classes need the package scikit-learn ({error}); install it: pip install 'tilewright[tasks]'"
        ) from error
    return sklearn.metrics
