"""Adapters that train beside a frozen network: LoRA of peft on its layers on tiles, and the head of a new task."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError
from tilewright.targets.spec.recipe import Adapter, Recipe

TRIED = "adapter"
"""Name of an adapter in the plan that it is measured with."""


@dataclass(frozen=True)
class AdapterParts:
    """Names of what an adapter is beside in a network, and of what it replaces there.

    beside: modules on tiles. replaced: the head, which is the task's own; left: its layers in the plan, which are not
    prepared.
    """

    beside: list[str]
    replaced: list[str]
    left: list[str]

    @classmethod
    def of(cls, model: Any, plan: Plan) -> AdapterParts:
        """Parts of a transformers model, by a plan of it: all on tiles, and the head if it tells classes apart.

        Raises ``InputError`` if nothing is on tiles.
        """
        head, chip = _head_of(model), plan.document.chip
        beside, left = [], []
        for layer in plan.document.layers:
            for part in layer.parts:
                module = part.weight.removesuffix(".weight")
                if any(module == name or module.startswith(f"{name}.") for name in head):
                    left.append(layer.name)
                elif part.stored is not None and chip.target(layer.target).tile is not None:
                    beside.append(module)
        if not beside:
            raise InputError(f"chip {chip.name!r} has no layer of this network on tiles that an adapter can be beside")
        return cls(beside, head, left)


def adapter_of(recipe: Recipe) -> Adapter:
    """A recipe's adapter. Raises ``InputError`` if it says nothing."""
    if recipe.adapter is None:
        raise InputError(
            f"recipe {recipe.name!r} says nothing of adapters; add its adapter: rank, alpha, dropout, learning_rate"
        )
    return recipe.adapter


def for_adapters(recipe: Recipe) -> Recipe:
    """The recipe with the learning rate of its adapters."""
    schedule = recipe.schedule.model_copy(update={"learning_rate": adapter_of(recipe).learning_rate})
    return recipe.model_copy(update={"schedule": schedule})


def with_adapter(model: nn.Module, parts: AdapterParts, recipe: Recipe, source: str | Path, seed: int) -> Any:
    """The network with a new adapter of peft, whose parameters alone train.

    The base is frozen, and so are its input ranges: on the chip nothing is written again. source: name of the base.
    seed: of the adapter's first weights. Raises ``InputError`` without peft.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise InputError("training an adapter needs peft: pip install 'tilewright[training]'") from error
    asked = adapter_of(recipe)
    config = LoraConfig(
        r=int(asked.rank),
        lora_alpha=int(asked.alpha),
        lora_dropout=float(asked.dropout),
        target_modules=parts.beside,
        modules_to_save=parts.replaced or None,
        base_model_name_or_path=str(source),
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        return get_peft_model(model, config)


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter of a network as peft saves it, with the name of its base."""
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # a form of peft's that nobody filled in


def adapted(plan: Plan, model: Any) -> Plan:
    """A plan of the base with the adapter of a network as it is now, which is chosen."""
    with tempfile.TemporaryDirectory(prefix="tilewright-", ignore_cleanup_errors=True) as made:
        save_adapter(model, Path(made))
        return plan.with_adapter(TRIED, made).adapted(TRIED)


def _head_of(model: Any) -> list[str]:
    """Parts of a transformers model beside its base model that tell classes apart; none of a language model's."""
    if not type(model).__name__.endswith(("ForSequenceClassification", "ForTokenClassification")):
        return []
    base = getattr(model, "base_model", model)
    return [
        name for name, part in model.named_children() if part is not base and next(part.parameters(), None) is not None
    ]
