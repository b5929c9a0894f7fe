"""Classification of the words of sentences (names, parts of speech), by a model with one logit a tag for each token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.logits import LOGITS, OF_TOKENS, class_loss, number_of_logits
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.entities import entity_f1, tag_accuracy
from tilewright.runtime.tasks.texts.tagged_sentences import read_sentences
from tilewright.runtime.tasks.texts.words import WordEncoder
from tilewright.targets.errors import InputError


class TokenClassification(Task):
    """Tags of words, by F1 of entities. Tags are the model's class names, or their numbers.

    A word's first token gives its tag. Words beyond the longest text that the model takes are not counted; the metric's
    name then says how many.
    """

    def __init__(
        self, plan: Plan, data: Path, limit: int | None, *, words: str | None = None, tags: str | None = None
    ) -> None:
        """Read sentences: CoNLL's lines of a word and its tag, or rows with lists.

        words, tags: columns of the lists of words and of tags; ``tokens``, and ``tags`` or ``ner_tags``, if None.
        """
        logits = number_of_logits(plan, OF_TOKENS)
        sentences = read_sentences(data, limit, words, tags)
        encoded = WordEncoder(plan).encode_words([sentence for sentence, _ in sentences])
        self.samples = [sentence.inputs for sentence in encoded]
        self.tokens = [sentence.tokens for sentence in encoded]
        flat = iter(class_numbers([tag for _, tags in sentences for tag in tags], plan.document.model.classes, logits))
        numbers = [list(islice(flat, len(tags))) for _, tags in sentences]
        self.labels = [[tags[word] for word in found.words] for tags, found in zip(numbers, encoded, strict=True)]
        if not any(self.labels):
            raise InputError("none of the sentences has a word that the plan's tokenizer knows")
        self.metric = self.metric_of(plan.document.model.classes, logits)
        cut_off = sum(sentence.cut_off for sentence in encoded)
        if cut_off:
            self.metric = replace(self.metric, name=f"{self.metric.name}, words cut off: {cut_off}")

    def metric_of(self, names: Sequence[str] | None, logits: int) -> Metric:
        """The metric of a model with these names of classes, or None, and so many logits a token."""
        if names is None or len(names) != logits:
            raise InputError("entities need a model with names of its tags; measure token-classification-accuracy")
        return entity_f1(names)

    def loss(self, numbers: Sequence[int], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the tags of all words that are counted."""
        logits = outputs[LOGITS]
        words = torch.cat([logits[place, self.tokens[number]] for place, number in enumerate(numbers)])
        return class_loss(words, [tag for number in numbers for tag in self.labels[number]])

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The tag of each token [samples, tokens]."""
        return outputs[LOGITS].argmax(dim=-1)

    def predictions(self, kept: Sequence[Tensor]) -> list[list[int]]:
        """Tags of the words of each sentence."""
        return [tags[tokens].tolist() for tags, tokens in zip(kept, self.tokens, strict=True)]


class TagAccuracy(TokenClassification):
    """Tags of words, by accuracy."""

    def metric_of(self, names: Sequence[str] | None, logits: int) -> Metric:
        """The metric of a model with so many logits a token."""
        return tag_accuracy(logits)
