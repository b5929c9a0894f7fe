"""Limits on the model that a stranger's config may ask for, before any memory or time is taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as hooks

from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

LARGEST_FILE = 2**24
"""Largest number of bytes of a config, which may list tens of thousands of class names."""
LARGEST_COUNT = 2**16
"""Largest number of layers, experts, classes and such: transformers makes lists as long to read a config."""
COUNTS = re.compile(r"(layer|depth|block|stage|expert|label|level|head|group)s?(_|$)")
SIZES = re.compile(r"size|length|dim|token|position|_id$")
"""Words of keys that count things, and of those that are sizes all the same."""
MOST_MODULES = 2**15
"""Largest number of modules of a model: Llama-3.1-405B has 1,900."""
LARGEST_SIZE = 2**25
"""Largest size of one dimension of a parameter: the longest table of positions has 10 million rows."""
MOST_PARAMETERS = 2**44
"""Largest number of parameters of a model without weights: forty times those of Llama-3.1-405B."""
MOST_IN_BUFFERS = 2**30


def check_config(path: Path) -> None:
    """Raise ``InputError`` for a config.json that is no config, or whose numbers are none of a model."""
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path} is {path.stat().st_size} bytes, a config may have {LARGEST_FILE}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a model that transformers can read: it is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; a config is a mapping of names to values")
    names = content.get("architectures")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(f"{path}: architectures is {shown(names)}; it must be a list of class names")
    for key, number in _numbers(content):
        if number > LARGEST_COUNT and COUNTS.search(key) and not SIZES.search(key):
            raise InputError(f"{path}: {key} is {shown(number)}; allowed are numbers up to {LARGEST_COUNT}")


def _numbers(content: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every whole number of a config with its key, alone or in a list; deep ones too."""
    waiting: list[tuple[str, Any]] = list(content.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, int):
            yield key, value
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]
        elif isinstance(value, dict):
            waiting += value.items()


@contextmanager
def bounded_building(source: str | Path, most_parameters: int = MOST_PARAMETERS) -> Iterator[None]:
    """Context in which models are made: ``InputError`` beyond so many modules and numbers.

    Whatever a family calls its sizes, each module and parameter is counted when it gets its name.
    """
    modules = parameters = in_buffers = 0

    def add_module(_owner: nn.Module, _name: str, _module: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > MOST_MODULES:
            raise InputError(f"the config of {str(source)!r} makes a model of more than {MOST_MODULES} modules")

    def add_parameter(_owner: nn.Module, name: str, parameter: Tensor | None) -> None:
        nonlocal parameters
        if parameter is None:
            return
        if max(parameter.shape, default=0) > LARGEST_SIZE:
            shape = list(parameter.shape)
            raise InputError(
                f"the config of {str(source)!r} makes a {name} of shape {shape}, allowed are sizes up to {LARGEST_SIZE}"
            )
        parameters += parameter.numel()
        if parameters > most_parameters:
            what = "there may be" if most_parameters == MOST_PARAMETERS else "its files hold weights for no more than"
            raise InputError(
                f"the config of {str(source)!r} makes a model of more than {parameters:.3g} parameters; {what} "
                f"{most_parameters:.3g}"
            )

    def add_buffer(_owner: nn.Module, name: str, buffer: Tensor | None) -> None:
        nonlocal in_buffers
        in_buffers += buffer.numel() if buffer is not None else 0
        if in_buffers > MOST_IN_BUFFERS:
            raise InputError(
                f"the config of {str(source)!r} makes tables ({name}) of more than {MOST_IN_BUFFERS} numbers"
            )

    handles = [
        hooks.register_module_module_registration_hook(add_module),
        hooks.register_module_parameter_registration_hook(add_parameter),
        hooks.register_module_buffer_registration_hook(add_buffer),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
