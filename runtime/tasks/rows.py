"""Rows of labelled data by column names: TSV, CSV, JSON, JSON lines, or parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import check_file, shown_path
from tilewright.targets.shown import shown

LARGEST_FILE = 2**30  # bytes
Row = dict[str, Any]
SEPARATORS = {".tsv": "\t", ".csv": ","}


def read_rows(
    path: Path, columns: Sequence[str], limit: int | None, *, header: Sequence[str] | None = None
) -> list[Row]:
    """The first rows of a file, with these columns and no others.

    header: the names of all columns, for a file of tab-separated text that has no line of names. Raises ``InputError``
    for a file that is not of these formats or has no rows, and for a column that is missing.
    """
    rows = _first_rows(path, header, limit)
    if not rows:
        raise InputError(f"{shown_path(path)} has no rows")
    for number, row in enumerate(rows, start=1):
        missing = next((column for column in columns if row.get(column) is None), None)
        if missing is not None:
            known = ", ".join(map(str, row)) if number > 1 else nearest(missing, [str(name) for name in row])
            raise InputError(f"{shown_path(path)} row {number} has no column {missing!r}; {known}")
    return [{column: row[column] for column in columns} for row in rows]


def column_names(path: Path) -> list[str]:
    """Names of a file's columns, by its first row; none if it has no rows. Raises ``InputError`` as ``read_rows``."""
    return [str(name) for name in next(iter(_first_rows(path, None, 1)), {})]


def numbers(values: Sequence[Any], column: str) -> list[float]:
    """Finite numbers that a column's values are, or say as text. Raises ``InputError`` for one that is none."""
    return [_number(value, column, row) for row, value in enumerate(values, start=1)]


def _number(value: Any, column: str, row: int) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"row {row}: {column} {shown(str(value))} is not a number")
    return number


def _first_rows(path: Path, header: Sequence[str] | None, limit: int | None) -> list[Row]:
    check_file(path, "data file", LARGEST_FILE)
    try:
        return list(islice(_rows(path, header), limit))
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{shown_path(path)} cannot be read: {error}") from error


def _rows(path: Path, header: Sequence[str] | None) -> Iterator[Row]:
    kind = path.suffix.lower()
    if kind in SEPARATORS:
        quoting: Any = csv.QUOTE_NONE if kind == ".tsv" else csv.QUOTE_MINIMAL
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = header if kind == ".tsv" else None
            rows: Any = csv.DictReader(file, names, delimiter=SEPARATORS[kind], quoting=quoting)
            yield from rows
    elif kind in (".json", ".jsonl"):
        yield from _json_rows(path, lines=kind == ".jsonl")
    elif kind == ".parquet":
        yield from _parquet_rows(path)
    else:
        raise InputError(
            f"{shown_path(path)} is of no kind that is read; allowed: .tsv, .csv, .json, .jsonl and .parquet"
        )


def _json_rows(path: Path, *, lines: bool) -> Iterator[Row]:
    text = path.read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines() if line.strip()] if lines else json.loads(text)
    found = found.get("data", found) if isinstance(found, dict) else found
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InputError(f"{shown_path(path)} is not a list of objects, one a row")
    yield from found


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"reading {shown_path(path)} needs the package pyarrow: pip install pyarrow") from error
    try:
        yield from pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise InputError(f"{shown_path(path)} cannot be read: {error}") from error
