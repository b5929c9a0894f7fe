"""Times as people write them: 1s, 20min, 1h, 1d, 1w, 1mo, 1y, or plain seconds."""

from __future__ import annotations

import math
import re

from tilewright.targets.errors import InputError

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "mo": 2592000, "y": 31536000}
"""Seconds of each unit. A month has 30 days and a year 365, as in the published evaluations."""

_PATTERN = re.compile(r"\s*([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-z]*)\s*")


def parse_time(time: str | float) -> float:
    """Seconds since programming. Raises ``InputError`` for an unknown unit, a time before zero or one without end."""
    if isinstance(time, str):
        match = _PATTERN.fullmatch(time)
        unit = match.group(2) or "s" if match else ""
        if match is None or unit not in SECONDS:
            raise InputError(f"time {time!r} is not a number with one of the units {', '.join(SECONDS)}")
        seconds = float(match.group(1)) * SECONDS[unit]
    else:
        seconds = float(time)
    if not 0 <= seconds < math.inf:
        raise InputError(
            f"time {time!r} is not allowed: times are finite and not before zero, the moment of programming"
        )
    return seconds


def parse_times(times: str) -> dict[str, float]:
    """Seconds by label from times such as "1s,1h", in the order given. Raises ``InputError`` like ``parse_time``."""
    labels = [label.strip() for label in times.split(",") if label.strip()]
    if not labels:
        raise InputError(f"times {times!r} names no time; write for example 1s,1h,1d")
    return {label: parse_time(label) for label in labels}


def shown_time(seconds: float) -> str:
    """Seconds as people write them, in the largest unit that gives a whole number: 1mo for 2,592,000."""
    for unit, size in reversed(SECONDS.items()):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
