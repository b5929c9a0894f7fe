"""Candidates for ranges, and the decision for one of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from tilewright.compiler.observing.observation import Observed
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.units.formats import rounded

Candidates = tuple[dict[str, float], dict[str, float]]
"""Ranges by name, and the error at each; no errors where one rule gives the range, no ranges where none is wanted."""
ABS_MAX = "abs-max"
PERCENTILES = (99.99, 99.9, 99.5, 99.0)
"""Percentiles of |x| to try, beside its maximum. Quantiles of signed inputs would be wrong."""


def range_candidates(seen: Observed) -> dict[str, float]:
    """The ranges to choose from, by name: the maximum of |x| and percentiles below it; equal ones once."""
    magnitudes = seen.kept.abs().flatten()
    if magnitudes.numel() == 0 or seen.largest == 0:
        return {ABS_MAX: 1.0}
    places = [max(0, round(magnitudes.numel() * percentile / 100) - 1) for percentile in PERCENTILES]
    ordered = np.partition(magnitudes.numpy(), places)
    ranges = {ABS_MAX: seen.largest}
    for percentile, place in zip(PERCENTILES, places, strict=True):
        value = float(ordered[place])
        if 0 < value < min(ranges.values()):
            ranges[f"percentile {percentile}"] = value
    return ranges


def rounding_error(values: Tensor, value_range: float | Tensor, number_format: str, *, signed: bool = True) -> float:
    """Relative error of values that are rounded to a unit's format at this range."""
    norm = float(values.norm())
    if not norm:
        return 0.0
    return float((rounded(values, number_format, value_range, signed=signed) - values).norm()) / norm


def rounding_candidates(seen: Observed, number_format: str, *, signed: bool = True) -> Candidates:
    """The ranges to choose from for a unit's operand, and its rounding error at each."""
    ranges = range_candidates(seen)
    return ranges, {name: rounding_error(seen.kept, at, number_format, signed=signed) for name, at in ranges.items()}


def range_decision(
    subject: str,
    what: str,
    best: str,
    candidates: Mapping[str, float],
    errors: Mapping[str, float],
    use: int | None = None,
    *,
    reason: str | None = None,
) -> Decision:
    """The decision for one of these ranges: for a reason, or by least simulated error where there are errors."""
    why = "the least simulated error on the calibration inputs" if len(candidates) > 1 else "the only candidate"
    if not errors:
        why = "the target asks for this rule"
    said = f"{what}: {best} of |x|" if reason is None else f"{what}: {best}"

    def figures(name: str) -> list[Figure]:
        error = [Figure(name="simulated error", value=errors[name], unit="1")] if name in errors else []
        return [Figure(name="range", value=candidates[name], unit="input"), *error]

    return Decision.among(
        {name: figures(name) for name in candidates},
        best,
        made_by="calibrate",
        subject=subject,
        use=use,
        said=said,
        reason=reason or why,
    )
