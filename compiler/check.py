"""Is the plan the network? Both run on the same inputs, the original by the tools it came from."""

from __future__ import annotations

from tilewright.compiler.compilation import Inputs, Original, Traced
from tilewright.compiler.pipeline import PassError, relative_error
from tilewright.runtime.plan import Check, Plan
from tilewright.runtime.session import Session

CALIBRATION_SAMPLES = 4
"""Samples of the calibration set that are compared, beside the examples."""


def compare_with_original(plan: Plan, traced: Traced, original: Original) -> None:
    """Write ``plan.document.check``. Raises ``PassError`` if plan and original differ by more than is allowed."""
    session = Session(plan, ideal=True)
    compared: list[Inputs] = [*traced.examples, *traced.calibration_inputs[:CALIBRATION_SAMPLES]]
    worst = 0.0
    for inputs in compared:
        outputs = session(inputs)
        for (name, output), expected in zip(outputs.items(), original.run(inputs), strict=True):
            error = relative_error(output, expected)
            if not error <= original.tolerance:
                shapes = {key: list(value.shape) for key, value in inputs.items()}
                raise PassError(
                    f"output {name!r} of the plan on the ideal target differs from {original.runs_on} by {error:.1e} "
                    f"relative for inputs of shape {shapes}; allowed is {original.tolerance:.0e}"
                )
            worst = max(worst, error)
    plan.document.check = Check(
        against=original.runs_on,
        sizes=[{name: list(value.shape) for name, value in inputs.items()} for inputs in compared],
        largest_relative_error=worst,
        tolerance=original.tolerance,
    )
