"""Adapters as the library peft saves them, read as data: adapter_config.json and adapter_model.safetensors.

peft is not needed, and nothing of a folder runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tilewright.runtime.plan.adapter_config import AdapterConfig, read_config
from tilewright.runtime.storage.weights_file import WeightsFile
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, as_path, check_file, kind_of, real_path, shown_path
from tilewright.targets.shown import shown

TENSORS, PICKLE = "adapter_model.safetensors", "adapter_model.bin"
LARGEST_TENSORS = 2**34  # bytes
MOST_TENSORS, LONGEST_NAME = 2**16, 512
BEFORE = "base_model.model."
"""Beginning of names in peft's files, before the model's own."""
HALVES = ("lora_A", "lora_B")
UNSUPPORTED = {
    "lora_embedding_A": "LoRA on an embedding",
    "lora_embedding_B": "LoRA on an embedding",
    "lora_magnitude_vector": "DoRA",
}
"""Words in names of tensors of what is not supported, in the field's words."""
Found = dict[str, dict[str, Tensor]]
"""Tensors by module and by what they are of it."""


@dataclass(frozen=True)
class Pair:
    """Low-rank matrices of one module: a [rank, inputs] and b [outputs, rank], or kernels of convolutions.

    Both are in their file until ``numbers_of`` takes them out.
    """

    a: Tensor
    b: Tensor
    alpha: float
    scale: float


@dataclass(frozen=True)
class PeftAdapter:
    """Adapter of a folder. pairs, replacements: by the model's names of modules. base: model it was trained on.

    source: name of the folder.
    """

    source: str
    base: str | None
    pairs: dict[str, Pair]
    replacements: Found
    """Tensors in place of a module's own: weight, and bias where it has one."""


def read_adapter(folder: str | Path) -> PeftAdapter:
    """The adapter in a folder. Raises ``InputError`` for what is not a whole LoRA adapter that tilewright knows."""
    folder = as_path(folder, "adapter's folder")
    if kind_of(folder) != FOLDER:
        raise InputError(f"there is no adapter folder {shown_path(folder)}")
    config, shown_folder = read_config(folder), f"adapter {shown_path(folder)}"
    if kind_of(folder / TENSORS) is None and kind_of(folder / PICKLE) is not None:
        raise InputError(f"{shown_folder} is a pickle, {PICKLE}, which could run code; save it as {TENSORS}")
    check_file(folder / TENSORS, "file of an adapter", LARGEST_TENSORS)
    halves, replacements = _tensors(folder / TENSORS)
    for module, found in halves.items():
        lost = [half for half in HALVES if half not in found]
        if lost:
            raise InputError(f"{shown_folder} has no {lost[0]} for {shown(module)}")
        if module in replacements:
            raise InputError(f"{shown_folder} has both LoRA and a matrix of its own for {shown(module)}")
    for module, found in replacements.items():
        if "weight" not in found:
            raise InputError(f"{shown_folder} has a bias and no weight for {shown(module)}")
    if not halves and not replacements:
        raise InputError(f"{shown_folder} has no tensors")
    pairs = {module: _pair(config, module, *(found[half] for half in HALVES)) for module, found in halves.items()}
    return PeftAdapter(real_path(folder).name[:200], config.base, pairs, replacements)


def _tensors(path: Path) -> tuple[Found, Found]:
    """Halves of low-rank pairs, and tensors in place of the model's own."""
    file = WeightsFile(path)
    if len(file.names) > MOST_TENSORS:
        raise InputError(f"{shown_path(path)} has {len(file.names)} tensors, allowed are {MOST_TENSORS}")
    halves: Found = {}
    replacements: Found = {}
    for name in sorted(file.names):
        module, what = _split(name)
        (halves if what in HALVES else replacements).setdefault(module, {})[what] = _fractions(file, name)
    return halves, replacements


def _split(name: str) -> tuple[str, str]:
    """Module of a tensor, and what it is of it: a half, its weight or its bias. Raises ``InputError`` for any other."""
    words = name.removeprefix(BEFORE).split(".")
    for word, said in UNSUPPORTED.items():
        if word in words:
            raise InputError(f"adapter tensor {shown(name)}: {said} is not supported")
    *module, what, last = ["", *words]
    if what in HALVES and last == "bias":
        raise InputError(f"adapter tensor {shown(name)}: a bias of LoRA is not supported")
    if what not in HALVES:
        module, what = [*module, what], last
    known = what in HALVES or what in ("weight", "bias")
    if not name.startswith(BEFORE) or not known or not all(module[1:]) or len(module) < 2 or len(name) > LONGEST_NAME:
        raise InputError(f"adapter tensor {shown(name)} is not named as {BEFORE}MODULE.lora_A.weight is")
    return ".".join(module[1:]), what


def _fractions(file: WeightsFile, name: str) -> Tensor:
    """A tensor in its file, which takes no memory yet. Raises ``InputError`` for other things than fractions."""
    stored = file.read(name)
    if not stored.is_floating_point() or stored.dtype.itemsize < 2:
        raise InputError(
            f"adapter tensor {shown(name)} is {stored.dtype}; allowed: float16, bfloat16, float32, float64"
        )
    if not stored.numel():
        raise InputError(f"adapter tensor {shown(name)} is empty, of shape {list(stored.shape)}")
    return stored


def numbers_of(stored: Tensor, what: str) -> Tensor:
    """A tensor of a file as float32 in memory. what: for sentences. Raises ``InputError`` for what is not finite."""
    numbers = stored.to(torch.float32, copy=True)
    if not bool(torch.isfinite(numbers).all()):
        raise InputError(f"the adapter's {what} holds NaN or infinity")
    return numbers


def _pair(config: AdapterConfig, module: str, a: Tensor, b: Tensor) -> Pair:
    """The two halves, checked against each other and the configuration, with their scale."""
    rank, alpha = config.rank_and_alpha(module)
    if a.dim() < 2 or b.dim() != a.dim() or a.shape[0] != b.shape[1] or any(size != 1 for size in b.shape[2:]):
        shapes = f"{list(a.shape)} and {list(b.shape)}"
        raise InputError(f"lora_A and lora_B of {shown(module)} have shapes {shapes}, which do not multiply")
    if a.shape[0] != rank:
        raise InputError(f"lora_A of {shown(module)} has rank {a.shape[0]}, the adapter's configuration says {rank}")
    return Pair(a, b, alpha, config.scale(rank, alpha))
