"""Encoding of texts to a plan's inputs, with the tokenizer that the plan carries."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError

LENGTH_STEP = 16
"""Multiple that texts are padded to. It depends on the text alone, so batches cannot change results."""


class TextEncoder:
    """Encoder of texts, or pairs of texts, for a plan."""

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
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.longest)
        self._padding = self._padding_id(plan)

    def _padding_id(self, plan: Plan) -> int:
        try:
            settings = json.loads(plan.tokenizer_files.get("tokenizer_config.json", b"{}"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"the plan's tokenizer_config.json cannot be read: {error}") from error
        token = settings.get("pad_token") if isinstance(settings, dict) else None
        token = token.get("content") if isinstance(token, dict) else token
        return (self._tokenizer.token_to_id(token) or 0) if isinstance(token, str) else 0

    def encode(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[dict[str, Tensor]]:
        """Inputs of each text: 1-D tensors by input name, padded to the text's own next multiple of ``LENGTH_STEP``.

        Raises ``InputError`` for what the plan's tokenizer does not take, such as half of a surrogate pair.
        """
        try:
            tokenized = self._tokenizer.encode_batch(list(texts))
        except Exception as error:  # tokenizers raises bare Exception, and TypeError for what is no text
            raise InputError(f"the plan's tokenizer cannot encode the texts: {error}") from error
        return [self.inputs_of(text) for text in tokenized]

    def inputs_of(self, text: Encoding) -> dict[str, Tensor]:
        """Inputs of one encoded text: 1-D tensors by input name, padded to the next multiple of ``LENGTH_STEP``."""
        length = min(-(-max(len(text.ids), 1) // LENGTH_STEP) * LENGTH_STEP, self.longest)
        fill = length - len(text.ids)
        made = {
            "input_ids": text.ids + [self._padding] * fill,
            "attention_mask": text.attention_mask + [0] * fill,
            "token_type_ids": text.type_ids + [0] * fill,
        }
        return {name: torch.tensor(made[name]) for name in self.names if name in made}
