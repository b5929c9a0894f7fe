"""Shares as people write them: 99% or 0.99."""

from __future__ import annotations

import math

from tilewright.targets.errors import InputError


def parse_share(given: float | str, what: str) -> float:
    """Share such as ``"99%"`` or ``0.99``, as a number from 0 to 1. what: its name.

    Raises ``InputError`` for anything else.
    """
    text = str(given).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise InputError(f"{what} {given!r} is not a share such as 99% or 0.99")
    return share
