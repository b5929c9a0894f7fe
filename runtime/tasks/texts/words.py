"""Encoding of sentences that are split into words: which token is a word's first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.texts.text import TextEncoder
from tilewright.targets.errors import InputError


@dataclass(frozen=True)
class EncodedWords:
    """A sentence of words as inputs of a network.

    inputs: by name [tokens]. words: numbers of the words that have tokens. tokens: the first token of each. cut_off:
    number of words beyond the longest text that the model takes.
    """

    inputs: dict[str, Tensor]
    words: list[int]
    tokens: list[int]
    cut_off: int


class WordEncoder(TextEncoder):
    """Encoder of sentences that are split into words."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan's tokenizer; one that works on bytes sees a space before every word, as inside a text."""
        super().__init__(plan)
        splitter = self._tokenizer.pre_tokenizer
        if isinstance(splitter, ByteLevel):
            splitter.add_prefix_space = True
            self._tokenizer.pre_tokenizer = splitter

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[EncodedWords]:
        """Inputs of each sentence. Raises ``InputError`` for what the plan's tokenizer does not take."""
        try:
            found = self._tokenizer.encode_batch([list(words) for words in sentences], is_pretokenized=True)
        except Exception as error:  # tokenizers raises bare Exception, and TypeError for what is no text
            raise InputError(f"the plan's tokenizer cannot encode the words: {error}") from error
        encoded = []
        for sentence, text in zip(sentences, found, strict=True):
            first: dict[int, int] = {}
            for token, word in enumerate(text.word_ids):
                if word is not None:
                    first.setdefault(word, token)
            cut_off = len(sentence) - 1 - max(first, default=-1) if text.overflowing else 0
            encoded.append(
                EncodedWords(self.padded(text.ids, text.type_ids), list(first), list(first.values()), cut_off)
            )
        return encoded
