"""Decisions for a plan, the reasons for them, and what was measured of it: each with its figures."""

from __future__ import annotations

from pydantic import Field, field_validator

from tilewright.runtime.plan.types import Natural, Positive, Record, Shape


class Figure(Record):
    """A number that decided, with its unit; to six digits, which is what math libraries agree on."""

    name: str
    value: float
    unit: str

    @field_validator("value")
    @classmethod
    def _six_digits(cls, value: float) -> float:
        return value if value.is_integer() else float(f"{value:.6g}")


class Alternative(Record):
    """A choice that was not made, and its figures."""

    choice: str
    figures: list[Figure]


class Decision(Record):
    """One choice of one pass, and why."""

    made_by: str = Field(description="the pass")
    subject: str = Field(description="the layer, matmul or other thing that it is about")
    choice: str
    reason: str
    figures: list[Figure] = Field([])
    rejected: list[Alternative] = Field([])


def without_use(subject: str) -> str:
    """Subject of a decision without the use: of "NAME use 2", which is one use of a layer, the layer."""
    return subject.split(" use ")[0]


class Check(Record):
    """Distance of the plan on the ideal target from the original network, run by something else."""

    against: str = Field(description="what ran the original, with its version")
    sizes: list[dict[str, Shape]] = Field(description="the shapes of the inputs that were compared, by name")
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
    normalised: float = Field(description="A*: 1 for the digital reference, 0 for chance")
    lower_bound: float = Field(description="of A*, one-sided, with ``confidence``, over chips")
    wanted: float
    confidence: float
    seconds: float = Field(description="after programming")
    repeats: Positive
    seed: int


class AssignmentRecord(Record):
    """Joint choice of the layers' targets, what was predicted, and what came out."""

    method: str
    criterion: str = Field(description="of sensitivity, whose figures are losses")
    seconds: float = Field(description="after programming, of losses and measurements")
    minimise: str
    budgets: list[Figure]
    predicted: list[Figure]
    measured: list[Figure]
    accuracy: AccuracyRecord | None
    compared: list[Alternative] = Field(description="other ways to choose; without figures where they find nothing")
