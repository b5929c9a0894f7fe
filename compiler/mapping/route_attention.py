"""Routing of products of two activations to digital INT-n units; softmax between them stays in FP32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.mapping.overrides import EVERY_LAYER, chosen_for
from tilewright.compiler.network.layers import Product
from tilewright.compiler.observing.input_ranges import require_finite
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.operand_ranges import operand_error, round_operands
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import MatmulRecord
from tilewright.targets.spec import AttentionUnit, bits_of


@dataclass(frozen=True)
class Routed:
    """Unit of one product, and the form of its operands there."""

    product: Product
    unit: AttentionUnit
    why: str

    @property
    def left_signed(self) -> bool:
        """False where the left operand has no sign: probabilities on a unit that takes them so."""
        unsigned = self.unit.probabilities == "unsigned" and self.product.kind == "context"
        return not (self._whole and unsigned)

    @property
    def heads(self) -> int | None:
        """Heads that have ranges of their own; None where all share one."""
        return self.product.heads if self._whole and self.unit.scales == "per_head" else None

    @property
    def _whole(self) -> bool:
        return bits_of(self.unit.operands) is not None

    @property
    def choice(self) -> str:
        """Choice of unit, in words."""
        ranges = "one range an operand"
        if not self._whole:
            ranges = "no ranges: its numbers are floating point"
        elif self.unit.scales == "per_head":
            ranges = (
                f"a range for each of {self.heads} heads"
                if self.heads
                else "one range an operand: heads cannot be told apart"
            )
        sign = "" if self.left_signed else ", probabilities without a sign"
        return f"{self.unit.operands.upper()} unit, {ranges}{sign}"


def route_attention(products: Mapping[str, Product], units: Mapping[str, AttentionUnit]) -> dict[str, Routed]:
    """Unit of each product, by name. units: pattern of products' names -> unit.

    Raises ``InputError`` for a pattern that matches no product.
    """
    names = {name: [name, name.rpartition(".")[0] or name] for name in products}
    chosen = chosen_for(names, units, "an attention unit", "product of activations")
    routed = {}
    for name, product in products.items():
        unit, pattern = chosen[name]
        why = f"asked for by {pattern!r}" if pattern != EVERY_LAYER else "the unit of all products"
        routed[name] = Routed(product, unit, why)
    return routed


def matmul_record(routed: Routed, seen: tuple[Observed, Observed] | None) -> tuple[MatmulRecord, list[Decision]]:
    """The record of a product with its ranges, and the decisions.

    seen: left and right operand on the calibration set; None for a network without weights, whose ranges are 1.
    """
    name, operands = routed.product.name, routed.unit.operands
    ranges: tuple[list[float], list[float]] = ([1.0], [1.0])
    figures = [Figure(name="operand precision", value=bits_of(operands) or int(operands[-2:]), unit="bit")]
    rejected, fixed = [], []
    if seen is not None:
        require_finite(name, seen)
        rounding = round_operands(*seen, operands, left_signed=routed.left_signed)
        left, right = rounding.pop(operands)
        ranges = left.ranges, right.ranges
        fixed = [left.decision(name, "left"), right.decision(name, "right")]
        figures.append(operand_error(left, right))
        rejected = [
            Alternative(choice=f"{other.upper()} unit", figures=[operand_error(*sides)])
            for other, sides in rounding.items()
        ]
    decision = Decision(
        made_by="route_attention",
        subject=name,
        choice=routed.choice,
        reason=routed.why,
        figures=figures,
        rejected=rejected,
    )
    record = MatmulRecord(
        name=name,
        kind=routed.product.kind,
        operands=operands,
        left_ranges=ranges[0],
        right_ranges=ranges[1],
        left_signed=routed.left_signed,
        reason=f"both operands change with the input, so neither can stay in a crossbar: an {operands.upper()} unit "
        f"multiplies them, {routed.why}",
    )
    return record, [decision, *fixed]
