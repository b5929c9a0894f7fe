"""Sentences with a tag a word: CoNLL's columns of text, or rows with a list of words and a list of tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tilewright.runtime.tasks.rows import LARGEST_FILE, column_names, column_option, read_rows
from tilewright.targets.errors import InputError
from tilewright.targets.paths import read_text, shown_path

Sentence = tuple[list[str], list[Any]]
"""Words and their tags."""
CONLL = (".conll", ".txt")
WORDS = "tokens"
"""Column of words, where none is named."""
TAGS = ("tags", "ner_tags")
"""Columns of tags, where none is named; the first that is there."""
DOCUMENT = "-DOCSTART-"


def read_sentences(path: Path, limit: int | None, words: str | None, tags: str | None) -> list[Sentence]:
    """The first sentences of a file.

    words, tags: columns of a file of rows. Raises ``InputError`` for a file that is not of these formats or has no
    sentences, and for a sentence whose words and tags are not of one number.
    """
    if path.suffix.lower() in CONLL:
        found = list(islice(_conll_sentences(path), limit))
        if not found:
            raise InputError(f"{shown_path(path)} has no sentences")
        return found
    words = column_option("words", words, None) or WORDS
    tags = column_option("tags", tags, None) or next((name for name in TAGS if name in column_names(path)), TAGS[0])
    rows = read_rows(path, [words, tags], limit)
    for number, row in enumerate(rows, start=1):
        for column in (words, tags):
            if not isinstance(row[column], list):
                raise InputError(f"{shown_path(path)} row {number}: {column} is no list")
        if len(row[words]) != len(row[tags]):
            raise InputError(
                f"{shown_path(path)} row {number} has {len(row[words])} {words} and {len(row[tags])} {tags}"
            )
    return [([str(word) for word in row[words]], row[tags]) for row in rows]


def _conll_sentences(path: Path) -> Iterator[Sentence]:
    """Sentences of lines that hold a word first and its tag last, with empty lines between sentences."""
    words: list[str] = []
    tags: list[Any] = []
    width = 0
    text = read_text(path, "data file", LARGEST_FILE).removeprefix("\ufeff")
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        line = line.strip(" \t\r")  # noqa: PLW2901
        columns = line.split("\t") if "\t" in line else re.split(" +", line)
        if columns[0] in ("", DOCUMENT):
            if words:
                yield words, tags
            words, tags = [], []
        elif len(columns) == 1:
            raise InputError(f"{shown_path(path)} line {number} has no tag")
        elif len(columns) != (width := width or len(columns)):
            raise InputError(f"{shown_path(path)} line {number} has {len(columns)} columns, those before have {width}")
        else:
            words.append(columns[0])
            tags.append(columns[-1])
