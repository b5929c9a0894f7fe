"""Numbers as engineers read them: 1.23 mJ."""

from __future__ import annotations

import math
from collections.abc import Mapping

PREFIXES = (
    (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"),
)  # fmt: skip
NANO = {"nJ": "J", "ns": "s"}
"""Units that plans and costs count in, and those that they are read in."""
COUNTS = ("channel", "chip", "pair", "reading", "row", "target", "tile", "weight")
"""Units of figures whose name says what is counted."""


def engineering(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with so many digits and the prefix that fits; "unknown" for None. unit: nJ and ns become J and s."""
    if value is None:
        return "unknown"
    if unit in NANO:
        value, unit = value * 1e-9, NANO[unit]
    if not value:
        return f"0 {unit}".strip()
    rounded = float(f"{value:.{digits}g}")  # first: 999.7 µJ is 1 mJ, not 1e+03 µJ
    size, prefix = next((pair for pair in PREFIXES if abs(rounded) >= pair[0]), PREFIXES[-1])
    return f"{rounded / size:.{digits}g} {prefix}{unit}".strip()


def figure_text(value: float, unit: str, digits: int = 4) -> str:
    """A plan's figure as it is read: with its unit, of energy and time in the prefix that fits; counts stay bare."""
    if math.isnan(value):
        return "unknown"
    if unit in NANO:
        return engineering(value, unit, digits)
    return f"{value:.{digits}g}" + (f" {unit}" if unit not in ("1", "MAC", *COUNTS) else "")


def counted(number: int, one: str, several: str = "") -> str:
    """A number of things, as in: 1 layer, 2 layers. several: their name where it is not the one's with an s."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def spread(error: float | None, digits: str = ".2f") -> str:
    """A standard error as it stands behind its mean; nothing where one chip gave none."""
    return "" if error is None or math.isnan(error) else f" ± {error:{digits}}"


def share(value: float) -> str:
    """A part of a whole, or a relative error, in per cent."""
    return f"{value:.1%}"


def sizes_text(sizes: Mapping[str, int]) -> str:
    """Sizes of a run as text: batch 1, sequence 128."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items())
