"""Rows of labelled data by column names: TSV, CSV, JSON, JSON lines, or parquet."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import check_file, read_text, shown_path
from tilewright.targets.shown import shown

LARGEST_FILE = 2**30  # bytes
MOST_ROWS = 2**20
"""Rows that are read, at most: a small file of parquet may hold billions of equal ones."""
AT_ONCE = 64
"""Rows of parquet that are unpacked at once."""
LONGEST_NAME = 80
"""Letters of a column's name that a sentence shows."""
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
            names = [str(name)[:LONGEST_NAME] for name in row]
            what = "nothing in its column" if missing in row else "no column"
            known = "" if missing in row else f"; {nearest(missing, names)}"
            raise InputError(f"{shown_path(path)} row {number} has {what} {shown(missing)}{known}")
    return [{column: row[column] for column in columns} for row in rows]


def column_names(path: Path) -> list[str]:
    """Names of a file's columns, by its first row; none if it has no rows. Raises ``InputError`` as ``read_rows``."""
    return [str(name) for name in next(iter(_first_rows(path, None, 1)), {})]


def column_option(option: str, given: Any, own: str | None) -> str | None:
    """Name of a column that an option of a task gives; the task's ``own`` if it gives None.

    Raises ``InputError`` for what is no name; a whole number is one, of a column that is called so.
    """
    if given is None:
        return own
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise InputError(f"{option} is {shown(given)}; it must be the name of a column")
    return str(given)


def texts(values: Sequence[Any], column: str) -> list[str]:
    """Texts that a column's values are; numbers as they are written. Raises ``InputError`` for other values."""
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str | int | float):
            raise InputError(f"row {row}: {column} is {shown(value)}, which is no text")
    return [str(value) for value in values]


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
        rows = list(islice(_rows(path, header), MOST_ROWS + 1 if limit is None else min(limit, MOST_ROWS + 1)))
    except InputError:
        raise
    except (csv.Error, ValueError, OSError, MemoryError, RecursionError) as error:
        raise InputError(f"{shown_path(path)} cannot be read: {str(error) or type(error).__name__}") from error
    if len(rows) > MOST_ROWS:
        raise InputError(f"{shown_path(path)} has more than {MOST_ROWS:,} rows; limit takes the first so many")
    return rows


def _rows(path: Path, header: Sequence[str] | None) -> Iterator[Row]:
    kind = path.suffix.lower()
    if kind in SEPARATORS:
        quoting: Any = csv.QUOTE_NONE if kind == ".tsv" else csv.QUOTE_MINIMAL
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = header if kind == ".tsv" else None
            rows: Any = csv.DictReader(file, names, delimiter=SEPARATORS[kind], quoting=quoting, strict=True)
            twice = [name for name, times in Counter(rows.fieldnames or ()).items() if name and times > 1]
            if twice:
                raise InputError(f"{shown_path(path)} has the column {shown(twice[0])} twice")
            for number, row in enumerate(rows, start=1):
                if any(row.pop(None, ())):  # cells without a name: a text with a comma that is not in quotes
                    raise InputError(f"{shown_path(path)} row {number} has more cells than there are columns")
                yield row
    elif kind in (".json", ".jsonl"):
        yield from _json_rows(path, lines=kind == ".jsonl")
    elif kind == ".parquet":
        yield from _parquet_rows(path)
    else:
        raise InputError(
            f"{shown_path(path)} is of no kind that is read; allowed: .tsv, .csv, .json, .jsonl and .parquet"
        )


def _json_rows(path: Path, *, lines: bool) -> Iterator[Row]:
    text = read_text(path, "data file", LARGEST_FILE).removeprefix("\ufeff")
    # no splitlines: strings of JSON may hold other ends of lines as they are
    found = [json.loads(line) for line in text.split("\n") if line.strip()] if lines else json.loads(text)
    found = found.get("data", found) if isinstance(found, dict) else found
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InputError(f"{shown_path(path)} is not a list of objects, one a row")
    yield from found


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"reading {shown_path(path)} needs the package pyarrow: pip install pyarrow") from error
    size = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=AT_ONCE):
                unpacked = batch.to_pylist()
                size += len(repr(unpacked))  # not the batch's own size: dictionaries may be of any depth
                if size > LARGEST_FILE:
                    raise InputError(
                        f"{shown_path(path)} unpacks to more than {LARGEST_FILE:,} bytes, which are allowed"
                    )
                yield from unpacked
    except pyarrow.ArrowException as error:
        raise InputError(f"{shown_path(path)} cannot be read: {error}") from error
