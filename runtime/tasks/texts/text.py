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

NO_LENGTH = 10**9
"""Larger lengths of texts in a tokenizer mean that it has none."""
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
        self._settings = _settings(plan)
        self.most_tokens = _least(sequence.maximum if sequence else None, self._settings.get("model_max_length"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.longest)
        self._padding = self.special_token("pad_token") or 0

    def special_token(self, name: str) -> int | None:
        """Id of the tokenizer's special token of that name, such as "bos_token"; None if it has none."""
        token = self._settings.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        return self._tokenizer.token_to_id(token) if isinstance(token, str) else None

    def encode(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[dict[str, Tensor]]:
        """Inputs of each text: 1-D tensors by input name, padded to the text's own next multiple of ``LENGTH_STEP``.

        Raises ``InputError`` for what the plan's tokenizer does not take, such as half of a surrogate pair.
        """
        return [self.padded(text.ids, text.type_ids) for text in self._encoded(texts)]

    def padded(self, ids: list[int], type_ids: list[int] | None = None) -> dict[str, Tensor]:
        """Inputs of one text of these tokens, padded on the right."""
        length = min(-(-max(len(ids), 1) // LENGTH_STEP) * LENGTH_STEP, self.longest)
        fill = length - len(ids)
        made = {
            "input_ids": ids + [self._padding] * fill,
            "attention_mask": [1] * len(ids) + [0] * fill,
            "token_type_ids": (type_ids or [0] * len(ids)) + [0] * fill,
        }
        return {name: torch.tensor(made[name]) for name in self.names if name in made}

    def long_text(self, text: str) -> LongText:
        """All tokens of one text, with those that the tokenizer adds.

        Raises ``InputError`` for what the plan's tokenizer does not take.
        """
        self._tokenizer.no_truncation()
        try:
            (found,) = self._encoded([text])
        finally:
            self._tokenizer.enable_truncation(self.longest)
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


def _settings(plan: Plan) -> dict[str, Any]:
    try:
        settings = json.loads(plan.tokenizer_files.get("tokenizer_config.json", b"{}"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"the plan's tokenizer_config.json cannot be read: {error}") from error
    return settings if isinstance(settings, dict) else {}


def _least(limit: int | None, said: Any) -> int | None:
    """The smaller of two largest numbers of tokens; None if neither is one. said: a stranger's, 1e30 where unknown."""
    numbers = [one for one in (limit, said) if isinstance(one, int) and not isinstance(one, bool)]
    return min((one for one in numbers if 0 < one < NO_LENGTH), default=None)
