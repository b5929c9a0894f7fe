"""Metrics: figures of what was predicted for labelled examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_flags
from tilewright.targets.shown import shown

Of = Callable[[Any, Any], Any]
"""Function of predictions and labels, one an example each."""


@dataclass(frozen=True)
class Metric:
    """A metric: a figure of predictions and labels, and how it is to be read.

    name: with its unit, such as "accuracy, %". of: function from predictions and labels, one an example, to the figure.
    chance: figure of predictions that know nothing of the inputs; None if nobody knows, and then there is no A*.
    larger_is_better: False for an error or a perplexity. each: function from predictions and labels to a number an
    example whose mean is the figure, where it has such a form. version: to be raised when ``of`` changes: figures of
    another version are other measurements. in_logarithms: True if A* is of the figure's logarithm, as of a perplexity,
    whose chance is thousands of times its good values.
    """

    name: str
    of: Of
    chance: float | None = None
    larger_is_better: bool = True
    each: Callable[[Any, Any], Sequence[float]] | None = None
    version: int = 1
    in_logarithms: bool = False

    def __post_init__(self) -> None:
        """Raise ``InputError`` for what is no metric."""
        if not callable(self.of) or not (self.each is None or callable(self.each)):
            raise InputError(f"metric {shown(self.name)} needs functions of predictions and labels")
        check_flags(larger_is_better=self.larger_is_better, in_logarithms=self.in_logarithms)
        known = isinstance(self.chance, int | float) and math.isfinite(self.chance)
        if self.chance is not None and not known:
            raise InputError(
                f"chance of metric {shown(self.name)} is {shown(self.chance)}; it must be a number, or None"
            )

    def __call__(self, predictions: Any, labels: Any) -> float:
        """The figure. Raises ``InputError`` if ``of`` fails, or gives what is no number."""
        try:
            return self.figure(self.of(predictions, labels))
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"metric {self.name!r} fails on the predictions: {error}") from error

    def figure(self, value: Any) -> float:
        """The figure that a value is, such as a tensor of one number. Raises ``InputError`` for what is no number."""
        try:
            number = None if isinstance(value, str | bytes) else float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            number = None
        if number is None or math.isnan(number):
            given = "NaN" if number is not None else f"{shown(value)}, which is no number,"
            raise InputError(f"metric {self.name!r} gives {given} for the predictions")
        return number

    def normalised(self, value: float, digital: float) -> float:
        """Normalised figure A* = 1 - (ε - ε_FP)/(ε_chance - ε_FP): 1 for ``digital``, 0 for chance (Rasch 2023).

        Of the figure's logarithm where the metric says so. Raises ``InputError`` where chance is not known, the digital
        reference is no better than chance, or a figure has no logarithm.
        """
        if self.chance is None:
            raise InputError(f"A* of metric {self.name!r} needs to know chance: give Metric(..., chance=...)")
        if not self.is_better_than_chance(digital):
            raise InputError(
                f"A* of metric {self.name!r} is of a network that is better than chance: the digital reference gives "
                f"{digital:g}, and chance is {self.chance:g}"
            )
        value, digital, chance = (self._scaled(figure) for figure in (value, digital, self.chance))
        return (value - chance) / (digital - chance)

    def is_better_than_chance(self, figure: float) -> bool:
        """True if a figure is better than chance; never where chance is not known."""
        if self.chance is None:
            return False
        return figure > self.chance if self.larger_is_better else figure < self.chance

    def _scaled(self, figure: float) -> float:
        if not self.in_logarithms:
            return figure
        if figure <= 0:
            raise InputError(f"A* of metric {self.name!r} is of logarithms, and the figure {figure:g} has none")
        return math.log(figure)
