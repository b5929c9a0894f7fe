"""Errors for models that cannot be traced: the reason, the module, and the user's way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from tilewright.compiler.frontends.foreign_errors import first_line
from tilewright.targets.errors import InputError

ON_VALUES = "a branch, loop or size depends on values; write it with torch.where, or take it out of forward"
FIXED_SIZE = "a size is fixed in the code; give dynamic_shapes that say so, or examples of that size"
ADVICE = {
    "data-dependent": ON_VALUES,
    "Could not guard": ON_VALUES,
    "unbacked": "a size depends on values; give it as an input's shape, or take it out of forward",
    "dynamic shape": FIXED_SIZE,
    "constraint": FIXED_SIZE,
    "missing a required": "example_inputs must hold all inputs of forward",
    "unexpected keyword": "example_inputs must be named as the parameters of forward",
    "must have the same dtype": "it mixes number formats; compute in float32 all through",
    "invalid syntax": "a submodule has a name that is a word of Python; call it otherwise",
    "not supported yet": "it uses what torch.export cannot trace; take that out of forward",
}
"""Reason and way out, by a word in torch.export's message."""
DEFAULT_ADVICE = "compile the part of the model that can be traced, such as a submodule"
LONGEST_REASON = 200
RECURRENT = ("LSTM", "GRU", "RNN")


@contextmanager
def naming_the_module(model: nn.Module) -> Iterator[list[tuple[str, str]]]:
    """Keep path and type of the modules that are running, innermost last; an error leaves them as they were."""
    running: list[tuple[str, str]] = []
    handles = []
    for path, module in model.named_modules():

        def enter(module: nn.Module, _arguments: Any, path: str = path) -> None:
            running.append((path, type(module).__name__))

        def leave(_module: nn.Module, _arguments: Any, _result: Any) -> None:
            running.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()


def tracing_error(model: nn.Module, error: Exception, running: list[tuple[str, str]]) -> InputError:
    """The error for a model that torch.export cannot trace: the module, the way out, and torch's reason."""
    inner = [place for place in running if place[0]]
    where = f", in module {inner[-1][0]!r} ({inner[-1][1]})" if inner else ""
    said = str(error).lower()
    if inner and inner[-1][1] in RECURRENT:
        advice = (
            "it is given packed sequences perhaps, which cannot be traced; give them padded, with a mask for the loss"
        )
        return InputError(f"torch.export cannot trace {type(model).__name__}{where}: {advice} ({export_reason(error)})")
    advice = next((text for word, text in ADVICE.items() if word.lower() in said), DEFAULT_ADVICE)
    return InputError(f"torch.export cannot trace {type(model).__name__}{where}: {advice} ({export_reason(error)})")


def export_reason(error: Exception) -> str:
    """The first telling line of a torch.export failure."""
    return first_line(error)[:LONGEST_REASON].rstrip(".")
