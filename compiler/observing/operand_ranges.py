"""Ranges of the operands of attention units, one in all or one a head, by least rounding error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from tilewright.compiler.network.layers import Routed
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.range_candidates import range_decision, rounding_candidates, rounding_error
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import MatmulRecord

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
def operand_ranges(routed: Routed, operands: Sequence[Observed]) -> Routed:
    """The product with ranges of its left and right operand, and what other formats would do to these."""
    record = routed.record
    formats = dict.fromkeys([record.operands, *OTHER_FORMATS])
    signed = record.left_signed, True
    rounding = {
        name: [_round(seen, name, signed=sign) for seen, sign in zip(operands, signed, strict=True)] for name in formats
    }
    left, right = own = rounding.pop(record.operands)
    others = [Alternative(choice=f"{other.upper()} unit", figures=[_error(sides)]) for other, sides in rounding.items()]
    (decision,) = routed.decisions
    decision = decision.model_copy(update={"figures": [*decision.figures, _error(own)], "rejected": others})
    ranges = {"left_ranges": left.ranges, "right_ranges": right.ranges}
    return replace(
        routed,
        record=MatmulRecord.model_validate(dict(record) | ranges),
        decisions=[decision, left.decision(record.name, "left"), right.decision(record.name, "right")],
    )


def _error(sides: Sequence[OperandRounding]) -> Figure:
    """Error of a product, √(error² of the left operand + error² of the right), each with its best ranges."""
    return Figure(name="rounding error of operands", value=math.hypot(*(side.error for side in sides)), unit="1")


def _round(seen: Observed, number_format: str, *, signed: bool) -> OperandRounding:
    ranges, best = [], ""
    candidates: dict[str, float] = {}
    errors: dict[str, float] = {}
    for head in seen.columns():
        candidates, errors = rounding_candidates(head, number_format, signed=signed)
        best = min(errors, key=errors.__getitem__)
        ranges.append(candidates[best])
    error = rounding_error(seen.kept, torch.tensor(ranges), number_format, signed=signed)
    return OperandRounding(ranges, candidates, errors, best, error)
