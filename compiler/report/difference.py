"""Changes from one plan to another: hardware, layers, products of activations, and the sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tilewright.compiler.engineering import figure_text
from tilewright.compiler.report.column import Columns, Format, Thing, shown_in
from tilewright.compiler.report.layer_table import LAYERS
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.tables import ADAPTERS, ASSIGNMENTS, COSTS, MATMULS, PLANS
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.quantity import is_number, leaves, with_unit

APART = {"schema_version", "kind", "name", "summary", "chip"}
"""Keys of a target that are compared elsewhere or say nothing of what it does."""
SPOKEN = ("name", "summary", "source", "schema_version")
"""Keys of inner parts that say nothing of what they do."""
TABLES: tuple[Columns[Any], ...] = (PLANS, COSTS, ASSIGNMENTS, MATMULS, LAYERS, ADAPTERS)
COMPARED = {column.key: column for table in TABLES for column in shown_in(table, Format.DIFFERENCE)}
"""Columns by key."""


@dataclass(frozen=True)
class Change:
    """One key that differs.

    subject: the layer or matmul; "plan", "cost of a run" and "assignment" for sums; "hardware" for keys of the chip;
    "adapter NAME" for an adapter.

    key: name of what differs, as reports call it. before, after: its values; None where a plan has none.
    """

    subject: str
    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Difference:
    """Changes from one plan to another; false if there are none. ``to_json`` keeps these names.

    changes: keys with another value, in the order of the network. removed: what only the first plan has.
    """

    changes: list[Change]
    added: list[str]
    """Layers, matmuls and adapters that only the second plan has."""
    removed: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return asdict(self)

    def __repr__(self) -> str:
        """A line for a terminal."""
        return f"Difference({len(self.changes)} changes, {len(self.added)} added, {len(self.removed)} removed)"

    def __bool__(self) -> bool:
        """True if anything changed."""
        return bool(self.changes or self.added or self.removed)


def difference(before: Plan, after: Plan) -> Difference:
    """Compare two plans: hardware, layers, products of activations and sums, in the order of the network.

    Numbers are compared as they are written. Raises ``InputError`` for a graph that asks for more than any network.
    """
    one, other = summarise(before), summarise(after)
    changes = list(_changes("plan", PLANS, one, other))
    if one.cost is not None and other.cost is not None:
        changes += _changes("cost of a run", COSTS, one.cost, other.cost)
    if one.assignment is not None and other.assignment is not None:
        changes += _changes("assignment", ASSIGNMENTS, one.assignment, other.assignment)
    layers, matmuls = _of_things(LAYERS, one.layers, other.layers), _of_things(MATMULS, one.matmuls, other.matmuls)
    adapters = _of_things(ADAPTERS, one.adapters, other.adapters, "adapter ")
    return Difference(
        [*changes, *_hardware(before, after), *layers.changes, *matmuls.changes, *adapters.changes],
        added=layers.added + matmuls.added + adapters.added,
        removed=layers.removed + matmuls.removed + adapters.removed,
    )


def _of_things(columns: Columns[Thing], before: list[Thing], after: list[Thing], kind: str = "") -> Difference:
    """Difference of things of a kind by their names, which are the first column. kind: before names, if any."""
    one, other = ({f"{kind}{columns[0].of(thing)}": thing for thing in things} for things in (before, after))
    return Difference(
        [change for name in one if name in other for change in _changes(name, columns, one[name], other[name])],
        added=[name for name in other if name not in one],
        removed=[name for name in one if name not in other],
    )


def _changes(subject: str, columns: Columns[Thing], before: Thing, after: Thing) -> Iterator[Change]:
    for column in shown_in(columns, Format.DIFFERENCE):
        values = column.of(before), column.of(after)
        if values[0] != values[1]:
            yield Change(subject, column.key, *values)


def _hardware(before: Plan, after: Plan) -> list[Change]:
    """Changes of the chips: targets of one name, or the one target that took the other's place, key by key."""
    one, other = ({target.name: target for target in plan.document.chip.targets} for plan in (before, after))
    pairs = [(name, name) for name in one if name in other]
    gone, new = [name for name in one if name not in other], [name for name in other if name not in one]
    if len(gone) == len(new) == 1:
        pairs.append((gone.pop(), new.pop()))
    changes = [Change("hardware", f"target {name}", "there", "gone") for name in gone]
    changes += [Change("hardware", f"target {name}", "", "new") for name in new]
    for left, right in pairs:
        label = left if left == right else f"{left} -> {right}"
        parts = (one[left].model_dump(mode="json", exclude=APART), other[right].model_dump(mode="json", exclude=APART))
        changes += _differing_leaves(label, *parts)
    chips = [plan.document.chip.model_dump(mode="json", include={"attention"}) for plan in (before, after)]
    return changes + _differing_leaves("chip", *chips)


def _differing_leaves(label: str, before: Any, after: Any) -> list[Change]:
    one, other = ({key: _value(leaf) for key, leaf in leaves(part)} for part in (before, after))
    keys = [key for key in dict.fromkeys([*one, *other]) if key.split(".")[-1] not in SPOKEN]
    return [
        Change("hardware", f"{label}: {key}", one.get(key), other.get(key))
        for key in keys
        if one.get(key) != other.get(key)
    ]


def shown_change(change: Change) -> tuple[str, str, str]:
    """Heading of what changed, and both of its values, as people read them."""
    column = COMPARED.get(change.key)
    values = [
        figure_text(value, column.unit) if column and column.unit and value is not None else _as_text(value)
        for value in (change.before, change.after)
    ]
    return column.title if column else change.key, values[0], values[1]


def added_and_removed(found: Difference) -> list[tuple[str, str, str, str]]:
    """Rows of layers and products that only one plan has, for a table of changes."""
    return [(name, "", "there", "gone") for name in found.removed] + [(name, "", "", "new") for name in found.added]


def _value(leaf: Any) -> Any:
    """A number with its unit; what is not a number as it is."""
    if not is_number(leaf):
        return leaf
    return with_unit(f"{leaf['value']:g}", leaf["unit"])


def _as_text(value: Any) -> str:
    """A value of a change, as people read it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_as_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_as_text(item)}" for key, item in value.items())
    return "none" if value is None else str(value)
