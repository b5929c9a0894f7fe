"""Modules that a sentence-transformers folder puts behind its transformer: pooling, dense layers, norms.

A plain mean or first token stays outside the plan, in the evaluation. Anything else is part of the network: the modules
are hung onto the transformer, whose outputs then hold ``sentence_embedding`` too, and its parameters keep their names.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.compiler.frontends.stored_weights import PICKLED, SAFETENSORS, tensors_of
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown

EMBEDDING = "sentence_embedding"
MODULES = "modules.json"
PACKAGE = "sentence_transformers."
LARGEST_FILE = 2**20
"""Largest number of bytes of a module's config, and of the list of modules."""
LARGEST_SIZE = 2**16
"""Largest side of a dense layer, and largest width of a norm."""
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Words for poolings by older keys, in the order in which their results stand side by side."""
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    kind.__name__: kind
    for kind in (
        nn.ELU, nn.GELU, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid,
        nn.SiLU, nn.Softplus, nn.Softsign, nn.Tanh,
    )
}  # fmt: skip
"""Functions behind a dense layer, by the last word of their name: those of torch that take no arguments."""


class Pooling(nn.Module):
    """Pooling of a text's token vectors to one vector; of several kinds, one behind the other."""

    def __init__(self, modes: list[str]) -> None:
        super().__init__()
        self.modes = modes

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Pool tokens [batch, sequence, width] with mask [batch, sequence], 0 behind the text -> [batch, width]."""
        return torch.cat([POOLINGS[mode](tokens, mask.to(tokens.dtype).unsqueeze(-1)) for mode in self.modes], dim=-1)


def _last(tokens: Tensor, mask: Tensor) -> Tensor:
    """The last token of the text; zeros for a text without any."""
    places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    return _at(tokens * mask, (mask.squeeze(-1) * places).argmax(dim=1))


def _at(tokens: Tensor, places: Tensor) -> Tensor:
    return torch.gather(tokens, 1, places.view(-1, 1, 1).expand(-1, 1, tokens.shape[2])).squeeze(1)


def _mean(tokens: Tensor, weights: Tensor) -> Tensor:
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def _later_weigh_more(tokens: Tensor, mask: Tensor) -> Tensor:
    return _mean(tokens, mask * torch.arange(1, tokens.shape[1] + 1, device=tokens.device).view(1, -1, 1))


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": lambda tokens, mask: _at(tokens, mask.squeeze(-1).argmax(dim=1)),
    "max": lambda tokens, mask: tokens.masked_fill(mask == 0, float("-inf")).amax(dim=1),
    "mean": _mean,
    "mean_sqrt_len_tokens": lambda tokens, mask: (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9).sqrt(),
    "weightedmean": _later_weigh_more,
    "lasttoken": _last,
}
"""Poolings as in the library. tokens: [batch, sequence, width], mask: [batch, sequence, 1] -> [batch, width]."""


class Dense(nn.Module):
    """A dense layer: a matrix, a function behind it, and the input once more where the config says so."""

    def __init__(self, settings: dict[str, Any], where: str) -> None:
        super().__init__()
        inputs, outputs = (_size(settings, key, where) for key in ("in_features", "out_features"))
        self.linear = nn.Linear(inputs, outputs, bias=bool(settings.get("bias", True)))
        name = settings.get("activation_function", "torch.nn.Tanh")
        function = "Identity" if name is None else str(name).rpartition(".")[2]
        if function not in ACTIVATIONS or not str(name or "torch.").startswith("torch."):
            raise InputError(f"{where}: activation_function is {shown(name)}; {nearest(function, ACTIVATIONS)}")
        self.activation_function = ACTIVATIONS[function]()
        self.use_residual = bool(settings.get("use_residual", False))
        if self.use_residual and inputs != outputs:
            self.residual = nn.Linear(inputs, outputs, bias=False)

    def forward(self, embedding: Tensor) -> Tensor:
        """Embedding [batch, in_features] -> [batch, out_features]."""
        result: Tensor = self.activation_function(self.linear(embedding))
        if not self.use_residual:
            return result
        return result + (self.residual(embedding) if hasattr(self, "residual") else embedding)


def _norm(settings: dict[str, Any], where: str) -> nn.Module:
    """Layer normalisation of an embedding, called as the library calls it."""
    return nn.Sequential(OrderedDict(norm=nn.LayerNorm(_size(settings, "dimension", where))))


class Normalize(nn.Module):
    """Scaling of an embedding to length one."""

    def forward(self, embedding: Tensor) -> Tensor:
        """Embedding of length one [batch, width]."""
        return functional.normalize(embedding, dim=-1)


@dataclass
class SentenceModules:
    """The modules behind the transformer, in order, by the names of their folders."""

    pooling: Literal["mean", "cls"] | None = None
    """Pooling of the tokens to one vector, where the plan's user can do it outside of the network; else None."""
    modules: dict[str, nn.Module] | None = None
    """Modules that are part of the network; None where none is."""

    def attach(self, model: nn.Module) -> None:
        """Make the model's outputs hold ``sentence_embedding``."""
        if self.modules is None:
            return
        for name, module in self.modules.items():
            model.add_module(f"{name}_" if hasattr(model, name) else name, module.eval().requires_grad_(False))
        model.register_forward_hook(self._run, with_kwargs=True)

    def _run(self, model: nn.Module, _arguments: Any, named: dict[str, Any], outputs: Any) -> dict[str, Any]:
        tokens = outputs.get("last_hidden_state") if isinstance(outputs, dict) else None
        if tokens is None:
            raise InputError(
                f"{MODULES} puts modules behind the transformer, but {type(model).__name__} gives no last_hidden_state "
                "that they could take; name the model without its head under architectures in config.json"
            )
        mask = named.get("attention_mask")
        mask = torch.ones(tokens.shape[:2], device=tokens.device) if mask is None else mask
        embedding = tokens
        for module in (self.modules or {}).values():
            embedding = module(embedding, mask) if isinstance(module, Pooling) else module(embedding)
        return {**outputs, EMBEDDING: embedding}


