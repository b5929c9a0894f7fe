"""Files of rows as people and strangers make them: what is odd is read, what is ambiguous or hostile is refused."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from tilewright.runtime.tasks import rows
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.rows import column_option, read_rows, texts
from tilewright.targets.errors import InputError

COLUMNS = ["text", "label"]
ODD = "a \u2028 b \x85 c"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", f'\ufeff{{"text": "{ODD}", "label": 1}}\r\n\r\n'),
        ("a.json", f'\ufeff[{{"text": "{ODD}", "label": 1}}]'),
        ("a.csv", f"\ufefflabel,text\r\n1,{ODD},\r\n"),
        ("a.tsv", f'label\ttext\n1\t{ODD}'),
    ],
)  # fmt: skip
def test_marks_and_ends_of_lines(tmp_path, name, content):
    """Other ends of lines inside a text are of the text; empty cells behind the last column are passed by."""
    (tmp_path / name).write_bytes(content.encode())
    (row,) = read_rows(tmp_path / name, COLUMNS, None)
    assert (row["text"], int(row["label"])) == (ODD, 1)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "label,text\n1,one, two\n", "row 1 has more cells than there are columns"),
        ("a.csv", 'label,text\n0,one\n1,"two\n0,three\n', "cannot be read: unexpected end of data"),
        ("a.csv", 'text,label\n"one,1\n"two",0\n', "cannot be read"),
        ("a.csv", "text,label,label\none,1,0\n", "has the column 'label' twice"),
        ("a.csv", "text\x1b[31m,label\none,1\n", r"has no column 'text'.* allowed: label, text\\x1b\[31m$"),
        ("a.jsonl", json.dumps({"k" * 10**6: 1, "label": 1}), "has no column 'text'; allowed: k{80}, label$"),
        ("a.json", "[" * 10**5, "cannot be read: maximum recursion depth"),
        ("a.jsonl", '{"text": "a", "label": null}', "row 1 has nothing in its column 'label'$"),
        ("a.parquet", "PAR1" + "x" * 100 + "PAR1", "cannot be read"),
    ],
    ids=["comma", "open quote", "stray quote", "twice", "control", "long name", "deep", "null", "no parquet"],
)
def test_rows_that_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        read_rows(tmp_path / name, COLUMNS, None)


def test_parquet_that_unpacks_to_far_more(tmp_path, monkeypatch):
    """Rows and bytes are counted as they are unpacked, so that the first ones of any file can be read."""
    word = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 5000), pyarrow.array(["x" * 1000]))
    pyarrow.parquet.write_table(pyarrow.table({"text": word}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    assert len(read_rows(tmp_path / "a.parquet", ["text"], None)) == 5000
    monkeypatch.setattr(rows, "MOST_ROWS", 4999)
    with pytest.raises(InputError, match="has more than 4,999 rows; limit takes the first so many"):
        read_rows(tmp_path / "a.parquet", ["text"], None)
    monkeypatch.setattr(rows, "LARGEST_FILE", 10**6)
    with pytest.raises(InputError, match="unpacks to more than 1,000,000 bytes"):
        read_rows(tmp_path / "a.parquet", ["text"], 4000)
    assert read_rows(tmp_path / "a.parquet", ["text"], 3) == [{"text": "x" * 1000}] * 3


def test_texts_are_texts():
    assert texts(["a", 1, 2.5], "text") == ["a", "1", "2.5"]
    for value in (b"a", ["a"], {"a": 1}):
        with pytest.raises(InputError, match=r"row 2: text is .*, which is no text"):
            texts(["a", value], "text")


def test_names_of_columns():
    assert column_option("text", None, "own") == "own"
    assert column_option("text", 0, "own") == "0"
    for value in (False, ["a"], {"a": 1}, 1.5):
        with pytest.raises(InputError, match=r"text is .*; it must be the name of a column"):
            column_option("text", value, "own")


def test_classes_that_differ_in_capitals_alone():
    names = ["a", "A", "Bee"]
    assert class_numbers(["a", "A", "bee", "BEE", "2"], names) == [0, 1, 2, 2, 2]
    assert class_numbers(["b", "B"], ["B", "b"]) == [1, 0]
