"""The result of an assignment: a plan, what was predicted of it, and all that was tried on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tilewright.compiler.sensitivity.measure import CACHE_FILE, Sensitivity
from tilewright.runtime.measuring.measurements import add_measurements
from tilewright.runtime.plan.decisions import AccuracyRecord, AssignmentRecord, MeasuredRecord
from tilewright.runtime.plan.plan import Plan


@dataclass(frozen=True)
class Trial:
    """One assignment, measured on labelled data.

    choice: layer -> target. predicted: figures by name. value, error: the task's figure, mean over chips of ``seed``
    and its standard error. normalised: A*, the mean in parts of the digital reference's lead over chance; lower: its
    confidence bound, which must not be below what was asked for.

    seed: of the chips. passes: True if ``lower`` is what was asked for.
    """

    choice: dict[str, str]
    predicted: dict[str, float]
    seed: int
    value: float
    error: float
    normalised: float
    lower: float
    passes: bool


@dataclass(frozen=True)
class Assigned:
    """A plan in which every layer has its target.

    choice: layer -> target. predicted: figures by name, in nJ, ns, tiles, MACs and mm2; the loss without unit.
    compared: the same of other ways to choose, None where they find nothing. original: the plan whose options there
    were to choose from. sensitivity: whose figures are the losses. trials: all that was measured on labelled data, the
    confirmation last, where an accuracy was asked for.

    plan: with the chosen targets in force.
    """

    plan: Plan
    choice: dict[str, str]
    predicted: dict[str, float]
    compared: dict[str, dict[str, float] | None]
    original: Plan
    sensitivity: Sensitivity
    trials: list[Trial] = field(default_factory=list)

    @property
    def record(self) -> AssignmentRecord:
        """Part of the plan about its assignment: what was asked for, predicted and measured."""
        assert self.plan.document.assignment is not None
        return self.plan.document.assignment

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the plan as a folder, with the sensitivities kept for its options, which are the original's.

        Raises ``InputError`` if it cannot be written there.
        """
        saved = self.plan.save(folder, overwrite=overwrite)
        if self.original.folder is not None:
            add_measurements(self.original.folder / CACHE_FILE, saved / CACHE_FILE)
        return saved

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``: all but the plans."""
        return {
            "assignment": self.record.model_dump(mode="json"),
            "targets": self.choice,
            "sensitivity": self.sensitivity.to_json(),
            "trials": [asdict(trial) for trial in self.trials],
        }

    def __repr__(self) -> str:
        """A line for a terminal."""
        on = ", ".join(f"{count} layers on {target}" for target, count in Counter(self.choice.values()).most_common())
        return f"Assigned({self.plan.document.model.name!r}: {on}; predicted loss {self.predicted['loss']:.3g})"


def recorded(assigned: Assigned, **found: MeasuredRecord | AccuracyRecord) -> Assigned:
    """An assignment with what was found out about its plan in the record: ``measured`` or ``accuracy``."""
    record = assigned.record.model_copy(update=found)
    document = assigned.plan.document.model_copy(update={"assignment": record})
    return replace(assigned, plan=replace(assigned.plan, document=document))
