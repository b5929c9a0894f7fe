"""Encoding of texts to a plan's inputs, with the tokenizer that the plan carries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError

LENGTH_STEP = 16
"""Multiple that texts are padded to. It depends on the text alone, so batches cannot change results."""


@dataclass(frozen=True)
class LongText:
    """Tokens of a text of any length.

    ids: of all tokens [tokens], int64. ends: where each ends in the text, in characters [tokens]. added: True for those
    that the tokenizer adds to the text, such as one for its beginning [tokens].
    """

    ids: Tensor
    ends: Tensor
    added: Tensor


class TextEncoder:
    """Encoder of texts, or pairs of texts, for a plan.

    longest: number of tokens that texts are cut to. most_tokens: number of tokens that the plan takes, or that its
    tokenizer says the model was made for, whichever is less; None if neither says.
    """

    def __init__(self, plan: Plan) -> None:
        """Take the plan's tokenizer. Raises ``InputError`` if the plan has none or takes no token ids."""
        content = plan.tokenizer_files.get("tokenizer.json")
        if content is None:
            raise InputError("the plan has no tokenizer, so it cannot take text")
        self.names = [record.name for record in plan.document.inputs]
        if "input_ids" not in self.names:
            raise InputError(f"the plan takes {', '.join(self.names)}, not token ids, so it cannot take text")
        try:
            self._tokenizer = Tokenizer.from_buffer(content)
        except Exception as error:  # tokenizers raises bare Exception
            raise InputError(f"the plan's tokenizer.json cannot be read: {error}") from error
        sequence = plan.document.dimensions.get("sequence")
        self.longest = (sequence.maximum if sequence else None) or 512
        settings = self._settings(plan)
        self.most_tokens = _least(sequence.maximum if sequence else None, settings.get("model_max_length"))
        self._tokenizer.no_padding()
        self._padding = self._padding_id(settings.get("pad_token"))

    @staticmethod
    def _settings(plan: Plan) -> dict[str, Any]:
        try:
            settings = json.loads(plan.tokenizer_files.get("tokenizer_config.json", b"{}"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"the plan's tokenizer_config.json cannot be read: {error}") from error
        return settings if isinstance(settings, dict) else {}

    def _padding_id(self, token: Any) -> int:
        token = token.get("content") if isinstance(token, dict) else token
        return (self._tokenizer.token_to_id(token) or 0) if isinstance(token, str) else 0

    def encode(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[dict[str, Tensor]]:
        """Inputs of each text: 1-D tensors by input name, padded to the text's own next multiple of ``LENGTH_STEP``.

        Raises ``InputError`` for what the plan's tokenizer does not take, such as half of a surrogate pair.
        """
        self._tokenizer.enable_truncation(self.longest)
        encoded = []
        for text in self._encoded(texts):
            length = min(-(-max(len(text.ids), 1) // LENGTH_STEP) * LENGTH_STEP, self.longest)
            fill = length - len(text.ids)
            made = {
                "input_ids": text.ids + [self._padding] * fill,
                "attention_mask": text.attention_mask + [0] * fill,
                "token_type_ids": text.type_ids + [0] * fill,
            }
            encoded.append({name: torch.tensor(made[name]) for name in self.names if name in made})
        return encoded

    def tokens(self, text: str) -> LongText:
        """All tokens of one text, with those that the tokenizer adds.

        Raises ``InputError`` for what the plan's tokenizer does not take.
        """
        self._tokenizer.no_truncation()
        (found,) = self._encoded([text])
        ids = torch.tensor(found.ids, dtype=torch.int64)
        ends = torch.tensor([end for _, end in found.offsets], dtype=torch.int64)
        return LongText(ids, ends, torch.tensor(found.special_tokens_mask, dtype=torch.bool))

    def inputs(self, ids: Tensor) -> dict[str, Tensor]:
        """Inputs of tokens that are one sample, none of them padding [tokens]: 1-D tensors by input name."""
        made = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "token_type_ids": torch.zeros_like(ids),
        }
        return {name: made[name] for name in self.names if name in made}

    def _encoded(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[Encoding]:
        try:
            return list(self._tokenizer.encode_batch(list(texts)))
        except Exception as error:  # tokenizers raises bare Exception, and TypeError for what is no text
            raise InputError(f"the plan's tokenizer cannot encode the texts: {error}") from error


def _least(limit: int | None, said: Any) -> int | None:
    """The smaller of two largest numbers of tokens; None if neither is one. said: a stranger's, 1e30 where unknown."""
    known = [one for one in (limit, said) if isinstance(one, int) and not isinstance(one, bool) and 0 < one < 10**9]
    return min(known, default=None)
