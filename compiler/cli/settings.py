"""KEY=VALUE, PATTERN=NAME, NAME=SIZE and FIRST:END, as options of the command line give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tilewright.targets.errors import InputError
from tilewright.targets.paths import real_path
from tilewright.targets.plain_yaml import read_plain
from tilewright.targets.shown import shown

LONGEST_NUMBER = 19  # digits


def parse_changes(given: list[str] | None) -> dict[str, Any]:
    """Changes such as ``tile.adc.bits=8``, as key -> value: number, word or null as in YAML. Raises ``InputError``."""
    return parse_values(given, "set", "tile.adc.bits=8")


def parse_task_options(given: list[str] | None) -> dict[str, Any]:
    """Options of a task such as ``stride=512``, as key -> value as in YAML. Raises ``InputError``."""
    return parse_values(given, "task-option", "stride=512")


def parse_values(given: list[str] | None, option: str, example: str) -> dict[str, Any]:
    """Pairs KEY=VALUE of an option, as key -> value as in YAML. example: for the sentence. Raises ``InputError``."""
    values: dict[str, Any] = {}
    for key, text in parse_pairs(given, option, example).items():
        try:
            values[key] = read_plain(text)
        except yaml.YAMLError as error:
            said = shown(f"{key}={text}")
            raise InputError(f"--{option} {said}: the value is not a number, a word or null") from error
    return values


def parse_pairs(given: list[str] | None, option: str, example: str) -> dict[str, str]:
    """Pairs KEY=VALUE of an option, as key -> text. example: for the sentence. Raises ``InputError``."""
    pairs: dict[str, str] = {}
    for text in given or []:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise InputError(f"--{option} {shown(text)} is not KEY=VALUE, for example {example}")
        if key.strip() in pairs:
            raise InputError(f"--{option} {shown(text)}: {shown(key.strip())} is given twice")
        pairs[key.strip()] = value
    return pairs


def parse_adapters(given: list[str] | None) -> dict[str, Path]:
    """Adapters ``NAME=FOLDER``, or ``FOLDER`` for its own name, as name -> folder. Raises ``InputError``."""
    adapters: dict[str, Path] = {}
    for text in given or []:
        name, sign, folder = text.partition("=")
        path = Path(folder if sign else text)
        name = name.strip() if sign else name_of_folder(path)
        if not str(folder if sign else text).strip() or not name:
            raise InputError(f"--adapter {shown(text)} is not NAME=FOLDER, for example sst2=lora_sst2")
        if name in adapters:
            raise InputError(f"--adapter {shown(text)}: there are two adapters named {shown(name)}")
        adapters[name] = path
    return adapters


def name_of_folder(folder: Path) -> str:
    """Own name of a folder, also of one that is given as "." or a link."""
    return folder.name or real_path(folder).name


def parse_assignments(
    given: list[str] | None, option: str, everything: str | None = None, *, example: str = "'encoder.layer.0.*=NAME'"
) -> dict[str, str]:
    """Assignments ``PATTERN=NAME``, as pattern -> name in order. Raises ``InputError``.

    everything: the pattern that a name alone stands for.
    """
    assignments: dict[str, str] = {}
    for text in given or []:
        pattern, sign, name = text.rpartition("=")
        if not sign and everything is not None:
            pattern = everything
        if not pattern.strip() or not name.strip():
            raise InputError(f"--{option} {text!r} has not the form of {example}")
        assignments.pop(pattern.strip(), None)
        assignments[pattern.strip()] = name.strip()
    return assignments


def parse_sizes(text: str) -> dict[str, int]:
    """Sizes such as ``batch=8,sequence=512``, as name -> size. Raises ``InputError``."""
    sizes = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, sign, size = part.partition("=")
        if not sign or not size.strip().isdigit():
            raise InputError(f"--at {part!r} is not NAME=SIZE, for example sequence=128")
        sizes[name.strip()] = int(size)
    return sizes


def parse_chips(text: str | None) -> range | None:
    """Numbers of chips such as ``5:10``, of which 10 is not one; None for None. Raises ``InputError``."""
    if text is None:
        return None
    first, sign, end = text.partition(":")
    short = all(one.strip().isdecimal() and len(one.strip()) <= LONGEST_NUMBER for one in (first, end))
    if not sign or not short or int(first) >= int(end):
        raise InputError(f"--chips {shown(text)} is not FIRST:END, for example 5:10 for the chips 5 to 9")
    return range(int(first), int(end))
