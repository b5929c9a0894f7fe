"""Questions in the format of SQuAD 1.1 and 2.0: articles, their paragraphs, questions and answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tilewright.runtime.tasks.rows import LARGEST_FILE
from tilewright.targets.errors import InputError, first_problem
from tilewright.targets.paths import read_text, shown_path
from tilewright.targets.shown import shown


class _Answer(BaseModel):
    text: str


class _Question(BaseModel):
    id: str | int = ""
    question: str
    answers: list[_Answer] = []
    is_impossible: bool | None = None


class _Paragraph(BaseModel):
    context: str
    qas: list[_Question]


class _Article(BaseModel):
    paragraphs: list[_Paragraph]


class _File(BaseModel):
    data: list[_Article]


@dataclass(frozen=True)
class Question:
    """A question on a text, and the answers that people gave; none where the text has no answer."""

    question: str
    context: str
    answers: list[str]


def read_questions(path: Path, limit: int | None) -> tuple[list[Question], bool]:
    """The first questions of a file, and whether it is of version 2, where a question may have no answer.

    A file is of version 2 if one of its questions says whether it ``is_impossible``. Raises ``InputError`` for a file
    that is not of this format or has no questions, and for a question of version 1.1 without an answer.
    """
    try:
        content = _File.model_validate_json(read_text(path, "data file", LARGEST_FILE).removeprefix("\ufeff"))
    except ValidationError as error:
        raise InputError(f"{shown_path(path)} is no file of SQuAD: {first_problem(error, _File)}") from error
    found = list(_questions(content))
    if not found:
        raise InputError(f"{shown_path(path)} has no questions")
    may_be_impossible = any(asked.is_impossible is not None for _, asked in found)
    questions = []
    for context, asked in found[:limit]:
        answers = [] if asked.is_impossible else [answer.text for answer in asked.answers]
        if not answers and not may_be_impossible:
            raise InputError(f"{shown_path(path)}: question {shown(asked.id)} has no answers")
        questions.append(Question(asked.question, context, answers))
    return questions, may_be_impossible


def _questions(content: _File) -> Iterator[tuple[str, _Question]]:
    for article in content.data:
        for paragraph in article.paragraphs:
            for asked in paragraph.qas:
                yield paragraph.context, asked
