"""The weights of a HuggingFace model as they lie in its files: mapped, not read.

transformers copies weights that are not in float32 into memory, all of them. Here they are mapped and converted tensor
by tensor into a scratch file, so that a model may be larger than memory.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.network.scratch import Scratch
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.storage.weights_file import WeightsFile
from tilewright.targets.errors import InputError

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")
"""Names of torch's own weight files: one file; the index of several; these."""
THEIR_SETTINGS = ("aihwkit.simulator.", "aihwkit.inference.", "aihwkit_lightning.simulator.")
"""Beginnings of the names of classes that AIHWKit and AIHWKit-Lightning keep settings in."""
TILE_STATE = "analog_tile_state"
"""End of the names under which AIHWKit stores the state of a tile."""
IN_FLOAT32 = torch.empty(0, dtype=torch.float32)
"""An empty float32 tensor, the pattern for weights of other types."""


def stored_weights(folder: Path) -> dict[str, Tensor]:
    """Tensors of a folder by name, in float32; from safetensors where there are such, else from torch's own files.

    Raises ``InputError`` if there are none, or they are damaged.
    """
    files = weight_files(folder, SAFETENSORS) or weight_files(folder, PICKLED)
    if not files:
        raise InputError(
            f"the weights of {str(folder)!r} are missing: there is no {SAFETENSORS[0]} and no {PICKLED[0]} in it, nor "
            "an index of several"
        )
    scratch = Scratch()
    tensors = {}
    for path in files:
        for name, found in tensors_of(path):
            tensor = found
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                tensor = scratch.empty(tensor.shape, IN_FLOAT32).copy_(used(tensor))
            tensors[name] = tensor
    return tensors


def weight_files(folder: Path, names: tuple[str, str, str]) -> list[Path]:
    """Files of one kind that hold a folder's weights. Raises ``InputError`` for an index that is damaged."""
    whole, index = folder / names[0], folder / names[1]
    if whole.is_file():
        return [whole]
    if not index.is_file():
        return []
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        found = sorted(set(places.values()))
        stray = next((name for name in found if Path(name).name != name), None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index} is not an index of weights: {error}") from error
    if stray is not None:
        raise InputError(f"{index} names a file {stray!r} that is not beside it")
    return [folder / name for name in found]


def tensors_of(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a file with their names, in order of these. Raises ``InputError`` if it is damaged."""
    if path.suffix != ".safetensors":
        yield from sorted(_unpickled(path).items())
        return
    file = WeightsFile(path)
    for name in sorted(file.names):
        yield name, file.read(name)


def _unpickled(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a file of torch.save. Raises ``InputError`` if anything in it would have to be run."""
    content: Any = None
    try:
        is_mapped = zipfile.is_zipfile(path)
        if not is_mapped or _is_stored_plainly(path):
            with torch.serialization.safe_globals(_stand_ins(path) if is_mapped else []):
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except Exception as error:  # whatever a damaged file, or one that wants to run code, makes torch raise
        kind = type(error).__name__
        raise InputError(
            f"{path} cannot be read as plain tensors ({kind}): it is damaged, or holds objects that would run code; "
            "load it where you trust it, and save its state_dict() with safetensors.torch.save_file as "
            f"{SAFETENSORS[0]}"
        ) from error
    if isinstance(content, dict) and any(str(name).endswith(TILE_STATE) for name in content):
        raise InputError(
            f"{path} is the state of a model of aihwkit, which keeps weights in parts of the largest: give it to "
            "aihwkit's convert_to_digital and save that, with each tile's input_range beside its weight"
        )
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and _is_whole(value) for name, value in content.items()
    ):
        raise InputError(f"{path} does not hold a state_dict: names and plain tensors, and nothing else")
    return content


class _StandIn:
    """An object that does nothing, in place of one of AIHWKit's settings; it takes anything."""

    def __new__(cls, *_values: object) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_values: object) -> None:
        return


def _stand_ins(path: Path) -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Stand-ins for the classes of AIHWKit and AIHWKit-Lightning that a file names, so that none of their code is run.

    These keep the settings of training in the metadata of a state dict.
    """
    named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    return [(_StandIn, name) for name in named if name.startswith(THEIR_SETTINGS)]


def _is_stored_plainly(path: Path) -> bool:
    """True if all that a zip file holds is no larger than the file: torch does not compress."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist()) <= path.stat().st_size


def _is_whole(tensor: Tensor) -> bool:
    """True if each number of a tensor has a place of its own: a view of one number may claim any shape."""
    return tensor.layout == torch.strided and tensor.nbytes <= tensor.untyped_storage().nbytes()
