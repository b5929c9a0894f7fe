"""Folders of trained networks: HuggingFace's own files, with the ranges and channel scales beside the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tilewright.compiler.network.restorable import plain_copy
from tilewright.compiler.training.prepared import PreparedLayer
from tilewright.compiler.training.products import prepared_products
from tilewright.runtime.storage.atomic_folder import FolderKind

WEIGHTS = "model.safetensors"
RECORD = "tilewright_training.json"
"""Name of the file that says how a network was trained."""
TRAINED = FolderKind(
    "a trained network", RECORD, frozenset({"tilewright_version", "recipe", "files"}), lambda record: set(record["files"])
)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Ranges and channel scales of a prepared network, by the names that ``compile`` looks for beside the weights.

    ``X.input_range`` [row-blocks] is the range of the inputs divided by ``X.channel_scale`` [inputs]; P.left_range and
    P.right_range are those of a product P.
    """
    found: dict[str, Tensor] = {}
    for name, part in model.named_modules():
        if isinstance(part, PreparedLayer):
            for kind, tensor in (("input_range", part.range_owner.input_range), ("channel_scale", part.channel_scale)):
                if tensor is not None:
                    found[f"{name}.{kind}"] = tensor.detach().clone().cpu()
    for name, product in prepared_products(model):
        for kind, tensor in (("left_range", product.left_range), ("right_range", product.right_range)):
            found[f"{name}.{kind}"] = tensor.detach().clone().flatten().cpu()
    return found


def save_trained(model: Any, folder: Path) -> None:
    """Write a prepared transformers model as a folder that ``compile`` takes, with its ranges; it stays prepared."""
    tensors = trained_tensors(model)
    plain = plain_copy(model)
    with torch.no_grad():
        plain.save_pretrained(folder, max_shard_size="1000GB")
    file = folder / WEIGHTS
    if tensors:
        weights = load_file(file)
        save_file({**weights, **tensors}, file, metadata={"format": "pt"})


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write how a network was trained into its folder, with the names of the files that are the folder's own."""
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    text = json.dumps({**record, "files": files}, indent=1) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")
