"""A folder that appears whole or not at all, and takes another's place without losing what is the user's in it.

A folder of tilewright is known by a file with tilewright's own keys, which also says what else in it is tilewright's.
Everything else there, measurements among it, is carried over: linked into the new folder before the two are exchanged,
and what could not be linked, or came in between, is moved behind it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tilewright.runtime.storage.c_library import exchange
from tilewright.runtime.storage.workspace import abandoned, check_beside, check_may_replace, remove, workspace
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_flags
from tilewright.targets.paths import FOLDER, kind_of, read_bytes, real_path, shown_path

NEW, READY, OLD = "new", "ready", "old"
"""Names of folders in a workspace: being written; whole or, once exchanged, the old one; moved out of the way."""
LARGEST_MARKER = 2**30  # bytes of JSON


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that tilewright writes, and the marker that it is known by."""

    called: str
    """Name of the kind in sentences, such as "a plan"."""
    marker: str
    """Name of a JSON file at the folder's top."""
    keys: frozenset[str]
    """Keys that the JSON object in the marker has at least."""
    files: Callable[[dict[str, Any]], set[str]]
    """Function from the marker's content to tilewright's other files in the folder; paths with slashes."""

    def own_files(self, folder: Path) -> set[str] | None:
        """The files of a folder that are tilewright's, whether they are there or not; None if it is no such folder."""
        try:
            content = json.loads(read_bytes(folder / self.marker, self.called, LARGEST_MARKER))
        except (ValueError, RecursionError):  # an InputError is a ValueError
            return None
        if not isinstance(content, dict) or not self.keys <= content.keys():
            return None
        return {self.marker, *self.files(content)}


def check_destination(folder: Path, kind: FolderKind, *, overwrite: bool) -> None:
    """Raise ``InputError`` if ``folder`` cannot be written; an old one is replaced only if it is of that kind."""
    check_flags(overwrite=overwrite)
    check_beside(folder)
    put_back(folder)
    there = kind_of(folder)
    if there is None:
        return
    if there != FOLDER:
        raise InputError(f"{shown_path(folder)} exists already and is a {there}; choose another name")
    check_may_replace(folder, overwrite=overwrite)
    if kind.own_files(folder) is None:
        raise InputError(
            f"{shown_path(folder)} exists and holds no {kind.marker} of tilewright, so it is not overwritten"
        )


@contextmanager
def atomic_folder(folder: Path, kind: FolderKind, *, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside ``folder`` that takes its place when the block ends without an error.

    At the name there is the old folder or the new one at any moment, wherever the process is stopped (on systems that
    cannot exchange two folders in one step there is none for a moment; who looks next puts the old one back). Files
    of an old folder that are not tilewright's are in the new one too.
    """
    check_destination(folder, kind, overwrite=overwrite)
    place = real_path(folder)
    with workspace(place, lambda work: _finish(work, place, kind)) as work:
        new, ready = work / NEW, work / READY
        new.mkdir()
        yield new
        if overwrite and place.is_dir():
            own = kind.own_files(place)
            if own is None:
                raise InputError(
                    f"{shown_path(folder)} is no longer {kind.called}: another process changed it meanwhile"
                )
            _carry_over(place, new, own, _link)
            shutil.copymode(place, new)
        new.rename(ready)
        _take_place(ready, place, work / OLD, overwrite=overwrite)


def _take_place(ready: Path, place: Path, aside: Path, *, overwrite: bool) -> None:
    """Give a folder its name; a folder that has the name takes the other's, or goes aside."""
    try:
        ready.rename(place)
        return
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    if not overwrite:
        raise InputError(f"{shown_path(place)} exists already: another process wrote it meanwhile")
    if not exchange(ready, place):
        place.rename(aside)
        ready.rename(place)


def put_back(folder: Path) -> None:
    """Give a folder its name back, if a process died while it put another in its place."""
    place = real_path(folder)
    if os.path.lexists(place):
        return
    for work in abandoned(place):
        with suppress(OSError):
            (work / OLD).rename(place)


def _finish(work: Path, place: Path, kind: FolderKind) -> None:
    """Remove a workspace, after all in it that is the user's has got its place again."""
    if not os.path.lexists(place) and (work / OLD).is_dir():
        (work / OLD).rename(place)
    for replaced in (work / OLD, work / READY):
        if replaced.is_dir() and place.is_dir():
            _carry_over(replaced, place, kind.own_files(replaced) or set(), os.rename)
    remove(work)


def _carry_over(
    source: Path, destination: Path, own: set[str], put: Callable[[Path, Path], None], above: str = ""
) -> None:
    """Put the files of a folder that are not tilewright's own into another, each into a folder of the same name.

    A file whose name another file has gets a number behind it. own: see ``own_files``.
    """
    entries = sorted(os.scandir(source), key=lambda entry: entry.name)
    if not entries:
        destination.mkdir(exist_ok=True)
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and above + entry.name in own:
            continue
        wanted = _name_for(entry, destination, is_folder=is_folder)
        if wanted is None:
            continue
        if not is_folder:
            destination.mkdir(parents=True, exist_ok=True)
            put(Path(entry.path), wanted)
            continue
        made = not wanted.exists()
        _carry_over(Path(entry.path), wanted, own, put, f"{above}{entry.name}/")
        if made and wanted.exists():
            shutil.copystat(entry.path, wanted)


def _name_for(entry: os.DirEntry[str], folder: Path, *, is_folder: bool) -> Path | None:
    """The entry's own name in a folder, or one with a number if something else has it; None if it is there already."""
    for number in count():
        wanted = folder / (f"{entry.name}.{number}" if number else entry.name)
        try:
            there = wanted.lstat()
        except FileNotFoundError:
            return wanted
        if is_folder and stat.S_ISDIR(there.st_mode):
            return wanted
        if os.path.samestat(entry.stat(follow_symlinks=False), there):
            return None
    raise AssertionError("numbers do not end")


def _link(source: Path, destination: Path) -> None:
    """Give a file a second name, if the file system and the file's owner allow one."""
    with suppress(OSError):
        os.link(source, destination, follow_symlinks=False)
