"""The network inside what torch and others wrap around it, and the float32 of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",
    "OptimizedModule": "_orig_mod",
}
"""Attributes in which torch's wrappers keep the one module that they call, by the wrapper's class name."""


def check_is_module(model: object) -> None:
    """Raise ``InputError`` for what is no ``torch.nn.Module``."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model is {shown(model)}; it must be a torch.nn.Module")


def unwrapped(module: nn.Module) -> tuple[nn.Module, list[str]]:
    """The network inside its wrappers, with notes on these. Raises ``InputError`` for what cannot be looked into."""
    check_is_module(module)
    found: Any = _without_wrapper(module)
    notes = []
    if hasattr(found, "peft_config") and hasattr(found, "get_base_model"):
        if any(getattr(config, "is_prompt_learning", False) for config in found.peft_config.values()):
            raise InputError(
                f"{type(found).__name__} puts learned tokens before the inputs, which are no part of the network "
                "inside: wrap it in a module whose forward takes tensors, and compile that"
            )
        found = found.get_base_model()
        notes.append("adapters of peft are layers of their own; merge_and_unload() puts them into the matrices")
    for name, part in found.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise InputError(
                f"{f'module {name!r}' if name else type(found).__name__} is TorchScript, which torch.export cannot "
                "trace: compile the Python module that it was made of, or write it as an ONNX file with "
                "torch.onnx.export(..., dynamo=False) and compile that"
            )
    return found, notes


def _without_wrapper(module: nn.Module) -> nn.Module:
    while type(module).__name__ in WRAPPERS and type(module).__module__.startswith("torch."):
        module = getattr(module, WRAPPERS[type(module).__name__])
    return module


@contextmanager
def looked_into(module: nn.Module) -> Iterator[None]:
    """Take away the wrappers around the parts of a module: their words are in the names of parameters."""
    replaced = []
    for parent in list(module.modules()):
        for name, part in parent._modules.items():
            if part is not None and (inner := _without_wrapper(part)) is not part:
                replaced.append((parent, name, part))
                parent._modules[name] = inner
    try:
        yield
    finally:
        for parent, name, part in replaced:
            parent._modules[name] = part


@contextmanager
def in_float32() -> Iterator[list[str]]:
    """Switch off autocast, the caller's or a module's own, and torch.compile.

    Gives a list, to which the types that were asked for are added.
    """
    asked: list[str] = []
    enter, leave = torch.autocast.__enter__, torch.autocast.__exit__

    def note(self: Any) -> Any:
        if self._enabled:
            asked.append(str(self.fast_dtype).removeprefix("torch."))
        return self

    with torch.autocast("cpu", enabled=False), torch.compiler.set_stance("force_eager"):
        torch.autocast.__enter__ = note  # type: ignore[method-assign]
        torch.autocast.__exit__ = lambda *_: None  # type: ignore[method-assign]
        try:
            yield asked
        finally:
            torch.autocast.__enter__, torch.autocast.__exit__ = enter, leave  # type: ignore[method-assign]