def read_modules(folder: Path, *, with_weights: bool) -> SentenceModules:
    """Modules behind the transformer in a folder. Raises ``InputError`` for a module that is not known.

    with_weights: True if parameters are read; else they are made on the default device.
    """
    listed = _listed(folder)
    kinds = [kind for kind, _ in listed]
    names = [_name(path) for _, path in listed]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{folder / MODULES} lists two modules in one folder, {twice!r}")
    if not listed or kinds == ["Transformer"]:
        return SentenceModules()
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise InputError(f"{folder / MODULES} lists {', '.join(kinds)[:200]}; Transformer and Pooling must come first")
    if "Pooling" in kinds[2:]:
        raise InputError(f"{folder / MODULES} lists Pooling twice: there is nothing left to pool")
    modes = _modes(*_settings(folder, listed[1][1]))
    if modes in (["mean"], ["cls"]) and set(kinds[2:]) <= {"Normalize", "Dropout"}:
        return SentenceModules("mean" if modes == ["mean"] else "cls")
    modules: dict[str, nn.Module] = {_name(listed[1][1]): Pooling(modes)}
    for kind, path in listed[2:]:
        if kind in ("Dense", "LayerNorm"):
            modules[_name(path)] = _with_parameters(Dense if kind == "Dense" else _norm, folder, path, with_weights)
        elif kind == "Normalize":
            if (folder / path / "config.json").is_file():
                _settings(folder, path)  # it may be for something else than the embedding
            modules[_name(path)] = Normalize()
    return SentenceModules(None, modules)


KNOWN = ("Transformer", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")


def _listed(folder: Path) -> list[tuple[str, str]]:
    """Kind and path of each module, in order; a folder without a list has at most a pooling."""
    if not (folder / MODULES).is_file():
        has_pooling = (folder / "1_Pooling" / "config.json").is_file()
        return [("Transformer", ""), ("Pooling", "1_Pooling")] if has_pooling else []
    content = _json(folder / MODULES)
    where = f"{folder / MODULES}"
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise InputError(f"{where} is no list of modules")
    found = []
    for entry in content:
        kind, path = str(entry.get("type", "")), entry.get("path")
        name = kind.rpartition(".")[2]
        if not kind.startswith(PACKAGE) or name not in KNOWN:
            raise InputError(
                f"{where} lists a module {shown(kind)} that tilewright does not know; {nearest(name, KNOWN)}; compile "
                "its transformer alone from a folder without modules.json, or load the model in Python and compile "
                "it with example_inputs"
            )
        if not isinstance(path, str) or Path(path).is_absolute() or ".." in Path(path).parts:
            raise InputError(f"{where}: the path {shown(path)} of {name} does not stay inside the folder")
        found.append((name, path))
    if found and found[0] == ("Transformer", found[0][1]) and found[0][1] not in ("", "."):
        raise InputError(f"{where}: the transformer lies in {found[0][1]!r}; move its files into the folder itself")
    return found


def _name(path: str) -> str:
    """A folder's name as one word of a parameter's name."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in path) or "module"


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path} is {path.stat().st_size} bytes, allowed are {LARGEST_FILE}")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} is missing, which {MODULES} names") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON: {error}") from error


def _settings(folder: Path, path: str) -> tuple[dict[str, Any], str]:
    """A module's config, and its file for sentences."""
    file = folder / path / "config.json"
    content = _json(file)
    if not isinstance(content, dict):
        raise InputError(f"{file} is no mapping of names to values")
    for key in ("module_input_name", "module_output_name"):
        if content.get(key) not in (None, EMBEDDING):
            raise InputError(f"{file}: {key} is {shown(content[key])}; only {EMBEDDING!r} is supported")
    return content, str(file)


def _modes(settings: dict[str, Any], where: str) -> list[str]:
    given = settings.get("pooling_mode")
    modes = [mode for flag, mode in FLAGS.items() if settings.get(flag)] or ["mean"]
    if given is not None:
        modes = given if isinstance(given, list) and given else [given]
    for mode in modes:
        if mode not in POOLINGS:
            raise InputError(f"{where}: pooling_mode is {shown(mode)}; {nearest(str(mode), POOLINGS)}")
    return modes


def _size(settings: dict[str, Any], key: str, where: str) -> int:
    value = settings.get(key)
    if not isinstance(value, int) or not 1 <= value <= LARGEST_SIZE:
        raise InputError(f"{where}: {key} is {shown(value)}; it must be a whole number from 1 to {LARGEST_SIZE}")
    return value


def _with_parameters(make: Callable[..., nn.Module], folder: Path, path: str, with_weights: bool) -> nn.Module:
    """A module of its config, filled from its files: they must hold all its parameters, and nothing else."""
    module = make(*_settings(folder, path))
    if not with_weights:
        return module
    file = next(filter(Path.is_file, (folder / path / name for name in (SAFETENSORS[0], PICKLED[0]))), None)
    if file is None:
        raise InputError(f"folder {str(folder / path)!r} holds no {SAFETENSORS[0]} and no {PICKLED[0]}")
    stored = dict(tensors_of(file))
    wanted = {name: list(parameter.shape) for name, parameter in module.named_parameters()}
    found = {name: list(tensor.shape) for name, tensor in stored.items()}
    if found != wanted:
        raise InputError(f"{file} holds {shown(found, 200)}, its config takes {wanted}")
    module.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
    return module
