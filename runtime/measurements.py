"""Measurements that are kept as they are made, so that a run can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tilewright.runtime.plan import Plan
from tilewright.targets.errors import InputError
from tilewright.targets.quantity import is_finite

LARGEST_FILE = 2**26  # bytes that are read of a stranger's file


class MeasurementLog:
    """Measurements by their name, kept in a file so that a run can be resumed."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        """Raises ``InputError`` if the file cannot hold measurements."""
        self.path, self.settings = path, settings
        self._known: dict[str, float] = {}
        if path is None:
            return
        if not path.absolute().parent.is_dir() or path.is_dir():
            raise InputError(f"cannot write measurements to {path}: its folder does not exist or it is a folder itself")
        if path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                name, value = self._name(entry), float(entry.pop("value"))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number == len(lines) > 1 and not line.endswith("\n"):  # a run was cut off while it wrote this
                    path.write_text("".join(lines[:-1]), encoding="utf-8")  # what is added must not join it
                    return
                raise InputError(f"{path} line {number} is not a measurement of tilewright") from error
            self._known[name] = value

    @staticmethod
    def _name(entry: dict[str, Any]) -> str:
        return json.dumps({key: entry[key] for key in sorted(entry) if key != "value"})

    def measure(self, measurement: dict[str, Any], make: Callable[[], float]) -> float:
        """The value of that measurement, made now if it is not known."""
        entry = {**self.settings, **measurement}
        name = self._name(entry)
        if name not in self._known:
            self._known[name] = make()
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**entry, "value": self._known[name]}) + "\n")
        return self._known[name]

    def knows(self, measurement: dict[str, Any]) -> bool:
        """Whether the measurement was made before."""
        return self._name({**self.settings, **measurement}) in self._known


def place_beside(plan: Plan, file: str) -> Path | None:
    """Where measurements of a plan are kept: in its folder; None if it has none that can be written."""
    folder = plan.folder
    return folder / file if folder is not None and folder.is_dir() and os.access(folder, os.W_OK) else None


def json_lines(path: Path | None, largest: int = LARGEST_FILE) -> Iterator[Any]:
    """The lines that are whole of a file that may be a stranger's; none if there is none, or of more bytes."""
    if path is None or not path.is_file() or path.stat().st_size > largest:
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, RecursionError):
            yield json.loads(line)


def read_measurements(path: Path | None) -> Iterator[dict[str, Any]]:
    """The measurements in a file, for reading alone: what else is in it is passed by."""
    for entry in json_lines(path):
        value = entry.get("value") if isinstance(entry, dict) else None
        if is_finite(value):
            yield entry
