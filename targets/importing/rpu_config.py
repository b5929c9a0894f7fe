"""RPUConfigs of AIHWKit and AIHWKit-Lightning as target files, read without running them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from tilewright.targets.documents import Located
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.importing.inert_pickle import LARGEST, Made, Name, read_pickle
from tilewright.targets.importing.rpu_fields import CLASS, Fields
from tilewright.targets.importing.rpu_mapping import mapped
from tilewright.targets.loading import load_document, parse_document
from tilewright.targets.paths import FOLDER, kind_of, read_bytes, shown_path
from tilewright.targets.shown import LONGEST, shown, visible
from tilewright.targets.spec import AnalogTarget

PACKAGES = ("aihwkit_lightning", "aihwkit")
IN_FOLDER = "rpu_config"
"""Name of the pickle in folders of models."""
MOST_NAMED = 40
"""Largest number of fields that one note names."""


@dataclass(frozen=True)
class ImportedTarget:
    """A target that another tool's settings describe.

    target: as it is validated. content: its document, with what it extends by name. notes: what the settings say that
    has no counterpart, and what was taken in place of what they do not say; in sentences.
    """

    target: AnalogTarget
    content: dict[str, Any]
    notes: list[str]

    @property
    def text(self) -> str:
        """Text of its YAML file, with the notes as comments."""
        notes = "".join(f"# {visible(note)}\n" for note in self.notes)
        return notes + yaml.safe_dump(self.content, sort_keys=False, allow_unicode=True, width=120)


def read_rpu_config(
    path: str | Path, *, extends: str = "pcm-512", name: str | None = None, ignore: Collection[str] = ()
) -> ImportedTarget:
    """Read the RPUConfig of AIHWKit or AIHWKit-Lightning in a pickle, of pickle or dill, without running any of it.

    path: of the pickle, or of a model's folder with one that is called rpu_config. extends: the library's analog
    target that gives what the settings do not say: the chip and, where they have no model of noise, the device. name:
    of the new target; the file's without its ending if None. ignore: settings, such as "forward.inp_noise", that are
    left out though results change. Raises ``InputError`` for a file that holds anything but settings, and for settings
    that have no counterpart and would change results.
    """
    file = Path(path) / IN_FOLDER if kind_of(path) == FOLDER else Path(path)
    what = f"rpu_config {shown_path(file)}"
    base = cast("AnalogTarget", load_document(extends, "analog"))
    found = read_pickle(read_bytes(file, "file", LARGEST), PACKAGES, what)
    if not isinstance(found, Made) or not found.name.name.endswith(("RPUConfig", "Preset")):
        raise InputError(f"{what} holds {shown(_kind(found))}, not an RPUConfig")
    settings = _plain(found)
    fields = Fields(settings, f"rpu_config of {file.name}")
    own, notes = mapped(fields, is_lightning=found.name.module.startswith(PACKAGES[0]))
    _refuse(fields, what, ignore)
    if own.get("device") and base.device.statistics != "pcm":
        raise InputError(f"{what} has phase-change memory, which {extends!r} has not; extend pcm-512 or one like it")
    strays = sorted(fields.strays)
    if strays:
        named = ", ".join(visible(name)[:LONGEST] for name in strays[:MOST_NAMED])
        notes.append(f"without a counterpart, and left out: {named}{', ...' if len(strays) > MOST_NAMED else ''}")
    if ignore:
        notes.append(f"left out as asked: {', '.join(sorted(ignore))}")
    summary = (
        f"Read from {fields.source}, a {visible(settings[CLASS])[:LONGEST]}; what it does not say is as {extends}."
    )
    content = {"schema_version": 2, "kind": "analog", "extends": extends, "name": name or _name(file)}
    content |= {"summary": summary, **own}
    target = cast("AnalogTarget", parse_document(Located(content, what, None), ("analog",)))
    return ImportedTarget(target, content, notes)


def _refuse(fields: Fields, what: str, ignore: Collection[str]) -> None:
    """Raise ``InputError`` for settings that change results, unless they are to be left out."""
    for name in ignore:
        if name not in fields.refused:
            raise InputError(f"{what}: {name!r} is to be left out, but nothing of it is refused; "
                             f"{nearest(name, fields.refused)}")  # fmt: skip
    left = {name: value for name, value in fields.refused.items() if name not in ignore}
    if left:
        named = ", ".join(f"{name} = {shown(value)}" for name, value in left.items())
        raise InputError(
            f"{what} asks for what tiles have no counterpart of, and results would change: {named}; to leave these "
            f"out, ignore {', '.join(left)}"
        )


def _plain(value: Any) -> Any:
    """Records of a pickle as plain values: objects as dicts with their class, members of an enum as their value."""
    if isinstance(value, Name):
        return value.name
    if isinstance(value, Made):
        if not value.fields and len(value.values) == 1 and isinstance(value.values[0], str | int | float):
            return value.values[0]
        return {**{name: _plain(inner) for name, inner in value.fields.items()}, CLASS: value.name.name}
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _kind(value: Any) -> str:
    return (
        value.name.name if isinstance(value, Made) else value.name if isinstance(value, Name) else type(value).__name__
    )


def _name(file: Path) -> str:
    """A name for a target from that of a file."""
    words = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in file.stem)
    return words.strip("-_.") or "imported"
