"""Allowed sizes of a plan: each within its limits, and all of its conditions true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tilewright.runtime.plan.records import DimensionRecord, PlanDocument
from tilewright.runtime.plan.size_conditions import LARGEST_NUMBER, Condition, read_condition
from tilewright.targets.errors import InputError, nearest

MOST_CONDITIONS = 256
"""Largest number of conditions of a plan."""
LOOKED_AT = 2**13
"""Largest number of conditions looked at to name sizes that would do, in an error."""
ANY_SIZE = DimensionRecord(minimum=1, maximum=None)


@dataclass(frozen=True)
class AllowedSizes:
    """Limits and conditions of sizes that may vary. In plans of older versions conditions are unknown and not asked."""

    limits: Mapping[str, DimensionRecord]
    """Limits of every dimension, in the order of the inputs."""
    conditions: list[Condition]

    @classmethod
    def of(cls, document: PlanDocument) -> AllowedSizes:
        """Allowed sizes of a plan."""
        names = (size for record in document.inputs for size in record.shape if isinstance(size, str))
        limits = {name: document.dimensions.get(name, ANY_SIZE) for name in names}
        return cls.read(limits, document.size_conditions or [])

    @classmethod
    def read(cls, limits: Mapping[str, DimensionRecord], conditions: Iterable[str]) -> AllowedSizes:
        """Allowed sizes with these conditions, as texts. Raises ``InputError`` for one that is none."""
        return cls(limits, [read_condition(text) for text in conditions])

    def take(self, sizes: Mapping[str, int]) -> bool:
        """True if all sizes are within their limits and all conditions are true."""
        return all(self.is_within(name, size) for name, size in sizes.items()) and self.satisfy(sizes)

    def satisfy(self, sizes: Mapping[str, int]) -> bool:
        """True if all conditions are true at these sizes."""
        return all(condition.holds(sizes) for condition in self.conditions)

    def is_within(self, name: str, size: int) -> bool:
        """True if one size is within its limits."""
        limits = self.limits[name]
        return limits.minimum <= size <= (limits.maximum or size)

    def check_size(self, name: str, size: int, where: str = "") -> None:
        """Raise ``InputError`` for a size beyond its limits. where: what the sentence begins with."""
        if not self.is_within(name, size):
            limits = self.limits[name]
            raise InputError(f"{where}{name} is {size}, allowed is {limits.minimum} to {limits.maximum or 'any size'}")

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise ``InputError`` for sizes beyond their limits, or at which a condition is not true."""
        for name, size in sizes.items():
            self.check_size(name, size)
        broken = next((condition for condition in self.conditions if not condition.holds(sizes)), None)
        if broken is None:
            return
        names = [name for name in self.limits if name in broken.names]
        given = " and ".join(f"{name} is {sizes[name]}" for name in names)
        raise InputError(
            f"{given}, but the network was traced where {broken.text} holds and may compute something else elsewhere; "
            f"{self._nearest(sizes, names)}"
        )

    def _nearest(self, sizes: Mapping[str, int], names: list[str]) -> str:
        """The nearest sizes of one of these dimensions, the last that has any, that would do beside the others."""
        tries = max(1, LOOKED_AT // (len(names) * len(self.conditions)))
        for name in reversed(names):
            limits, size = self.limits[name], sizes[name]
            below = range(size - 1, max(limits.minimum, size - tries) - 1, -1)
            above = range(size + 1, min(limits.maximum or LARGEST_NUMBER, size + tries) + 1)
            found = [next((one for one in side if self.satisfy({**sizes, name: one})), None) for side in (below, above)]
            shown = " and ".join(str(one) for one in found if one is not None)
            if shown:
                return f"the nearest allowed for {name}: {shown}"
        return "no size near it is allowed"


def check_conditions(document: PlanDocument) -> None:
    """Raise ``InputError`` for the first condition of a plan that is none, or that names what is no dimension of it."""
    texts = document.size_conditions or []
    if len(texts) > MOST_CONDITIONS:
        raise InputError(f"the plan has {len(texts)} conditions on sizes, allowed are {MOST_CONDITIONS}")
    sizes = AllowedSizes.of(document)
    for condition in sizes.conditions:
        for name in sorted(condition.names - sizes.limits.keys()):
            raise InputError(
                f"the condition on sizes {condition.text[:80]!r} names {name[:80]!r}, which is no dimension of the "
                f"inputs; {nearest(name, sizes.limits)}"
            )
