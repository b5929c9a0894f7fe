"""Values of which a test knows more than their types say: it is checked, and the type checker learns it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from tilewright.targets.loading import load_target
from tilewright.targets.spec import AnalogTarget, DigitalTarget, Target

Kind = TypeVar("Kind")


def present(value: Kind | None) -> Kind:
    """The value, which is not None."""
    assert value is not None
    return value


def instance(value: object, kind: type[Kind]) -> Kind:
    """The value, which is of that class."""
    assert isinstance(value, kind), f"{value!r} is no {kind.__name__}"
    return value


def analog(target: str | Path | Target, changes: dict[str, Any] | None = None) -> AnalogTarget:
    """The target of that name or file, which has tiles."""
    return instance(load_target(target, changes), AnalogTarget)


def digital(target: str | Path | Target, changes: dict[str, Any] | None = None) -> DigitalTarget:
    """The target of that name or file, which is a digital unit."""
    return instance(load_target(target, changes), DigitalTarget)
