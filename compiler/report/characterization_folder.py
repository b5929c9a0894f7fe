"""A characterization as a folder: its figures, and their plots."""

from __future__ import annotations

from pathlib import Path

from tilewright.compiler.report.characterization_plots import PLOTS, require_matplotlib, save_plots
from tilewright.compiler.report.finite_json import json_text
from tilewright.runtime.measuring.characterize import Characterization
from tilewright.runtime.storage.atomic_folder import FolderKind, atomic_folder, check_destination

RESULT_FILE = "characterization.json"
KIND = FolderKind("a characterization", RESULT_FILE, frozenset({"problem", "curves"}), lambda _: set(PLOTS))


def save_characterization(found: Characterization, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write all figures (JSON) and their plots (PNG) as a folder, whole or not at all. Returns the files' paths.

    Raises ``InputError`` without matplotlib, and for a folder that is there already, unless it may be replaced and
    holds a characterization.
    """
    folder = Path(folder)
    check_folder(folder, overwrite=overwrite)
    with atomic_folder(folder, KIND, overwrite=overwrite) as unfinished:
        (unfinished / RESULT_FILE).write_text(json_text(found.to_json()) + "\n", encoding="utf-8")
        save_plots(found, unfinished)
    return [folder / name for name in (RESULT_FILE, *PLOTS)]


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise ``InputError`` if a characterization cannot be written there, before it is measured."""
    require_matplotlib()
    check_destination(folder, KIND, overwrite=overwrite)
