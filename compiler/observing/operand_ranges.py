"""Ranges of the operands of attention units, one in all or one a head, by least rounding error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from tilewright.compiler.network.layers import Routed
from tilewright.compiler.network.trained_products import TrainedProduct
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.range_candidates import range_decision, rounding_candidates, rounding_error
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import MatmulRecord
from tilewright.targets.errors import InputError
from tilewright.targets.spec import bits_of

AS_TRAINED = "as trained"
TRAINED_REASON = "the checkpoint was trained with it"
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
            why = TRAINED_REASON if self.best == AS_TRAINED else None
            return range_decision(subject, f"{side} operand range", self.best, self.candidates, self.errors, reason=why)
        return Decision(
            made_by="calibrate",
            subject=subject,
            choice=f"{side} operand ranges: each head's own",
            reason=TRAINED_REASON
            if self.best == AS_TRAINED
            else "each head's range is the one of least rounding error on the calibration inputs",
            figures=[
                Figure(name="smallest range", value=min(self.ranges), unit="input"),
                Figure(name="largest range", value=max(self.ranges), unit="input"),
            ],
        )


@torch.inference_mode()
def operand_ranges(routed: Routed, operands: Sequence[Observed], trained: TrainedProduct | None = None) -> Routed:
    """The product with ranges of its left and right operand, and what other formats would do to these.

    trained: ranges that the network was trained with, which are used if there are any, and the format is of whole
    numbers. Raises ``InputError`` for another number of them than the product has heads.
    """
    record = routed.record
    formats = dict.fromkeys([record.operands, *OTHER_FORMATS])
    signed = record.left_signed, True
    rounding = {
        name: [_round(seen, name, signed=sign) for seen, sign in zip(operands, signed, strict=True)] for name in formats
    }
    if trained is not None and bits_of(record.operands) is not None:
        given = zip(rounding[record.operands], operands, (trained.left, trained.right), signed, strict=True)
        rounding[record.operands] = [_as_trained(record, *side) for side in given]
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


def _as_trained(
    record: MatmulRecord, found: OperandRounding, seen: Observed, ranges: Sequence[float], signed: bool
) -> OperandRounding:
    """An operand with the ranges that the network was trained with, beside those that calibrating would choose."""
    columns = seen.kept.shape[1] if seen.kept.numel() else len(ranges)
    if len(ranges) not in (1, columns):
        raise InputError(
            f"product {record.name!r} was trained with {len(ranges)} ranges an operand, and has {columns} heads"
        )
    own = list(ranges) if len(found.ranges) == len(ranges) else list(ranges) * columns
    error = rounding_error(seen.kept, torch.tensor(own), record.operands, signed=signed)
    candidates, errors = {AS_TRAINED: own[-1], **found.candidates}, {AS_TRAINED: error, **found.errors}
    return OperandRounding(own, candidates, errors, AS_TRAINED, error)


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
