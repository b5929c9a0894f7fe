"""The weights of a HuggingFace model as they lie in its safetensors files: mapped, not read.

transformers copies weights that are not in float32 into memory, all of them. Here they are mapped and converted tensor
by tensor into a scratch file, so that a model may be larger than memory.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from tilewright.compiler.scratch import Scratch
from tilewright.runtime.memory_map import used
from tilewright.runtime.weights_file import WeightsFile
from tilewright.targets.errors import InputError

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARDS = "model-*.safetensors"
IN_FLOAT32 = torch.empty(0, dtype=torch.float32)
"""What other weights are made like."""


def stored_weights(source: str | Path) -> dict[str, Tensor] | None:
    """Every tensor by its name, numbers in float32; None if there are no such files.

    Raises ``InputError`` if they are damaged.
    """
    folder = Path(source) if Path(source).is_dir() else _downloaded(str(source))
    if folder is None:
        return None
    scratch = Scratch()
    tensors = {}
    for path in _files(folder):
        file = WeightsFile(path)
        for name in sorted(file.names):
            tensor = file.read(name)
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                tensor = scratch.empty(tensor.shape, IN_FLOAT32).copy_(used(tensor))
            tensors[name] = tensor
    return tensors or None


def _downloaded(name: str) -> Path | None:
    """The folder in the hub's cache with these files of a model; None if they cannot be had."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[WHOLE, INDEX, SHARDS]))
    except Exception:  # whatever is wrong, transformers will meet it too, and say so
        return None


def _files(folder: Path) -> list[Path]:
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    if not (folder / INDEX).is_file():
        return []
    try:
        places = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(places.values()))
        stray = next((name for name in names if Path(name).name != name), None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / INDEX} is not an index of weights: {error}") from error
    if stray is not None:
        raise InputError(f"{folder / INDEX} names a file {stray!r} that is not beside it")
    return [folder / name for name in names]
