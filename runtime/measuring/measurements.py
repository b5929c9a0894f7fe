"""Measurements that are kept as they are made, so that a run can be resumed, and merged by reading their files."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.storage.line_file import (
    LARGEST_LOG,
    LONGEST_LINE,
    TornLineError,
    add_line,
    entries,
    parsed,
    why_not_added,
)
from tilewright.targets.draws_version import VERSION
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FILE, FOLDER, kind_of, read_lines, shown_path

ID = "id"
"""Key of a measurement's id, the hash of all that affects its value."""
RESAMPLED = "resampled"
"""Key of the figures on resamples of the examples, beside ``value``."""
NAMELESS = (ID, "value", RESAMPLED, "metric", "metric_version")
"""Keys that do not name a measurement: its id, what was measured, and what the hash ``data`` holds and people read."""
MOST_RESAMPLES = 10_000


class Measured(NamedTuple):
    """Result of a measurement.

    value: the figure. resampled: the figure on each resample of the examples, None where it has none there; None in
    place of all where there are none, as of measurements that were made before there were resamples.
    """

    value: float
    resampled: list[float | None] | None = None


def measurement_id(entry: Mapping[str, Any]) -> str:
    """Id of a measurement: SHA-256, in hexadecimal, of all that affects its value."""
    named = {key: entry[key] for key in sorted(entry) if key not in NAMELESS}
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


class MeasurementLog:
    """Measurements by their id, kept in a file so that a run can be resumed; other files are read beside it.

    A file may hold torn lines of runs that were killed, at its end or where another process went on: these are passed
    by, and their measurements are made again. differing: how many of the files' measurements have two values; the
    first that is read counts.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any], others: Sequence[Path] = ()) -> None:
        """Open a log. settings: those of the run, in each measurement, beside the version of the random numbers.

        others: files of measurements that are read alone. Raises ``InputError`` for files of anything else.
        """
        self.path, self.settings, self.differing = path, {"draws": VERSION, **settings}, 0
        self._known: dict[str, Measured] = {}
        if path is not None:
            kind = kind_of(path)
            if kind == FOLDER or kind_of(path.absolute().parent) != FOLDER:
                raise InputError(
                    f"cannot write measurements to {shown_path(path)}: its folder does not exist or it is a folder "
                    "itself"
                )
            if kind not in (None, FILE):
                raise InputError(f"cannot write measurements to {shown_path(path)}: it is a {kind}")
            if not os.access(path if kind is not None else path.absolute().parent, os.W_OK):
                raise InputError(f"cannot write measurements to {shown_path(path)}: no permission")
            if kind is not None:
                self._read(path)
        for other in others:
            self._read(other)

    def _read(self, path: Path) -> None:
        for entry in measurements_in(path):
            name, found = measurement_id(entry), _measured(entry)
            first = self._known.setdefault(name, found)
            self.differing += first.value != found.value and not math.isnan(first.value + found.value)

    @property
    def notes(self) -> list[str]:
        """Sentence on measurements that have two values, if there are any."""
        if not self.differing:
            return []
        return [f"measurements with two values in the files: {self.differing}; the value that was read first counts"]

    def measure(self, measurement: dict[str, Any], make: Callable[[], float]) -> float:
        """The value of that measurement, made now if it is not known."""
        return self.measured(measurement, lambda: Measured(make())).value

    def measured(self, measurement: dict[str, Any], make: Callable[[], Measured]) -> Measured:
        """Result of that measurement, with its figures on resamples, made now if its value is not known."""
        found = self.known(measurement)
        return found if found is not None else self.add(measurement, make())

    def known(self, measurement: dict[str, Any]) -> Measured | None:
        """Result of that measurement, if it was made before."""
        return self._known.get(measurement_id({**self.settings, **measurement}))

    def kept(self, measurement: dict[str, Any]) -> Measured:
        """Result of a measurement that was made. Raises ``KeyError`` for one that was not."""
        return self._known[measurement_id({**self.settings, **measurement})]

    def add(self, measurement: dict[str, Any], found: Measured) -> Measured:
        """Keep the result of a measurement that was not known. Returns it."""
        entry = {**self.settings, **measurement}
        name = measurement_id(entry)
        self._known[name] = found
        if self.path is not None:
            add_line(self.path, {**entry, ID: name, **{key: x for key, x in found._asdict().items() if x is not None}})
        return found


def measurements_in(path: Path) -> Iterator[dict[str, Any]]:
    """Whole measurements of a file, in its order.

    Raises ``InputError`` for a file of other things, and for a measurement whose id is not that of what it says.
    """
    doubtful, ours = 0, False
    lines = read_lines(path, "file of measurements", LARGEST_LOG, LONGEST_LINE + 2)
    for number, line in enumerate(lines, start=1):
        try:
            entry = parsed(line)
            _measured(entry)
            named = entry.get(ID, None)
            right = named is None or named == measurement_id(entry)
        except TornLineError as torn:
            doubtful = doubtful or (0 if _begins_like_ours(str(torn)) else number)
            continue
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{shown_path(path)} line {number} is not a measurement of tilewright") from error
        if not right:
            raise InputError(f"{shown_path(path)} line {number} was changed: its id is not that of what it says")
        ours = True
        yield entry
    if doubtful and not ours:  # nothing tells that it is a file of measurements
        raise InputError(f"{shown_path(path)} line {doubtful} is not a measurement of tilewright")


def _begins_like_ours(text: str) -> bool:
    ours = '{"draws": '
    return text.startswith(ours) or ours.startswith(text)


def _measured(entry: dict[str, Any]) -> Measured:
    """Result in a line of a log. Raises ``KeyError``, ``TypeError`` or ``ValueError`` if it is none."""
    value, resampled = entry["value"], entry.get(RESAMPLED)
    if not is_measured(value):
        raise ValueError(value)
    if resampled is None:
        return Measured(float(value))
    if not isinstance(resampled, list) or len(resampled) > MOST_RESAMPLES:
        raise ValueError(resampled)
    if not all(figure is None or is_measured(figure) for figure in resampled):
        raise ValueError(resampled)
    return Measured(float(value), [None if figure is None else float(figure) for figure in resampled])


def kept_beside(plan: Plan, file: str) -> tuple[Path | None, str | None]:
    """Path of measurements in a plan's folder, and why nothing is kept in a folder that there is, half a sentence.

    Both are None for a plan without a folder.
    """
    folder = plan.folder
    if folder is None:
        return None, None
    if not folder.is_dir():
        return None, f"the plan's folder {shown_path(folder)} is not there any more"
    problem = why_not_added(folder / file)
    return (folder / file, None) if problem is None else (None, problem)


def read_measurements(path: Path | None) -> Iterator[dict[str, Any]]:
    """Measurements in a file, for reading alone: lines of other things are passed by."""
    for entry in entries(path):
        if isinstance(entry, dict) and is_measured(entry.get("value")):
            yield entry


def add_measurements(source: Path | None, destination: Path) -> None:
    """Add the values of measurements of one file to another, which may have some of them."""
    log = MeasurementLog(destination, {})
    for entry in read_measurements(source):
        value, _ = entry.pop("value"), entry.pop(RESAMPLED, None)
        log.measure(entry, lambda value=value: value)  # type: ignore[misc]


def is_measured(value: Any) -> bool:
    """True if a value is a number that a measurement may give: of at most 64 bits; NaN is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**63
