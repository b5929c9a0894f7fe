"""Inputs made for a model: small examples to compare on, and a calibration set where the user gave none."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.compilation import Inputs
from tilewright.runtime.plan import Calibration
from tilewright.targets.errors import InputError, nearest

RANDOM_SAMPLES = 32
RANDOM_LENGTHS = (8, 16, 24, 32)
EXAMPLE_SIZES = ((2, 7), (1, 5), (3, 12))
"""Batch and length of the inputs on which the graph is compared with the model."""


class ModelInputs:
    """What a HuggingFace model takes, and how to make some."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Raises ``InputError`` for models whose main input is not text: they need example inputs of their own."""
        self.model, self.tokenizer = model, tokenizer
        if model.main_input_name != "input_ids" or model.config.is_encoder_decoder:
            raise InputError(
                f"{type(model).__name__} takes {model.main_input_name!r}"
                f"{' and decoder inputs' if model.config.is_encoder_decoder else ''}; only models of one text input "
                "compile from a folder: load it in Python and call tilewright.compile(model, example_inputs=...)"
            )
        parameters = inspect.signature(model.forward).parameters
        self.names = [name for name in ("input_ids", "attention_mask") if name in parameters]
        made_by_tokenizer = tokenizer is None or "token_type_ids" in tokenizer.model_input_names
        if "token_type_ids" in parameters and made_by_tokenizer and getattr(model.config, "type_vocab_size", None):
            self.names.append("token_type_ids")
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        positions = getattr(model.config, "max_position_embeddings", None)
        self.longest = int(positions) if isinstance(positions, int) and positions > 0 else None

    def example(self, batch: int, length: int, padded: bool) -> Inputs:
        """Random token ids of a fixed seed; with ``padded``, rows get shorter from one to the next."""
        generator = torch.Generator().manual_seed(batch * 1009 + length)
        length = min(length, self.longest or length)
        ids = torch.randint(0, self.vocabulary, (batch, length), generator=generator)
        mask = torch.ones(batch, length, dtype=torch.long)
        for row in range(1, batch if padded else 0):
            mask[row, max(1, length - 2 * row) :] = 0
        pad = getattr(self.model.config, "pad_token_id", None)
        if isinstance(pad, int) and 0 <= pad < self.vocabulary:
            ids = torch.where(mask == 0, torch.full_like(ids, pad), ids)
        made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
        return {name: made[name] for name in self.names}

    def from_text(self, text: str) -> Inputs:
        """One text as the tokenizer encodes it, unpadded."""
        encoded = self.tokenizer(
            text, return_tensors="pt", truncation=True, max_length=self.longest or 512, padding=False
        )
        return {name: encoded[name] for name in self.names}


def example_set(wanted: ModelInputs) -> list[Inputs]:
    """Three batch sizes and three lengths, with padding."""
    return [wanted.example(batch, length, padded=True) for batch, length in EXAMPLE_SIZES]


def calibration_set(wanted: ModelInputs, given: Any) -> tuple[list[Inputs], Calibration]:
    """The calibration inputs, one sample each, and what the plan says of them. Raises ``InputError``."""
    if given is None:
        return _automatic(wanted)
    if isinstance(given, Mapping):
        samples = split_samples(given, wanted.names)
        return samples, Calibration(source="given arrays", samples=len(samples), automatic=False)
    if isinstance(given, Sequence) and given and all(isinstance(text, str) for text in given):
        if wanted.tokenizer is None:
            raise InputError("calibration texts need a tokenizer, and this model has none; give input arrays instead")
        texts = [wanted.from_text(text) for text in given]
        return texts, Calibration(source="given texts", samples=len(texts), automatic=False)
    raise InputError(
        f"calibration is a {type(given).__name__}; it must be a list of texts or a mapping of input arrays"
    )


def _automatic(wanted: ModelInputs) -> tuple[list[Inputs], Calibration]:
    if wanted.tokenizer is None:
        sizes = [RANDOM_LENGTHS[number % len(RANDOM_LENGTHS)] for number in range(RANDOM_SAMPLES)]
        samples = [wanted.example(1, length + number // 4, padded=False) for number, length in enumerate(sizes)]
        source = "automatic: random token ids, since the model has no tokenizer; give real inputs for real ranges"
    else:
        text = files("tilewright.compiler.samples").joinpath("calibration.txt").read_text(encoding="utf-8")
        samples = [wanted.from_text(line) for line in text.splitlines() if line.strip()]
        source = "automatic: the English sentences that come with tilewright"
    return samples, Calibration(source=source, samples=len(samples), automatic=True)


def split_samples(arrays: Mapping[str, Any], names: Sequence[str]) -> list[Inputs]:
    """Arrays with samples along their first dimension, as one mapping a sample. Raises ``InputError``."""
    for name in arrays:
        if name not in names:
            raise InputError(
                f"calibration holds an input {name!r} that the model does not take; {nearest(name, names)}"
            )
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"calibration lacks the model's input {missing[0]!r}")
    tensors = {name: _tensor(name, arrays[name]) for name in names}
    counts = {name: tensor.shape[0] if tensor.dim() else 0 for name, tensor in tensors.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputError(f"calibration inputs must have one number of samples, at least one; they have {counts}")
    count = next(iter(counts.values()))
    return [_unpadded({name: tensor[place : place + 1] for name, tensor in tensors.items()}) for place in range(count)]


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiub":
        raise InputError(f"calibration input {name!r} holds {value.dtype}, not numbers")
    return value if isinstance(value, Tensor) else torch.as_tensor(value)


def _unpadded(sample: Inputs) -> Inputs:
    """Without the padded end of a text: what a tile sees there does not matter to anybody."""
    mask = sample.get("attention_mask")
    if mask is None or mask.dim() != 2 or not bool(mask.any()):
        return sample
    length = int(mask[0].nonzero().max()) + 1
    same = [name for name, value in sample.items() if value.dim() >= 2 and value.shape[1] == mask.shape[1]]
    return {name: value[:, :length] if name in same else value for name, value in sample.items()}
