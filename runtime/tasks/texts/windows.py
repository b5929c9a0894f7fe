"""Windows of a long text: a question, and as much of the text as fits beside it, the next window overlapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Encoding
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.texts.text import TextEncoder
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole
from tilewright.targets.shown import shown

CONTEXT = 1
"""Number of the context in the pair of question and context."""


@dataclass(frozen=True)
class Window:
    """A question with a part of its context.

    inputs: of the network, by name [tokens]. letters: first letter of each token in the context, and the letter behind
    its last one [tokens, 2]; -1 for tokens that are not of the context.
    """

    inputs: dict[str, Tensor]
    letters: Any


class WindowEncoder(TextEncoder):
    """Encoder of questions and contexts of any length."""

    def __init__(self, plan: Plan, length: int, stride: int) -> None:
        """Take the plan's tokenizer.

        length: tokens of a window, at most; no more than the model takes. stride: tokens that a window shares with the
        next one.
        """
        check_whole("length", length)
        check_whole("stride", stride, least=0)
        super().__init__(plan)
        self.length, self.stride = min(length, self.longest), stride

    def windows(self, question: str, context: str) -> list[Window]:
        """Windows of a context, in order. Raises ``InputError`` where the question leaves no room for the context."""
        self._tokenizer.no_truncation()
        whole = self._encoded_pair(question, context)
        if len(whole) <= self.length:
            return [self._window(whole)]
        room = self.length - sum(number != CONTEXT for number in whole.sequence_ids)
        if room <= self.stride:
            raise InputError(
                f"question {shown(question)} leaves {max(room, 0)} of the {self.length} tokens of a window for the "
                f"context, and must leave more than the option stride, {self.stride}"
            )
        self._tokenizer.enable_truncation(self.length, stride=self.stride, strategy="only_second")
        first = self._encoded_pair(question, context)
        return [self._window(part) for part in (first, *first.overflowing)]

    def _encoded_pair(self, question: str, context: str) -> Encoding:
        try:
            return self._tokenizer.encode(question, context)
        except Exception as error:  # tokenizers raises bare Exception, and TypeError for what is no text
            raise InputError(f"the plan's tokenizer cannot encode question {shown(question)}: {error}") from error

    def _window(self, part: Encoding) -> Window:
        inputs = self.padded(part.ids, part.type_ids)
        letters = np.full((len(inputs["input_ids"]), 2), -1, dtype=np.int32)
        letters[: len(part)] = part.offsets
        letters[: len(part)][[number != CONTEXT for number in part.sequence_ids]] = -1
        return Window(inputs, letters)
