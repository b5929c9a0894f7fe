"""tilewright: compile trained networks for analog in-memory chips, and run the plans on simulated ones.

    plan = tilewright.compile("path/to/model", target="pcm-512")
    plan.save("plan")
    session = tilewright.Session(tilewright.load("plan"), seed=0).advance_to("1mo")
    outputs = session(input_ids=..., attention_mask=...)

Each name is imported on first use, so that the runtime works where the compiler cannot be imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.compiler.assignment import assign as assign
    from tilewright.compiler.assignment import assign_for_accuracy as assign_for_accuracy
    from tilewright.compiler.cost import estimate_cost as estimate_cost
    from tilewright.compiler.driver import compile as compile
    from tilewright.compiler.report import summarise as summarise
    from tilewright.compiler.report.difference import difference as difference
    from tilewright.compiler.report.explanation import explain as explain
    from tilewright.compiler.sensitivity import measure_sensitivity as measure_sensitivity
    from tilewright.runtime.characterize import characterize as characterize
    from tilewright.runtime.evaluate import evaluate as evaluate
    from tilewright.runtime.operations import count_operations as count_operations
    from tilewright.runtime.plan import Plan as Plan
    from tilewright.runtime.plan import load as load
    from tilewright.runtime.session import Session as Session
    from tilewright.targets import InputError as InputError
    from tilewright.targets import Target as Target
    from tilewright.targets import load_chip as load_chip
    from tilewright.targets import load_programming as load_programming
    from tilewright.targets import load_target as load_target

    __version__: str

_HOMES = {
    "assign": "tilewright.compiler.assignment",
    "assign_for_accuracy": "tilewright.compiler.assignment",
    "characterize": "tilewright.runtime.characterize",
    "compile": "tilewright.compiler.driver",
    "count_operations": "tilewright.runtime.operations",
    "difference": "tilewright.compiler.report.difference",
    "estimate_cost": "tilewright.compiler.cost",
    "explain": "tilewright.compiler.report.explanation",
    "evaluate": "tilewright.runtime.evaluate",
    "Plan": "tilewright.runtime.plan",
    "measure_sensitivity": "tilewright.compiler.sensitivity",
    "summarise": "tilewright.compiler.report",
    "load": "tilewright.runtime.plan",
    "Session": "tilewright.runtime.session",
    "InputError": "tilewright.targets",
    "Target": "tilewright.targets",
    "load_chip": "tilewright.targets",
    "load_programming": "tilewright.targets",
    "load_target": "tilewright.targets",
}

__all__ = [
    "InputError",
    "Plan",
    "Session",
    "Target",
    "assign",
    "assign_for_accuracy",
    "characterize",
    "compile",
    "count_operations",
    "difference",
    "estimate_cost",
    "evaluate",
    "explain",
    "load",
    "load_chip",
    "load_programming",
    "load_target",
    "measure_sensitivity",
    "summarise",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tilewright")
    if name not in _HOMES:
        raise AttributeError(f"module 'tilewright' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
