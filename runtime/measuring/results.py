"""Measurements of files, merged, filtered, and summed over chips: what ``tilewright results`` shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tilewright.runtime.measuring.measurements import ID, RESAMPLED, measurement_id, measurements_in
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.storage.atomic_file import check_output_file, whole_file
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import as_path
from tilewright.targets.shown import shown
from tilewright.targets.times import parse_time

CHIP = "repeat"
"""Key that tells the chips of one seed apart."""
SECONDS, HASH = "seconds", 64
"""Key of the time since programming, and letters of a hash."""
HIDDEN = (ID, "value", RESAMPLED, CHIP)


@dataclass(frozen=True)
class Results:
    """Measurements of several files, each once.

    entries: as they stand in the files, in their order. differing: how many have another value in a later file; the
    first counts. repeated: how many are there more than once.
    """

    entries: list[dict[str, Any]]
    repeated: int
    differing: int

    def where(self, wanted: Mapping[str, Any]) -> Results:
        """Measurements whose keys have these values.

        wanted: values by key, or text as tables show it: a hash by its first letters, seconds as a time such as "1mo".
        Raises ``InputError`` for a key that none of them has.
        """
        keys = {key for entry in self.entries for key in entry if key not in (ID, RESAMPLED)}
        for key in wanted:
            if key not in keys:
                raise InputError(f"no measurement has the key {shown(key)}; {nearest(key, keys)}")
        return Results([entry for entry in self.entries if _fits(entry, wanted)], self.repeated, self.differing)

    def groups(self) -> list[ResultGroup]:
        """Measurements that only differ in their chip, together, in the order of the first of each."""
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in self.entries:
            found.setdefault(measurement_id({**entry, CHIP: None}), []).append(entry)
        return [ResultGroup(entries) for entries in found.values()]

    def write(self, path: Path) -> None:
        """Write the measurements to a new file, whole or not at all, which any command takes for its own.

        Raises ``InputError`` for a file that is there, and a place that cannot be written.
        """
        path = as_path(path, "file of measurements")
        check_output_file(path, overwrite=False)
        with whole_file(path) as file:
            for entry in self.entries:
                file.write(json.dumps(entry).encode() + b"\n")


@dataclass(frozen=True)
class ResultGroup:
    """Measurements of several chips that are alike in all else. entries: one a chip."""

    entries: list[dict[str, Any]]

    @property
    def names(self) -> dict[str, Any]:
        """Keys and values that all of them have."""
        return {key: value for key, value in self.entries[0].items() if key not in HIDDEN}

    @property
    def values(self) -> list[float]:
        """Figures, one a chip."""
        return [float(entry["value"]) for entry in self.entries]

    @property
    def mean(self) -> float:
        """Mean over chips."""
        return mean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean; None from one chip."""
        return standard_error(self.values)


def read_results(paths: str | Path | Sequence[str | Path]) -> Results:
    """Measurements of files, merged: each is there once, by its id.

    Raises ``InputError`` for a file of anything else, and for a line that was changed.
    """
    found: dict[str, dict[str, Any]] = {}
    repeated = differing = 0
    given = [paths] if isinstance(paths, str | Path) else paths
    if not isinstance(given, Iterable):
        raise InputError(f"files of measurements are {shown(paths)}; give paths")
    for path in given:
        for entry in measurements_in(as_path(path, "file of measurements")):
            name = measurement_id(entry)
            if name in found:
                repeated += 1
                differing += repr(found[name]["value"]) != repr(entry["value"])  # NaN is NaN
            else:
                found[name] = {**entry, ID: name}
    return Results(list(found.values()), repeated, differing)


def _fits(entry: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(_alike(key, entry.get(key), value) for key, value in wanted.items())


def _alike(key: str, value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, str):
        return bool(value == wanted)
    text = wanted.strip()
    if isinstance(value, str):
        return value == text or (len(value) == HASH and text != "" and value.startswith(text))
    if value is None or isinstance(value, bool):
        return text.lower() == {None: "none", True: "true", False: "false"}[value]
    if key == SECONDS:
        return bool(value == parse_time(text))
    with suppress(ValueError):
        return bool(value == float(text))
    return False
