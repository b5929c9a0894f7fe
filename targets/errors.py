"""The one error that means "the input is wrong", and the help that goes with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from tilewright.targets.quantity import is_number, with_unit
from tilewright.targets.shown import shown, visible

LONGEST_MESSAGE = 4000
"""Largest number of letters of an error's message."""


class InputError(ValueError):
    """Input that cannot be used. The message is one sentence for a person.

    The command line prints it and exits with code 2; anything else that is raised is a bug of
    tilewright and keeps its traceback. Words of a stranger's file may be in it: they are cut, and made harmless.
    """

    def __init__(self, message: str) -> None:
        """Make an error of one sentence, ``message``."""
        super().__init__(visible(message if len(message) <= LONGEST_MESSAGE else message[:LONGEST_MESSAGE] + "..."))


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A half-sentence that names the allowed names and, where one is close, the likely one."""
    names = sorted(allowed)
    alike = {allowed_name.lower(): allowed_name for allowed_name in names}  # whatever the capitals
    close = get_close_matches(name.lower(), alike, n=1, cutoff=0.5)
    guess = f"did you mean {alike[close[0]]!r}? " if close else ""
    shown = ", ".join(names[:12]) + (f", and {len(names) - 12} more" if len(names) > 12 else "")
    return f"{guess}allowed: {shown or 'none'}"


def first_problem(error: ValidationError, model: type[BaseModel], content: Any = None) -> str:
    """The first finding of a pydantic validation as one sentence with the key, its value and what is allowed.

    content: what was validated; it tells keys apart from the tags of variants, which pydantic puts between them.
    """
    finding = error.errors(include_url=False)[0]
    location = [part for part in finding["loc"] if part != "function-wrap[validate]"]
    path = ".".join(_keys_of(location, content)) or "the document"
    kind, value = finding["type"], finding.get("input")
    if kind == "extra_forbidden":
        allowed = _keys_beside(location, model)
        return f"{path} is not a known key; {nearest(str(location[-1]), allowed)}"
    if kind == "missing":
        return f"{path} is missing"
    if kind in ("literal_error", "union_tag_invalid"):
        return _wrong_word(path, finding)
    message = finding["msg"].removeprefix("Value error, ")
    given = with_unit(shown(value["value"]), str(value["unit"])[:80]) if is_number(value) else shown(value)
    return f"{path} is {given}: {message[0].lower() + message[1:]}"


def _wrong_word(path: str, finding: Any) -> str:
    """Message for a value that is none of several words, at a key or as the tag of a variant."""
    context, value = finding["ctx"], finding.get("input")
    if "tag" in context:
        path, value = f"{path}.{context['discriminator'].strip(chr(39))}", context["tag"]
    allowed = re.findall(r"'([^']*)'", str(context.get("expected_tags", context.get("expected", ""))))
    if not isinstance(value, str) or not allowed:
        return f"{path} is {shown(value)}; allowed: {context.get('expected', ', '.join(allowed))}"
    return f"{path} is {shown(value)}; {nearest(value, allowed)}"


def _keys_of(location: list[Any], content: Any) -> list[str]:
    """Parts of a location that are keys of the content; all if there is none."""
    keys, node = [], content
    for place, part in enumerate(location):
        if isinstance(node, dict) and part not in node and place < len(location) - 1:
            continue
        keys.append(str(part))
        inside = (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        )
        node = node[part] if inside else None
    return keys


def _keys_beside(location: list[Any], model: type[BaseModel]) -> list[str]:
    """Keys that are allowed where an unknown one was found; those of what it stands in if unclear."""
    schema = model.model_json_schema(mode="validation")

    def forms(node: dict[str, Any]) -> list[dict[str, Any]]:
        """Schemas of what may stand at a place: itself, or each of its variants."""
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        variants = node.get("anyOf", node.get("oneOf"))
        return [form for variant in variants for form in forms(variant)] if variants else [node]

    here = forms(schema)
    for part in location[:-1]:
        inside = [node.get("properties", {}).get(part, node.get("items")) for node in here]
        tagged = [
            node
            for node in here if len(here) > 1
            for key in node.get("properties", {}).values() if part in (key.get("const"), *key.get("enum", ()))
        ]  # fmt: skip
        here = tagged or [form for node in inside if node is not None for form in forms(node)] or here
    return [key for node in here for key in node.get("properties", {})]
