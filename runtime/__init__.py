"""What happens on the hardware: plans, programmed chips, drift and noise. Needs no compiler and no transformers.

Each name is imported on first use: compiling a model should not load what evaluating one needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.runtime.plan import Plan as Plan
    from tilewright.runtime.plan import load as load
    from tilewright.runtime.session import Session as Session

_HOMES = {"Plan": "plan", "Session": "session", "load": "plan"}

__all__ = ["Plan", "Session", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tilewright.runtime' has no attribute {name!r}")
    return getattr(import_module(f"tilewright.runtime.{_HOMES[name]}"), name)
