"""Reading of older plans as data that nobody has checked: whatever is wrong is said by the part that it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from tilewright.targets.errors import InputError, first_problem
from tilewright.targets.spec import Chip


@contextmanager
def reading(key: str) -> Iterator[None]:
    """Raise ``InputError`` that names this part of the document for whatever is wrong meanwhile."""
    try:
        yield
    except ValidationError as error:
        raise InputError(f"{key}.{first_problem(error, Chip)}") from error
    except KeyError as error:
        raise InputError(f"{key} has no {str(error.args[0])[:80]!r}, which plans of its version have") from error
    except (LookupError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{key} is not as plans of its version have it") from error


def entries(content: dict[str, Any], key: str) -> list[tuple[int, Any]]:
    """Entries of a list in the document, with their numbers."""
    with reading(key):
        return list(enumerate(content[key]))


def each(key: str, number: int, read: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """One entry of a list, read by ``read``."""
    with reading(f"{key}.{number}"):
        return read(*arguments)
