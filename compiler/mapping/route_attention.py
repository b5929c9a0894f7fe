"""Routing of products of two activations to digital INT-n units; softmax between them stays in FP32."""

from __future__ import annotations

from collections.abc import Mapping

from tilewright.compiler.mapping.overrides import EVERY_LAYER, chosen_for
from tilewright.compiler.network.layers import Product, Routed
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.records import MatmulRecord
from tilewright.targets.spec import AttentionUnit, bits_of


def route_attention(products: Mapping[str, Product], units: Mapping[str, AttentionUnit]) -> dict[str, Routed]:
    """Unit of each product, by name, its ranges still 1. units: pattern of products' names -> unit.

    Raises ``InputError`` for a pattern that matches no product.
    """
    names = {name: [name, name.rpartition(".")[0] or name] for name in products}
    chosen = chosen_for(names, units, "an attention unit", "product of activations")
    return {name: _routed(product, *chosen[name]) for name, product in products.items()}


def _routed(product: Product, unit: AttentionUnit, pattern: str) -> Routed:
    why = f"asked for by {pattern!r}" if pattern != EVERY_LAYER else "the unit of all products"
    bits, form = bits_of(unit.operands), unit.operands.upper()
    by_head = bits is not None and unit.scales == "per_head"
    unsigned = bits is not None and unit.probabilities == "unsigned" and product.kind == "context"
    ranges = "one range an operand"
    if bits is None:
        ranges = "no ranges: its numbers are floating point"
    elif by_head and product.heads:
        ranges = f"a range for each of {product.heads} heads"
    elif by_head:
        ranges = "one range an operand: heads cannot be told apart"
    decision = Decision(
        made_by="route_attention",
        subject=product.name,
        choice=f"{form} unit, {ranges}{', probabilities without a sign' if unsigned else ''}",
        reason=why,
        figures=[Figure(name="operand precision", value=bits or int(unit.operands[-2:]), unit="bit")],
    )
    record = MatmulRecord(
        name=product.name,
        kind=product.kind,
        operands=unit.operands,
        left_ranges=[1.0],
        right_ranges=[1.0],
        left_signed=not unsigned,
        reason=f"both operands change with the input, so neither can stay in a crossbar: an {form} unit "
        f"multiplies them, {why}",
    )
    return Routed(record, [decision], product.heads if by_head else None)
