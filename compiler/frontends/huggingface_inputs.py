"""Inputs of HuggingFace models: text, images, sound, or text for a decoder beside one of them."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch
from torch import nn

from tilewright.compiler.frontends.automatic_inputs import EXAMPLE_BATCHES, EXAMPLE_LENGTHS, InputSpec, ModelInputs
from tilewright.compiler.network.traced import Inputs
from tilewright.targets.errors import InputError

DECODER_LENGTHS = (6, 4, 9)
SIDES = (224, 192, 256)
"""Heights of images where the config names none; widths are 32 more."""
SAMPLES = (4000, 3200, 4960)
"""Lengths of sound, in samples."""
POSITIONS = re.compile(r"(?:^|\.)(?:position_embeddings?|embed_positions|positions_embed|wpe)$")
"""Names of tables of positions."""
OF_OTHERS = re.compile(r"vision|visual|image|audio")
"""Parts of a model whose positions are no text's."""
ENCODERS = re.compile(OF_OTHERS.pattern + r"|encoder\.")
"""Parts of a model whose positions are no text's, where the encoder takes images or sound."""
KNOWN = ("input_ids", "pixel_values", "input_features", "input_values", "past_values", "decoder_input_ids")


def model_inputs(model: Any, tokenizer: Any) -> ModelInputs:
    """The inputs that a model needs, by its config. Raises ``InputError`` for a kind that is not known."""
    config, parameters = model.config, inspect.signature(model.forward).parameters
    specs = [*_text(model, parameters, tokenizer), *_images(config, parameters), *_sound(config, parameters)]
    specs += _series(model, config)
    if config.is_encoder_decoder and "decoder_input_ids" in parameters:
        vocabulary = int(config.get_text_config(decoder=True).vocab_size)
        specs.append(InputSpec("decoder_input_ids", ("batch", "decoder_sequence"), "tokens", bound=vocabulary))
    if not specs or model.main_input_name not in {spec.name for spec in specs}:
        raise InputError(
            f"{type(model).__name__} takes {model.main_input_name!r}, and inputs are made for {', '.join(KNOWN)} only: "
            "load it in Python and call tilewright.compile(model, example_inputs=...)"
        )
    sizes = [
        {
            "batch": batch,
            "sequence": length,
            "decoder_sequence": decoder_length,
            "height": side,
            "width": side + 32,
            "samples": samples,
        }
        for batch, length, decoder_length, side, samples in zip(
            EXAMPLE_BATCHES, EXAMPLE_LENGTHS, DECODER_LENGTHS, SIDES, SAMPLES, strict=True
        )
    ]
    longest, rows = longest_text(model), position_rows(model)

    def encode(text: str) -> Inputs:
        encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest or 512, padding=False)
        return {spec.name: encoded[spec.name] for spec in specs}

    text_only = {spec.name for spec in specs} <= {"input_ids", "attention_mask", "token_type_ids"}
    return ModelInputs(
        specs=specs,
        example_sizes=sizes,
        batch="batch",
        length="sequence" if any("sequence" in spec.shape for spec in specs) else None,
        limits={} if longest is None else {"sequence": longest, "decoder_sequence": longest},
        most={} if rows is None else {"sequence": rows, "decoder_sequence": rows},
        encode=encode if tokenizer and text_only else None,
    )


def longest_text(model: Any) -> int | None:
    """Tokens that the positions of a model reach, by its table of them or its config; None if there is no limit."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rows = position_rows(model)
    return rows if rows is not None else int(positions) if isinstance(positions, int) and positions > 0 else None


def position_rows(model: Any) -> int | None:
    """Tokens that a model's learned table of positions has rows for; None if it has none, or one of another kind.

    RoBERTa's family counts positions from behind that of the padding, OPT's and BART's from an offset.
    """
    of_others = OF_OTHERS if model.main_input_name == "input_ids" else ENCODERS
    found = [
        _rows(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and POSITIONS.search(name) and not of_others.search(name)
    ]
    return min((rows for rows in found if rows > 0), default=None)


def _rows(table: nn.Embedding) -> int:
    is_plain = type(table) is nn.Embedding
    skipped = table.padding_idx + 1 if is_plain and table.padding_idx is not None else int(getattr(table, "offset", 0))
    return table.num_embeddings - skipped


def _text(model: Any, parameters: Any, tokenizer: Any) -> list[InputSpec]:
    if "input_ids" not in parameters or (model.main_input_name != "input_ids" and "pixel_values" not in parameters):
        return []
    text = model.config.get_text_config()
    vocabulary, shape = int(text.vocab_size), ("batch", "sequence")
    padding = getattr(text, "pad_token_id", None)
    padding = padding if isinstance(padding, int) and 0 <= padding < vocabulary else None
    specs = [InputSpec("input_ids", shape, "tokens", bound=vocabulary, padding=padding)]
    if "attention_mask" in parameters:
        specs.append(InputSpec("attention_mask", shape, "mask"))
    made_by_tokenizer = tokenizer is None or "token_type_ids" in tokenizer.model_input_names
    if "token_type_ids" in parameters and made_by_tokenizer and getattr(model.config, "type_vocab_size", None):
        specs.append(InputSpec("token_type_ids", shape, "zeros"))
    return specs


def _images(config: Any, parameters: Any) -> list[InputSpec]:
    if "pixel_values" not in parameters:
        return []
    vision = getattr(config, "vision_config", None) or getattr(config, "encoder", None) or config
    channels = int(getattr(vision, "num_channels", 3))
    size = getattr(vision, "image_size", None) or getattr(config, "image_size", None)
    if size is None:  # networks of convolutions alone take images of any size
        return [InputSpec("pixel_values", ("batch", channels, "height", "width"), "numbers", torch.float32)]
    height, width = (int(size), int(size)) if isinstance(size, int) else (int(side) for side in size)
    return [InputSpec("pixel_values", ("batch", channels, height, width), "numbers", torch.float32)]


def _sound(config: Any, parameters: Any) -> list[InputSpec]:
    bins = getattr(config, "num_mel_bins", None)
    if "input_values" in parameters:
        frames_taken = getattr(config, "max_length", None)  # of a spectrogram; others take samples, whatever they give
        shape = (
            ("batch", "samples") if bins is None or frames_taken is None else ("batch", int(frames_taken), int(bins))
        )
        return [InputSpec("input_values", shape, "numbers", torch.float32)]
    if bins is None or "input_features" not in parameters:
        return []
    # two frames a position: the first convolutions of Whisper halve the length
    frames = 2 * int(getattr(config, "max_source_positions", 1500))
    return [InputSpec("input_features", ("batch", int(bins), frames), "numbers", torch.float32)]


def _series(model: Any, config: Any) -> list[InputSpec]:
    """Input of a forecast: values of the past, a channel a series."""
    length, channels = getattr(config, "context_length", None), getattr(config, "num_input_channels", None)
    if model.main_input_name != "past_values" or length is None or channels is None:
        return []
    return [InputSpec("past_values", ("batch", int(length), int(channels)), "numbers", torch.float32)]
