"""Target files as they are on disk: found by name or path, read as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.library import library_files
from tilewright.targets.migration import migrated
from tilewright.targets.paths import kind_of, read_text
from tilewright.targets.plain_yaml import read_plain
from tilewright.targets.shown import shown

CALLED = {
    "digital": "digital unit",
    "attention": "attention unit",
    "programming": "programming method",
    "cost": "cost preset",
    "recipe": "training recipe",
}
"""Names for people of the kinds of document; all others are targets."""
LARGEST_FILE = 1_000_000  # bytes; a target is a page of numbers


@dataclass(frozen=True)
class Located:
    """A document that was read, its name in sentences, and its folder."""

    content: Any
    what: str
    """Name in sentences, kind and place: "target mine.yaml"."""
    folder: Path | None
    """Folder in which it may name others by file name; None if it was not read from a file."""


def find_document(name: str | Path, kinds: Sequence[str], folder: Path | None = None) -> Located:
    """The library's document of that name, or the one in that file.

    folder: where a file that names another one lies; it may name its neighbours there and nothing else. Raises
    ``InputError`` if there is none or it cannot be read.
    """
    what = CALLED.get(kinds[0], "target") if len(kinds) == 1 else "target"
    if not isinstance(name, str | Path):
        raise InputError(f"{what} is {shown(name)}; it must be a name of the library, a YAML file, or a {what} itself")
    files = library_files(*kinds)
    path, elsewhere = files.get(str(name)), library_files().get(str(name))
    if path is None and elsewhere is not None:
        raise InputError(
            f"{str(name)!r} is of the kind {elsewhere.parent.name}, not a {what}; {nearest(str(name), files)}"
        )
    if path is None:
        path = Path(name) if folder is None else folder / Path(name).name
        outside = folder is not None and Path(name).name != str(name)
        if outside or kind_of(path) is None:
            where = "by name or as a file" + (" beside the one that names it" if folder is not None else "")
            raise InputError(f"there is no {what} {str(name)!r}, {where}; {nearest(str(name), files)}")
    return Located(migrated(_read_yaml(path, what)), f"{what} {name}", path.absolute().parent)


def _read_yaml(path: Path, what: str) -> Any:
    try:
        return read_plain(read_text(path, what, LARGEST_FILE))
    except InputError:
        raise
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split()) if str(error) else type(error).__name__
        raise InputError(f"{what} {path} is not readable YAML: {reason[:400]}") from error
