"""The network that a training starts from: a HuggingFace folder, with a head for the task where it has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tilewright.compiler.frontends.huggingface_model import (
    architecture_of,
    image_processor_files,
    import_transformers,
    load_config,
    load_tokenizer,
)
from tilewright.compiler.training.task_data import TrainingData
from tilewright.targets.errors import InputError

HEADS = (
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForImageClassification",
    "LMHead",
    "ForCausalLM",
)
"""Ends of the names of architectures that have a head of their own."""


@dataclass(frozen=True)
class Processor:
    """Processor of a model's inputs: its tokenizer, if it has one, and the files of its image processor by name."""

    tokenizer: Any
    files: dict[str, bytes]

    def save_pretrained(self, folder: Path) -> None:
        """Write both beside a model's files."""
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


@dataclass(frozen=True)
class StartingModel:
    """A network to train, and what is saved with it.

    model: of transformers, in float32. processor: its tokenizer or image processor. new_head: True if the head was made
    anew, of random weights.
    """

    model: Any
    processor: Processor
    new_head: bool


def starting_model(source: str | Path, data: TrainingData, seed: int, *, is_base: bool = False) -> StartingModel:
    """The network of a folder or hub name, with a head for the task's classes where it has none.

    seed: of the weights of such a head. is_base: it is the base of an adapter, which replaces the head that the base
    has, whatever its classes. Raises ``InputError`` for a model that cannot be loaded, or that has no head where the
    task does not say how many classes there are, or where a base must have one.
    """
    transformers = import_transformers()
    config = load_config(transformers, source, config_only=False)
    architecture = architecture_of(transformers, source, config)
    names = data.class_names
    name = architecture.__name__
    if names is None and data.needs_head and name.endswith("Model") and "LMHead" not in name:
        raise InputError(
            f"model {str(source)!r} is a {name}, without a head for {data.task}, and the task does not say how many "
            "classes there are: give it one, by transformers' AutoModelFor... and num_labels, and save it"
        )
    new_head = names is not None and not name.endswith(HEADS)
    if new_head and is_base:
        raise InputError(
            f"model {str(source)!r} has no head that an adapter could replace by its own; take as the base a folder of "
            "what transformers' AutoModelForSequenceClassification.from_pretrained makes of it"
        )
    other_classes = is_base and names is not None and len(names) != config.num_labels
    torch.manual_seed(seed)
    try:
        if new_head or other_classes:
            assert names is not None
            made = transformers.AutoModelForSequenceClassification if new_head else architecture
            model = made.from_pretrained(
                str(source),
                id2label=dict(enumerate(names)),
                label2id={name: number for number, name in enumerate(names)},
                dtype=torch.float32,
                ignore_mismatched_sizes=other_classes,
            )
        else:
            model = architecture.from_pretrained(str(source), dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"model {str(source)!r} cannot be loaded for training: {' '.join(str(error).split())[:300]}"
        ) from error
    return StartingModel(
        model, Processor(load_tokenizer(transformers, source), image_processor_files(source)), new_head
    )


def teacher_of(start: StartingModel, source: str | Path) -> Any:
    """The network of another folder or hub name, to distil into the one that starts.

    Raises ``InputError`` for one that cannot be loaded, is of another kind, or lacks weights: a head that is made anew
    would teach what nobody knows.
    """
    transformers = import_transformers()
    own, config = type(start.model), load_config(transformers, source, config_only=False)
    if type(config) is not type(start.model.config):
        raise InputError(
            f"teacher {str(source)!r} is a {config.model_type}, and the model a {start.model.config.model_type}: their "
            "inputs are not the same"
        )
    if config.num_labels != start.model.config.num_labels:
        raise InputError(
            f"teacher {str(source)!r} has {config.num_labels} classes, and the model {start.model.config.num_labels}"
        )
    try:
        found, told = own.from_pretrained(str(source), config=config, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"teacher {str(source)!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    if told["missing_keys"]:
        missing = sorted(told["missing_keys"])
        raise InputError(f"teacher {str(source)!r} has no {missing[0]}: it is no {own.__name__} that was trained")
    return found
