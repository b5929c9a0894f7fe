"""Folder of what is kept on disk between runs to save time, and may be removed at any moment."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, kind_of, shown_path

VARIABLE = "TILEWRIGHT_CACHE"
OFF = "off"
MOST_KEPT = 2**34
"""Bytes that all kept networks may take; those that were not used for longest are removed."""


def cache_folder() -> Path | None:
    """The user's cache folder, or the one that the environment variable TILEWRIGHT_CACHE names; None if it is "off"."""
    asked = os.environ.get(VARIABLE, "")
    if asked.lower() == OFF:
        return None
    return Path(asked) if asked else platformdirs.user_cache_path("tilewright")


def cache_problem(folder: Path) -> str | None:
    """Reason why nothing can be kept in a cache folder, in half a sentence; None if something can. Leaves no trace."""
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if kind_of(place) is not None)
        if kind_of(there) != FOLDER:
            return f"{shown_path(there)} is a {kind_of(there)}, not a folder"
        if not os.access(there, os.W_OK | os.X_OK):
            return f"no permission to write in {shown_path(there)}"
        with tempfile.TemporaryFile(dir=there):
            return None
    except InputError as error:  # no path of this system
        return str(error)
    except OSError as error:  # a full disk, or a file system of another kind, such as /proc
        return f"nothing can be made in {shown_path(there)}: {error.strerror}"


def bytes_in(folder: Path) -> int:
    """Bytes of all files in a folder; none if there is no such folder."""
    total = 0
    with suppress(OSError):  # what is no folder
        for path in folder.rglob("*"):
            with suppress(OSError):  # another process may remove it meanwhile
                total += path.lstat().st_size
    return total
