"""SQuAD's official figures of answers: exact match, and F1 of words in common (Rajpurkar et al. 2016, 2018)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from tilewright.runtime.tasks.metric import Metric

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
Score = Callable[[str, str], float]


def normalised(answer: str) -> str:
    """The answer in lower case, without punctuation, articles and superfluous white space."""
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def answer_exact(impossible: float | None) -> Metric:
    """Share of answers that are one of people's, normalised, in %.

    impossible: share of questions without an answer, in %; None for SQuAD 1.1, which has none. It is chance: the
    figure of never giving an answer.
    """
    return _metric("exact match, %", lambda found, wanted: float(normalised(found) == normalised(wanted)), impossible)


def answer_f1(impossible: float | None) -> Metric:
    """F1 of the words of an answer and of people's, normalised, x 100: mean over questions of the best of people's.

    impossible: share of questions without an answer, in %; None for SQuAD 1.1, which has none. It is chance: the
    figure of never giving an answer. Version 2 takes two answers without words for equal, version 1.1 does not.
    """

    def score(found: str, wanted: str) -> float:
        words, right = normalised(found).split(), normalised(wanted).split()
        if not words or not right:
            return float(words == right and impossible is not None)
        return 2 * (Counter(words) & Counter(right)).total() / (len(words) + len(right))

    return _metric("answer F1 x 100", score, impossible)


def _metric(name: str, score: Score, impossible: float | None) -> Metric:
    def each(predictions: Sequence[str], labels: Sequence[Sequence[str]]) -> list[float]:
        pairs = zip(predictions, labels, strict=True)
        return [100 * max(score(found, one) for one in accepted(wanted)) for found, wanted in pairs]

    def accepted(wanted: Sequence[str]) -> Sequence[str]:
        if impossible is None:
            return wanted
        return [answer for answer in wanted if normalised(answer)] or [""]

    def of(predictions: Sequence[str], labels: Sequence[Sequence[str]]) -> float:
        scores = each(predictions, labels)
        return sum(scores) / len(scores)

    return Metric(name, of, impossible or 0.0, each=each)
