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


def chip_in(content: dict[str, Any]) -> Chip:
    """The chip of a document."""
    with reading("chip"):
        return Chip.model_validate(content["chip"])


def each(
    content: dict[str, Any], key: str, read: Callable[..., dict[str, Any]], *arguments: Any
) -> list[dict[str, Any]]:
    """The entries of a list in the document, each read by ``read``, which takes it and the arguments."""
    with reading(key):
        if not isinstance(content[key], list):
            raise TypeError(key)
    made = []
    for number, entry in enumerate(content[key]):
        with reading(f"{key}.{number}"):
            made.append(read(entry, *arguments))
    return made


def without(record: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The record without keys that are elsewhere now; unknown ones stay, and are refused."""
    return {key: value for key, value in record.items() if key not in keys}
