"""Cost of an adapter in a run: its products, on the chip's digital units."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.compiler.cost.layer_cost import Account
from tilewright.runtime.measuring.operations import Operations
from tilewright.runtime.plan.adapter_records import AdapterRecord
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.spec import Cost, bits_of

EXACT = "fp32"
"""Format that adapters are run in."""


@dataclass(frozen=True)
class AdapterCost:
    """Cost of an adapter beside one layer, or in its place. macs: multiplications in the run.

    name: of the layer in the plan. operands: number format whose figures were taken. energy_nj, latency_ns: of all
    its calls.
    """

    name: str
    operands: str
    macs: int
    energy_nj: float
    latency_ns: float


def costs_of_adapter(plan: Plan, operations: Operations, preset: Cost, account: Account) -> list[AdapterCost]:
    """Cost of the adapter that is chosen, a line a layer. Notes what is not modelled or assumed of it."""
    record = plan.adapter_record
    if record is None:
        return []
    operands, digital = _operands(preset), plan.document.chip.digital
    units = sum(int(kind.count) for kind in digital) or 1
    if operands != EXACT and preset.mac(operands) is not None:
        account.assumptions.append(
            f"adapters: counted as {operands.upper()} products, the widest that {preset.name} has figures for; "
            "they are run in FP32"
        )
    if not digital:
        account.assumptions.append("adapters: one digital unit for them, since the chip names none")
    costs = []
    for name, macs in operations.adapters.items():
        own = Account()
        latency = own.spend_on_macs("adapters", macs, operands, units, preset)
        account.add(own.energy, own.missing, own.assumptions)
        costs.append(AdapterCost(name, operands, macs, sum(own.energy.values()), latency))
    _note_memory(record, account)
    return costs


def _note_memory(record: AdapterRecord, account: Account) -> None:
    """Say that the memory of an adapter's weights has no figure of its own: that of a product includes its operands."""
    account.missing.append(f"adapters: area of the memory of {record.parameters:,} parameters")


def _operands(preset: Cost) -> str:
    """FP32, or the widest floating format of the preset, or the widest of all; FP32 where it has none."""
    formats = [mac.format for mac in preset.macs]
    if EXACT in formats or not formats:
        return EXACT
    floats = [name for name in formats if bits_of(name) is None]
    return max(floats or formats, key=lambda name: bits_of(name) or int(name[2:]))
