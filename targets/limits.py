"""Limits on whole numbers that a user gives."""

from __future__ import annotations

from typing import Any

from tilewright.targets.errors import InputError

LARGEST = 2**63 - 1
MOST_REPEATS = 1_000_000


def check_whole(name: str, number: Any, *, least: int = 1, most: int = LARGEST) -> None:
    """Raise ``InputError`` unless ``number`` is a whole number from ``least`` to ``most``."""
    if isinstance(number, int) and not isinstance(number, bool) and least <= number <= most:
        return
    shown = repr(number) if not isinstance(number, int) or abs(number) < 10**30 else "of more than 30 digits"
    raise InputError(f"{name} is {shown}, allowed is {least} {'or more' if most == LARGEST else f'to {most}'}")


def check_seed(seed: Any) -> None:
    """Raise ``InputError`` unless ``seed`` is a whole number of at most 64 bits, as plans and results keep them."""
    check_whole("seed", seed, least=-LARGEST, most=LARGEST - 1)


def check_repeats(repeats: Any) -> None:
    """Raise ``InputError`` unless so many chips can be asked for at once."""
    check_whole("repeats", repeats, most=MOST_REPEATS)
