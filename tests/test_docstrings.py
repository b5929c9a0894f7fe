"""Docstrings name their subject: each is read alone, in a tooltip, without the code around it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("compiler", "runtime", "targets")
FILES = ("src/tilewright/__init__.py",)
EMPTY = re.compile(
    r"(how|if|is|are|does|do|what|when|whether|where|which|who|whose|why|the same|and|but|or|so|such|it|its|that|them|"
    r"these|they|those|about|according|after|along|among|as|at|before|behind|beside|between|by|for|from|in|inside|into|"
    r"like|of|on|over|since|through|to|under|with|without)(?![\w-])",
    re.IGNORECASE,
)
"""Beginnings of docstrings that speak of something that stands elsewhere."""
PARAMETER = re.compile(r"[a-z_]+: ")
"""Beginning of a docstring with the name of a parameter."""


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of strings that document a module, class or function, a field or a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Field":
            for given in node.keywords:
                if given.arg == "description":
                    yield given.value.lineno, ast.literal_eval(given.value)
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            value = getattr(statement, "value", None)
            if isinstance(statement, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, value.value


def names_no_subject(text: str) -> bool:
    """True if a docstring begins in mid-sentence or with a parameter."""
    return bool(EMPTY.match(text.lstrip()) or PARAMETER.match(text.lstrip()))


@pytest.mark.parametrize("room", [*ROOMS, *FILES])
def test_docstrings_name_their_subject(room):
    found = []
    for file in [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py")):
        for line, text in docstrings(ast.parse(file.read_text(encoding="utf-8"))):
            if names_no_subject(text):
                found.append(f'{file.relative_to(ROOT)}:{line}: "{text.split(chr(10))[0]}"')
    assert not found, "\n" + "\n".join(found)
