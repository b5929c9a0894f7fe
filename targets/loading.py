"""Find and read target files: the library's by name, a user's own by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tilewright.targets.errors import InputError, first_problem, nearest
from tilewright.targets.spec import Target

LIBRARY = Path(__file__).parent / "library"
LARGEST_FILE = 1_000_000  # bytes; a target is a page of numbers


def target_names() -> list[str]:
    """The names of the targets that come with tilewright."""
    return sorted(path.stem for path in LIBRARY.glob("*.yaml"))


def load_target(target: str | Path | Target) -> Target:
    """The target of that name, or the one in that YAML file.

    Raises ``InputError`` if there is no such target or its file does not describe one.
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, str) and target in target_names():
        path = LIBRARY / f"{target}.yaml"
    else:
        path = Path(target)
        if not path.is_file():
            raise InputError(
                f"there is no target {str(target)!r}, by name or as a file; {nearest(str(target), target_names())}"
            )
    return parse_target(_read_yaml(path), str(target))


def parse_target(document: Any, where: str) -> Target:
    """Validate a target that was read from YAML or JSON. Raises ``InputError`` that names ``where`` and the key."""
    if not isinstance(document, dict):
        raise InputError(f"target {where}: the file must hold keys and values, not {type(document).__name__}")
    try:
        return Target.model_validate(document)
    except ValidationError as error:
        raise InputError(f"target {where}: {first_problem(error, Target)}") from error


def _read_yaml(path: Path) -> Any:
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"target {path} is {path.stat().st_size} bytes; a target file has at most {LARGEST_FILE}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"target {path} is not readable YAML: {reason}") from error
