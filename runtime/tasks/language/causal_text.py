"""Texts as tokens of a causal language model, whole and without padding, and inputs made of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.logits import LOGITS
from tilewright.runtime.tasks.texts.text import TextEncoder
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole

DECODER_IDS = "decoder_input_ids"
"""Input of a plan whose decoder goes on from what its encoder reads."""
DEFAULT_LONGEST = 2048
"""Tokens that a model reads at once where neither the plan nor its tokenizer tells (lm-eval's own default)."""


class CausalTextEncoder(TextEncoder):
    """Encoder of texts for a plan of a language model.

    longest: tokens that the model reads at once. has_decoder: True if another part of it than reads a text goes on.
    """

    def __init__(self, plan: Plan, max_length: int | None = None) -> None:
        """Take the plan's tokenizer.

        max_length: tokens that the model reads at once; the plan's own limit if None, or its tokenizer's, or 2048.
        Raises ``InputError`` if the plan is of no language model, or cannot read so many.
        """
        super().__init__(plan)
        self._tokenizer.no_truncation()
        shapes = {record.name: record.shape for record in plan.document.outputs}
        if len(shapes.get(LOGITS, ())) != 3:
            raise InputError(
                f"a language model gives {LOGITS} of [batch, sequence, vocabulary]; the plan gives "
                + ", ".join(f"{name} of {list(shape)}" for name, shape in shapes.items())
            )
        sequence = plan.document.dimensions.get("sequence")
        limit = sequence.maximum if sequence else None
        if max_length is not None:
            check_whole("max_length", max_length, **({"most": limit} if limit else {}))
        self.has_decoder = DECODER_IDS in self.names
        self.longest = max_length or self.most_tokens or DEFAULT_LONGEST

    @property
    def end_token(self) -> int:
        """Id of the token that ends a text. Raises ``InputError`` if the tokenizer names none."""
        return self._named("eos_token")

    @property
    def first_token(self) -> int:
        """Id of the token that stands before a text: that of its beginning, else that of an end."""
        return self._named("bos_token", "eos_token")

    def _named(self, *names: str) -> int:
        ids = (self.special_token(name) for name in names)
        found = next((number for number in ids if number is not None), None)
        if found is None:
            raise InputError(f"the plan's tokenizer_config.json names no {' and no '.join(names)}")
        return found

    def tokens(self, text: str, *, special: bool | None = None) -> list[int]:
        """Ids of all tokens of a text.

        special: True adds the special tokens that the tokenizer puts around texts; None does unless the text begins
        with that of the beginning. Raises ``InputError`` for what the tokenizer does not take.
        """
        if special is None:
            beginning = self._tokenizer.decode([self.first_token], skip_special_tokens=False)
            special = not text.startswith(beginning)
        try:
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special).ids
        except Exception as error:  # tokenizers raises bare Exception, and TypeError for what is no text
            raise InputError(f"the plan's tokenizer cannot encode the text: {error}") from error
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """Text of tokens, without special ones."""
        found: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return found

    def side_by_side(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Tokens and mask [texts, longest] of several texts, padded on the left so that all end together."""
        longest = max(map(len, rows))
        tokens, mask = (
            torch.full((len(rows), longest), self._padding),
            torch.zeros(len(rows), longest, dtype=torch.int64),
        )
        for place, row in enumerate(rows):
            tokens[place, longest - len(row) :] = torch.tensor(row)
            mask[place, longest - len(row) :] = 1
        return tokens, mask


Pair = tuple[Sequence[int], Sequence[int]]
"""Tokens of a context and those of its continuation."""
