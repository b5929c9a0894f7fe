"""Limits on whole numbers and flags that a user gives."""

from __future__ import annotations

from typing import Any

from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

LARGEST = 2**63 - 1
MOST_REPEATS = 1_000_000


def check_whole(name: str, number: Any, *, least: int = 1, most: int = LARGEST) -> None:
    """Raise ``InputError`` unless ``number`` is a whole number from ``least`` to ``most``."""
    if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
        return
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    given = "of more than 30 digits" if is_whole and abs(number) >= 10**30 else shown(number)
    allowed = f"{least} {'or more' if most == LARGEST else f'to {most}'}"
    raise InputError(f"{name} is {given}, allowed is {'' if is_whole else 'a whole number, '}{allowed}")


def check_seed(seed: Any, *, after: int = 0) -> None:
    """Raise ``InputError`` unless ``seed`` is a whole number of at most 64 bits, as plans and results keep them.

    after: how many seeds behind it are used too.
    """
    check_whole("seed", seed, least=-LARGEST, most=LARGEST - 1 - after)


def check_repeats(repeats: Any) -> None:
    """Raise ``InputError`` unless so many chips can be asked for at once."""
    check_whole("repeats", repeats, most=MOST_REPEATS)


def check_flags(**flags: Any) -> None:
    """Raise ``InputError`` unless each is True or False: any other value would silently count as one of them."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise InputError(f"{name} is {shown(flag)}; allowed: true, false")
