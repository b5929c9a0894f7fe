"""Validation of an assigned plan: it is run, on chips that had no part in the choice."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

from tilewright.compiler.assignment.assigned import Assigned, recorded
from tilewright.compiler.sensitivity.divergence import Divergence
from tilewright.compiler.sensitivity.samples import Samples
from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.plan.decisions import MeasuredRecord
from tilewright.targets.times import parse_time


def validate(
    assigned: Assigned,
    samples: Samples,
    *,
    outputs: list[str] | None = None,
    time: str | float = "1mo",
    repeats: int = 3,
    seed: int = 1,
    on_chip: Callable[[int, int, str], None] | None = None,
) -> Assigned:
    """Run the assigned plan, attention units and all, on fresh chips. Returns it with the divergence in its record.

    seed: should be another than the one that sensitivities were measured with.
    """
    plan = assigned.plan
    divergence = Divergence(plan, samples, outputs)
    seconds, values = parse_time(time), []
    for repeat in range(repeats):
        values.append(divergence.of(Session(plan, seed, repeat=repeat).advance_to(seconds)))
        if on_chip:
            on_chip(repeat + 1, repeats, f"chip {repeat} of seed {seed}")
    found = MeasuredRecord(divergence=mean(values), standard_error=standard_error(values), chips=repeats, seed=seed)
    return recorded(assigned, measured=found)
