"""Plots as files for a paper: a column wide, vectors where the ending says so, the same bytes for the same figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tilewright.runtime.storage.atomic_file import check_output_file, write_whole
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import shown_path
from tilewright.targets.shown import visible

ENDINGS = ("pdf", "svg", "png")
WIDTH, HEIGHT = 3.5, 2.4
"""Size in inches: a column of a paper."""
SETTINGS = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "tilewright",
    "svg.fonttype": "none",
}  # fmt: skip
"""Settings of matplotlib; text stays text, which can be searched and read aloud."""
DATELESS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata by ending, without what differs from one run to the next."""


def label(text: str) -> str:
    """Text as matplotlib draws it: a $ is one, and begins no formula; signs that cannot be seen are written out."""
    return visible(text).replace("$", r"\$")


def check_plot(path: Path, *, overwrite: bool = False) -> None:
    """Raise ``InputError`` unless a plot can be written there: by its ending, and with matplotlib installed."""
    ending = _ending(path)
    if ending not in ENDINGS:
        raise InputError(
            f"a plot is written by its ending, and {shown_path(path)} has {ending!r}; {nearest(ending, ENDINGS)}"
        )
    check_output_file(path, overwrite=overwrite)
    check_matplotlib()


def check_matplotlib() -> None:
    """Raise ``InputError`` unless matplotlib is installed."""
    if find_spec("matplotlib") is None:
        raise InputError("plots need the package matplotlib; install it with: pip install 'tilewright[plots]'")


def write_plot(
    path: Path, draw: Callable[[Any], None], *, overwrite: bool, width: float = WIDTH, height: float = HEIGHT
) -> None:
    """Write a plot as .pdf, .svg or .png, whole or not at all. draw: draws on matplotlib's figure. Sizes in inches."""
    check_plot(path, overwrite=overwrite)
    write_whole(path, plot_bytes(draw, _ending(path), width=width, height=height))


def plot_bytes(draw: Callable[[Any], None], ending: str, *, width: float = WIDTH, height: float = HEIGHT) -> bytes:
    """Content of a plot's file."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    made = io.BytesIO()
    with rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        figure.savefig(made, format=ending, dpi=300, metadata=DATELESS.get(ending))
    return made.getvalue()


def _ending(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()
