"""Folder of what is kept on disk between runs to save time, and may be removed at any moment."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import platformdirs

VARIABLE = "TILEWRIGHT_CACHE"
OFF = "off"


def cache_folder() -> Path | None:
    """The user's cache folder, or the one that the environment variable TILEWRIGHT_CACHE names; None if it is "off"."""
    asked = os.environ.get(VARIABLE, "")
    if asked.lower() == OFF:
        return None
    return Path(asked) if asked else platformdirs.user_cache_path("tilewright")


def bytes_in(folder: Path) -> int:
    """Bytes of all files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # another process may remove it meanwhile
            total += path.lstat().st_size
    return total
