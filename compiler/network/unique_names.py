"""Names that are not taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count


def numbered(wanted: str, is_free: Callable[[str], bool], further: str | None = None) -> str:
    """The wanted name if it is free, else the first free one with a number from 2 on behind it.

    further: what numbers are put behind, where that is not the wanted name itself.
    """

    def names() -> Iterator[str]:
        yield wanted
        for number in count(2):
            yield f"{further or wanted}_{number}"

    return next(name for name in names() if is_free(name))
