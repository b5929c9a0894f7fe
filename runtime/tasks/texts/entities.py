"""Entities in tags of words, and their F1, as CoNLL's evaluation and seqeval count them.

seqeval itself is not used: its last release is of 2020, and it comes as a source that today's setuptools alone cannot
build. The tests hold figures of this file against its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilewright.runtime.tasks.metric import Metric
from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

BEGIN, INSIDE, END, SINGLE, OUTSIDE = "B", "I", "E", "S", "O"
Entity = tuple[int, int, str]
"""First word, last word, and kind."""


def entities(tags: Sequence[str]) -> set[Entity]:
    """Entities of a sentence's tags, such as B-PER, I-PER, O; E- and S- for the last and the only word are understood.

    An entity goes on while an I or E follows a B or I of its kind; any other tag but O begins one.
    """
    found: set[Entity] = set()
    before, kind, first = OUTSIDE, "", 0
    for number, tag in enumerate(tags):
        place, _, named = tag.partition("-")
        goes_on = place in (INSIDE, END) and before in (BEGIN, INSIDE) and named == kind
        if goes_on:
            found.discard((first, number - 1, kind))
        else:
            first = number
        if place != OUTSIDE:
            found.add((first, number, named))
        before, kind = place, named
    return found


def entity_f1(names: Sequence[str]) -> Metric:
    """F1 of entities, x 100, over all sentences; an entity is right if its words and its kind are. Chance is 0.

    names: tags by their numbers, which sentences are lists of. Raises ``InputError`` for a tag of another form.
    """
    for name in names:
        place, dash, kind = name.partition("-")
        if name != OUTSIDE and (place not in (BEGIN, INSIDE, END, SINGLE) or not (dash and kind)):
            raise InputError(
                f"the model's tag {shown(name)} is not of the form B-KIND, I-KIND or O, so it tells no entities; "
                "measure token-classification-accuracy"
            )

    def of(predictions: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> float:
        right = predicted = labelled = 0
        for found, wanted in zip(predictions, labels, strict=True):
            there, given = (entities([names[number] for number in numbers]) for numbers in (found, wanted))
            right, predicted, labelled = right + len(there & given), predicted + len(there), labelled + len(given)
        return 200 * right / (predicted + labelled) if right else 0.0

    return Metric("entity F1 x 100", of, 0.0)


def tag_accuracy(classes: int) -> Metric:
    """Share of words whose tag is predicted, in %, over all sentences; chance is one tag of equally many."""

    def of(predictions: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> float:
        pairs = [
            pair for found, wanted in zip(predictions, labels, strict=True) for pair in zip(found, wanted, strict=True)
        ]
        return 100 * sum(found == wanted for found, wanted in pairs) / len(pairs)

    return Metric("accuracy of tags, %", of, 100 / classes)
