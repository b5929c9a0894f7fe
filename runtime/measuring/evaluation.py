"""Accuracy over time as ``evaluate`` finds it, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from statistics import mean
from typing import Any

from tilewright.runtime.measuring.iso_accuracy import Verdict
from tilewright.runtime.measuring.resampling import FEWEST
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.measuring.uncertainty import Estimate, Interval, student


@dataclass(frozen=True)
class TimePoint:
    """The metric at one time: values, one a chip, ``seconds`` after programming.

    time, values: as asked for, and the figure of each chip. seconds: after programming. over_examples, over_both: 95 %
    intervals of the mean, as of ``Estimate``. difference: mean less the digital reference's figure, both on the same
    examples. normalised: A*, 1 for the digital reference and 0 for chance; None if nobody knows chance, or the digital
    reference is no better. iso_accuracy: "holds", "fails" or "cannot be told", by the interval of A* over both; None
    where there is none.
    """

    time: str
    seconds: float
    values: list[float]
    over_examples: Interval | None = None
    over_both: Interval | None = None
    difference: Estimate | None = None
    normalised: Estimate | None = None
    iso_accuracy: Verdict | None = None

    @property
    def mean(self) -> float:
        """Mean over chips."""
        return mean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean; None from one chip."""
        return standard_error(self.values)


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over time, as ``evaluate`` measures it.

    metric: the task's figure, in its own unit. examples: of the data. digital: the figure of the digital reference.
    points: the same on ``repeats`` chips of ``seed``, a point a time; where chips were added until enough was known,
    on so many at most. first_chip: number of the first of them.

    task: its name. seed, repeats: chips. drift_compensation: True if drift was compensated. chance: figure of
    predictions that know nothing of the inputs; None if nobody knows. larger_is_better: False for an error. data: hash
    of the examples and the metric. digital_over_examples: 95 % interval of ``digital``. resamples: of the examples, on
    which intervals rest; 0 where measurements have none. left_out: how many of them had no figure. iso: A* that
    iso-accuracy asks for. iso_figure: figure whose A* is that; None where there is no A*. adapter, adapter_sha256:
    name and hash of the plan's adapter that ran beside the chips; None for the base alone. further_notes:
    sentences on what a seed names, and on an evaluation that was not kept.
    """

    task: str
    metric: str
    chance: float | None
    larger_is_better: bool
    data: str
    examples: int
    seed: int
    repeats: int
    drift_compensation: bool
    digital: float
    points: list[TimePoint]
    digital_over_examples: Interval | None = None
    resamples: int = 0
    left_out: int = 0
    iso: float = 0.99
    iso_figure: float | None = None
    adapter: str | None = None
    adapter_sha256: str | None = None
    further_notes: list[str] = field(default_factory=list)
    first_chip: int = 0

    @property
    def notes(self) -> list[str]:
        """Sentences on the uncertainty: what decides it, what is not known of it; and those of ``further_notes``."""
        return [*self._on_uncertainty(), *self.further_notes]

    def _on_uncertainty(self) -> Iterator[str]:
        if self.examples == 1:
            yield "one example: how much examples differ is unknown"
        elif not self.resamples:
            yield "what other examples would give is unknown: not every measurement has figures on resamples"
        if self.left_out:
            few = "; too few are left for intervals" if self.resamples - self.left_out < FEWEST else ""
            yield f"the metric has no figure on {self.left_out} of {self.resamples} resamples, which are left out{few}"
        if self.repeats == 1:
            yield "one chip: how much chips differ is unknown"
            return
        for point in reversed(self.points):
            error, data = point.standard_error, point.over_examples
            of_chips = student(len(point.values) - 1) * error if error is not None else 0.0
            if data is not None and data.half_width > of_chips:
                yield (
                    f"{self.examples} examples decide more than {len(point.values)} chips: ± {data.half_width:.2f} "
                    f"from the data, ± {of_chips:.2f} from the chips ({point.time})"
                )
                return

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, with means and standard errors."""
        content = asdict(self)
        del content["further_notes"]
        content["points"] = [
            {**asdict(point), "mean": point.mean, "standard_error": point.standard_error} for point in self.points
        ]
        return {**content, "notes": self.notes}

    def __repr__(self) -> str:
        """A line for a terminal."""
        points = ", ".join(f"{point.time} {point.mean:.2f}" for point in self.points)
        return f"Evaluation({self.metric}: digital {self.digital:.2f}; {points}; {self.repeats} chip(s))"
