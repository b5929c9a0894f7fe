"""Folders of trained networks: HuggingFace's own files, with the ranges and channel scales beside the weights."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tilewright.compiler.network.restorable import plain_copy, trained_tensors
from tilewright.runtime.plan.base_weights import RECORD
from tilewright.runtime.storage.atomic_file import write_whole
from tilewright.runtime.storage.atomic_folder import FolderKind

WEIGHTS = "model.safetensors"
TRAINED = FolderKind(
    "a trained network",
    RECORD,
    frozenset({"tilewright_version", "recipe", "files"}),
    lambda record: set(record["files"]),
)


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


@contextmanager
def snapshot(model: Any, processor: Any) -> Iterator[Path]:
    """Folder of a network as it is now, with its tokenizer or image processor, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="tilewright-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        save_trained(model, folder)
        processor.save_pretrained(folder)
        yield folder


def add_to_record(folder: Path, found: dict[str, Any]) -> None:
    """Add to what a folder says of its training."""
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    write_whole(folder / RECORD, (json.dumps({**record, **found}, indent=1) + "\n").encode())


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write how a network was trained into its folder, with the names of the files that are the folder's own."""
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    text = json.dumps({**record, "files": files}, indent=1) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")
