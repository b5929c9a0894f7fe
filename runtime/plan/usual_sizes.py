"""Sizes to count and estimate a plan at, where they were not given: usual ones that the plan takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product

from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.records import BATCH, PlanDocument
from tilewright.targets.errors import InputError, nearest

USUAL_LENGTH = 128
"""Size that a dimension is taken to have if none is given and it may be this."""
TRIED = 512
"""Number of sizes of one dimension that are tried while the others stay, the nearest to the usual one first."""
TRIED_TOGETHER = 2**14
"""Number of sizes of all dimensions together that are tried after those of one dimension at a time."""
LOOKED_AT = 2**16
"""Number of conditions that are looked at until the search for sizes is given up."""


def choose_sizes(document: PlanDocument, given: Mapping[str, int]) -> dict[str, int]:
    """A size for every dimension of the plan: those given, for the others the usual one or what is nearest to it.

    Raises ``InputError`` for a dimension that the plan does not have, or sizes that it does not take.
    """
    allowed = AllowedSizes.of(document)
    for name in given:
        if name not in allowed.limits:
            raise InputError(f"the plan has no dimension {name!r}; {nearest(name, allowed.limits)}")
    usual = {name: given.get(name, _usual(allowed, name)) for name in allowed.limits}
    for name, size in usual.items():
        allowed.check_size(name, size)
    if allowed.satisfy(usual):
        return usual
    free = {name: _candidates(allowed, name, usual[name]) for name in usual if name not in given}
    for sizes in islice(_tries(usual, free), LOOKED_AT // len(allowed.conditions)):
        if allowed.satisfy(sizes):
            return sizes
    allowed.check(usual)
    return usual


def _usual(allowed: AllowedSizes, name: str) -> int:
    limits = allowed.limits[name]
    return max(limits.minimum, min(1 if name == BATCH else USUAL_LENGTH, limits.maximum or USUAL_LENGTH))


def _candidates(allowed: AllowedSizes, name: str, usual: int) -> list[int]:
    """Sizes of a dimension, the nearest first: those about the usual one, and about numbers that conditions name."""
    named = {
        number + change
        for condition in allowed.conditions
        if name in condition.names
        for number in condition.numbers
        for change in (-1, 0, 1)
    }
    near = {*range(max(1, usual - TRIED // 2), usual + TRIED // 2), *sorted(named)[:TRIED]}
    return sorted((size for size in near if allowed.is_within(name, size)), key=lambda size: (abs(size - usual), size))


def _tries(usual: dict[str, int], free: Mapping[str, list[int]]) -> Iterator[dict[str, int]]:
    """Sizes to try: one dimension changed at a time, then all of them."""
    for name, candidates in free.items():
        for size in candidates:
            yield {**usual, name: size}
    if len(free) > 1:
        each = max(2, int(TRIED_TOGETHER ** (1 / len(free))))
        for sizes in islice(product(*(candidates[:each] for candidates in free.values())), TRIED_TOGETHER):
            yield {**usual, **dict(zip(free, sizes, strict=True))}
