"""Ranges of the operands of attention units, one in all or one a head, by least rounding error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.range_candidates import range_candidates, range_decision, rounding_error
from tilewright.runtime.plan.decisions import Decision, Figure

OTHER_FORMATS = ("int4", "int6", "int8", "int10", "bf16")
"""Formats of attention units that a decision compares its own with."""


@dataclass(frozen=True)
class OperandRounding:
    """The best ranges of one operand in one number format, one a head or one in all, and what they were chosen from."""

    ranges: list[float]
    candidates: dict[str, float]
    errors: dict[str, float]
    best: str
    """Name of the range of the last head."""
    error: float
    """Relative error of the operand with all its ranges."""

    def decision(self, subject: str, side: str) -> Decision:
        """The decision for the ranges of one side of a product."""
        if len(self.ranges) == 1:
            return range_decision(subject, f"{side} operand range", self.best, self.candidates, self.errors)
        return Decision(
            made_by="calibrate",
            subject=subject,
            choice=f"{side} operand ranges: each head's own",
            reason="each head's range is the one of least rounding error on the calibration inputs",
            figures=[
                Figure(name="smallest range", value=min(self.ranges), unit="input"),
                Figure(name="largest range", value=max(self.ranges), unit="input"),
            ],
        )


@torch.inference_mode()
def round_operands(
    left: Observed, right: Observed, number_format: str, *, left_signed: bool
) -> dict[str, tuple[OperandRounding, OperandRounding]]:
    """Rounding of both operands, by format: this one, and the others that a decision names."""
    return {
        name: (_round(left, name, signed=left_signed), _round(right, name, signed=True))
        for name in dict.fromkeys([number_format, *OTHER_FORMATS])
    }


def operand_error(left: OperandRounding, right: OperandRounding) -> Figure:
    """Error of a product, √(error² of the left operand + error² of the right), each with its best ranges."""
    return Figure(name="rounding error of operands", value=math.hypot(left.error, right.error), unit="1")


def _round(seen: Observed, number_format: str, *, signed: bool) -> OperandRounding:
    ranges, candidates, errors, best = [], {}, {}, ""
    for head in seen.columns():
        candidates = range_candidates(head)
        errors = {
            name: rounding_error(head.kept, value, number_format, signed=signed) for name, value in candidates.items()
        }
        best = min(errors, key=lambda name: errors[name])
        ranges.append(candidates[best])
    error = rounding_error(seen.kept, torch.tensor(ranges), number_format, signed=signed)
    return OperandRounding(ranges, candidates, errors, best, error)
