"""Decisions for a plan, the reasons for them, and what was measured of it: each with its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from tilewright.runtime.plan.types import Natural, Positive, Record, Shape, SixDigits


class Figure(Record):
    """A number that decided, with its unit; to six digits, which is what math libraries agree on.

    name: what was counted or measured. value: of it. unit: as text; "1" for ratios.
    """

    name: str
    value: SixDigits
    unit: str


class Alternative(Record):
    """A choice that was not made, and its figures."""

    choice: str
    figures: list[Figure]


STEPS = (
    "canonicalize", "fold_batch_norms", "unfold_convolutions", "write_as_linear", "find_layers", "fuse_shared_inputs",
    "find_products", "locate_samples", "route_attention", "assign_targets", "choose_programming", "observe",
    "rescale_channels", "fold_channel_scales", "clip_weights", "calibrate", "partition", "place", "account_for_weights",
    "verify",
)  # fmt: skip
"""Steps of the compiler in running order, by the names under which they are told of, and under which they decide."""


class Decision(Record):
    """One choice of one step of the compiler, and why.

    choice, reason: in words. figures: numbers that decided. rejected: choices that were not made, with theirs.
    """

    made_by: str = Field(description="step of the compiler")
    subject: str = Field(description="layer, matmul or other thing that the decision is about")
    use: Natural | None = Field(None, description="number of one use of a layer that has several; null: all uses")
    choice: str
    reason: str
    figures: list[Figure] = Field([])
    rejected: list[Alternative] = Field([])

    @classmethod
    def among(
        cls,
        candidates: Mapping[str, list[Figure]],
        best: str,
        *,
        made_by: str,
        subject: str,
        reason: str,
        use: int | None = None,
        said: str | None = None,
    ) -> Decision:
        """Decision for one of several candidates, the others rejected.

        candidates: each one's figures, by its name. said: the choice in words, where that is not the name itself.
        """
        return cls(
            made_by=made_by,
            subject=subject,
            use=use,
            choice=said or best,
            reason=reason,
            figures=candidates[best],
            rejected=[
                Alternative(choice=name, figures=figures) for name, figures in candidates.items() if name != best
            ],
        )

    @property
    def about(self) -> str:
        """Name for people of the layer or product, and use, that the decision is about."""
        return self.subject if self.use is None else f"{self.subject} use {self.use}"


def in_running_order(decisions: Iterable[Decision]) -> list[Decision]:
    """Decisions in the order of the steps that made them; those of one step, and of unknown ones, as they come."""
    places = {name: place for place, name in enumerate(STEPS)}
    return sorted(decisions, key=lambda decision: places.get(decision.made_by, len(places)))


class Check(Record):
    """Distance of the plan on the ideal target from the original network, run by another tool."""

    against: str = Field(description="tool that ran the original, with its version")
    sizes: list[dict[str, Shape]] = Field(description="shapes of the inputs that were compared, by name")
    largest_relative_error: float = Field(ge=0)
    tolerance: float = Field(gt=0)


class Verification(Record):
    """Distance of the graph from the model on the ideal target, after each pass."""

    pass_name: str
    largest_relative_error: float = Field(ge=0)


class AccuracyRecord(Record):
    """Accuracy that an assignment was measured at, on chips that had no part in choosing it."""

    metric: str
    examples: Natural
    digital: float
    mean: float
    standard_error: float
    normalised: float = Field(description="A* of the mean: 1 for the digital reference, 0 for chance")
    lower_bound: float = Field(description="lower bound of A*, one-sided, with ``confidence``, over chips")
    wanted: float
    confidence: float
    seconds: float = Field(description="seconds after programming")
    repeats: Positive
    seed: int


Measure = Literal["loss", "energy", "latency", "tiles", "digital-macs", "area"]
Amounts = dict[Measure, SixDigits]
"""Figures of an assignment, in the units of ``UNITS``."""
UNITS: dict[str, str] = {
    "loss": "1", "energy": "nJ", "latency": "ns", "tiles": "tile", "digital-macs": "MAC", "area": "mm2",
}  # fmt: skip
"""Unit of each measure."""


class MeasuredRecord(Record):
    """Divergence of an assigned plan, run on chips that had no part in choosing it."""

    divergence: SixDigits = Field(description="divergence ‖ŷ-y‖²/‖y‖² from the digital reference, mean over chips")
    standard_error: SixDigits | None = Field(description="standard error of the mean divergence; null for one chip")
    chips: Positive
    seed: int


class AssignmentRecord(Record):
    """Joint choice of the layers' targets, what was predicted, and what came out.

    method: exact, macs, rank or search. minimise: measure that is least. budgets: largest amounts, by measure.
    predicted: amounts of this choice. accuracy: what labelled data showed; null where none was asked for.
    """

    method: str
    criterion: str = Field(description="criterion of sensitivity, whose figures are the losses")
    seconds: float = Field(description="seconds after programming, of losses and measurements")
    minimise: str
    budgets: Amounts
    predicted: Amounts
    measured: MeasuredRecord | None = Field(
        description="divergence of the plan with this choice; null where it was not run"
    )
    accuracy: AccuracyRecord | None
    compared: dict[str, Amounts | None] = Field(
        description="amounts of other ways to choose, by name; null where they find nothing"
    )
