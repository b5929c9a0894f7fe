"""Calls of a module's forward, which takes its inputs by place, as many as come, or by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tilewright.compiler.frontends.input_names import plain_word, unique
from tilewright.compiler.network.traced import Inputs
from tilewright.runtime.storage.weights_file import DTYPES, dtype_name
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown

ExampleInputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class ForwardCall:
    """The inputs of a module, in order, each by a plain name of its own."""

    own_names: dict[str, str]
    """Forward's own names for its inputs, by their plain names."""
    by_place: int
    """Number of inputs that forward is given by place, the first ones; the others are given by name."""

    def arguments(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Values in order as the positional and named arguments of the module."""
        names = list(self.own_names.values())[self.by_place :]
        return tuple(values[: self.by_place]), dict(zip(names, values[self.by_place :], strict=True))

    @contextmanager
    def flat(self, module: nn.Module) -> Iterator[None]:
        """Let forward take all inputs by place, under plain names: torch.export names inputs after these.

        Hooks then see all inputs too: torch gives them no others than those by place.
        """
        own = module.forward

        def forward(*values: Any) -> Any:
            positional, named = self.arguments(values)
            return own(*positional, **named)

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in self.own_names])
        forward.__signature__ = signature  # type: ignore[attr-defined]
        was_set = vars(module).get("forward")
        module.forward = forward
        try:
            yield
        finally:
            del module.forward
            if was_set is not None:
                module.forward = was_set


def forward_call(module: nn.Module, example_inputs: ExampleInputs) -> tuple[ForwardCall, Inputs]:
    """Call of a module with such inputs, and the inputs by plain names, in order.

    Raises ``InputError`` if they are not tensors that it takes.
    """
    parameters, kind = inspect.signature(module.forward).parameters.values(), type(module).__name__
    places = [p.name for p in parameters if p.kind in BY_PLACE]
    gathered = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), None)
    if isinstance(example_inputs, Mapping):
        _check_all_there(module, example_inputs)
        given = _in_order(module, example_inputs)
        by_place = next((number for number, name in enumerate(places) if name not in given), len(places))
    else:
        values = [example_inputs] if isinstance(example_inputs, Tensor) else list(example_inputs)
        if len(values) > len(places) and gathered is None:
            raise InputError(f"{kind} takes {len(places)} inputs, example_inputs has {len(values)}")
        further = [f"{gathered}_{number}" for number in range(len(values) - len(places))]
        given = dict(zip([*places, *further], values, strict=False))
        by_place = len(values)
        _check_all_there(module, given)
    for name, value in given.items():
        _check_example(name, value)
    call = ForwardCall(dict(zip(unique(map(plain_word, given)), given, strict=True)), by_place)
    return call, dict(zip(call.own_names, given.values(), strict=True))


def _check_all_there(module: nn.Module, given: Mapping[str, Any]) -> None:
    for parameter in inspect.signature(module.forward).parameters.values():
        is_needed = parameter.default is parameter.empty and parameter.kind in (*BY_PLACE, parameter.KEYWORD_ONLY)
        if is_needed and parameter.name not in given:
            kind = type(module).__name__
            raise InputError(f"example_inputs must hold all inputs of forward: {parameter.name!r} of {kind} is missing")


def _in_order(module: nn.Module, given: Mapping[str, Any]) -> dict[str, Any]:
    """Named examples in the order of forward's parameters, then those that it takes by any name."""
    parameters = inspect.signature(module.forward).parameters.values()
    known = [p.name for p in parameters if p.kind in (*BY_PLACE, p.KEYWORD_ONLY)]
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters)
    rest = [name for name in given if name not in known]
    for name in rest:
        if not takes_any or not isinstance(name, str):
            raise InputError(
                "example_inputs must be named as the parameters of forward: "
                f"{type(module).__name__} takes no {shown(name)}; {nearest(str(name)[:80], known)}"
            )
    return {name: given[name] for name in (*(name for name in known if name in given), *rest)}


def _check_example(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise InputError(f"example_inputs holds a {type(value).__name__} for {name!r}; it must hold tensors")
    if value.layout != torch.strided:
        raise InputError(f"example input {name!r} is {value.layout}; plans take plain tensors: give {name}.to_dense()")
    if value.dtype not in DTYPES:
        raise InputError(
            f"example input {name!r} is {dtype_name(value.dtype)}; allowed: {', '.join(map(dtype_name, DTYPES))}"
        )
    if not value.numel():
        raise InputError(
            f"example input {name!r} has shape {list(value.shape)}, which holds no value to trace with: give an "
            "example of at least one"
        )
