"""Version of the random numbers: what a seed names a chip in, and what is said of figures of another version."""

from __future__ import annotations

VERSION = 2
"""Version of the numbers that a name stands for. Results tell it, since a seed is another chip in another version.

1 was torch's generator, whose normal numbers depend on the processor's instructions.
"""


def note_on_older(draws: int) -> list[str]:
    """Note on a plan whose figures are of version ``draws`` of the random numbers; none if it is of this one."""
    if draws == VERSION:
        return []
    return [
        f"the plan's own figures are of version {draws} of the random numbers, and its chips are simulated with "
        f"version {VERSION}: a seed names another chip than it did, of the same statistics"
    ]
