"""Composing of one document from several: what it extends, what it names by reference, and single changes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tilewright.targets.documents import Located, find_document
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.quantity import CHANGED, is_number
from tilewright.targets.shown import shown
from tilewright.targets.spec.description import Document

DEEPEST = 8
"""Largest number of documents that may extend or name one another in a row; also what ends a circle."""
TAGS = ("statistics", "kind", "rule")
"""Keys that say which variant a part is: parts of different variants replace each other, whole."""


def compose(located: Located, kinds: Mapping[str, type[Document]], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what it extends filled in, references written out, and changes made.

    changes: dotted keys (``tile.adc.bits``) and values; a number keeps its unit and has "changed by the user" as its
    source. Raises ``InputError`` for a key that does not exist, a reference to nothing, or a circle.
    """
    if not isinstance(changes, Mapping):
        raise InputError(f"{located.what}: changes are {shown(changes)}; they must be values by key")
    content = _resolved(_extended(located, tuple(kinds), 0), located, kinds, 0)
    for path, value in changes.items():
        _change(content, path, value, located.what)
    return _resolved(content, located, kinds, 0) if changes else content


def _extended(located: Located, kinds: tuple[str, ...], depth: int) -> dict[str, Any]:
    content = located.content
    if not isinstance(content, dict):
        raise InputError(f"{located.what}: the file must hold keys and values, not {type(content).__name__}")
    if any(not isinstance(key, str) for key in content):
        raise InputError(f"{located.what}: keys must be words")
    base = content.get("extends")
    own = {key: value for key, value in content.items() if key != "extends"}
    if base is None and "extends" not in content:
        return own
    if not isinstance(base, str):
        raise InputError(f"{located.what}: extends is {shown(base)}; it must be the name of another one")
    if depth >= DEEPEST:
        raise InputError(f"{located.what}: extends {shown(base)} goes deeper than {DEEPEST} files; is it a circle?")
    parent = find_document(base, kinds, located.folder)
    return merged(_extended(parent, kinds, depth + 1), own)


def merged(base: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of ``base`` with the keys of ``own`` in them.

    A number that is given anew keeps its unit but not its source, which spoke of another value. A part of another
    variant (``statistics``, ``kind``, ``rule``) replaces the old one whole.
    """
    result = dict(base)
    for key, value in own.items():
        old = base.get(key)
        if not isinstance(old, dict) or not isinstance(value, dict):
            result[key] = value
        elif is_number(old):
            result[key] = {"unit": old["unit"], **value}
        elif any(tag in value and value[tag] != old.get(tag) for tag in TAGS):
            result[key] = value
        else:
            result[key] = merged(old, value)
    return result


def _change(content: dict[str, Any], path: str, value: Any, what: str) -> None:
    """Set one value. The last key may be new: what a part may hold is checked with all else."""
    *parents, last = path.split(".")
    part: Any = content
    for key in parents:
        if not isinstance(part, dict) or key not in part:
            keys = list(part) if isinstance(part, dict) else []
            raise InputError(f"{what} has no key {path!r}: {key!r} is not there; {nearest(key, keys)}")
        part = part[key]
    if not isinstance(part, dict) or is_number(part):
        raise InputError(f"{what} has no key {path!r}: {parents[-1]!r} holds no keys to change")
    old = part.get(last)
    if is_number(old) and not isinstance(value, dict) and value is not None:
        part[last] = {**old, "value": value, "source": CHANGED}
    else:
        part[last] = value


def _resolved(
    content: dict[str, Any], located: Located, kinds: Mapping[str, type[Document]], depth: int
) -> dict[str, Any]:
    """The content with references replaced by the documents that they name."""
    kind = content.get("kind")
    model = kinds.get(kind) if isinstance(kind, str) else None
    if model is None:
        return content
    content = copy.deepcopy(content)
    for path, wanted in model.references.items():
        _resolve_at(content, path.split("."), wanted, located, kinds, depth)
    return content


def _resolve_at(
    part: Any, path: list[str], wanted: str, located: Located, kinds: Mapping[str, type[Document]], depth: int
) -> None:
    key, *rest = path
    if key == "*":
        for item in part if isinstance(part, list) else []:
            _resolve_at(item, rest, wanted, located, kinds, depth)
    elif not isinstance(part, dict) or key not in part:
        return
    elif rest:
        _resolve_at(part[key], rest, wanted, located, kinds, depth)
    elif isinstance(part[key], str | dict):
        if depth >= DEEPEST:
            raise InputError(f"{located.what}: {key} goes deeper than {DEEPEST} files; is it a circle?")
        inner = Located(part[key], f"{located.what}: {key}", located.folder)
        if isinstance(part[key], str):
            inner = find_document(part[key], (wanted,), located.folder)
        part[key] = _resolved(_extended(inner, (wanted,), 0), inner, kinds, depth + 1)
