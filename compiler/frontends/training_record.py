"""Record of a training beside a network's files: the chip that it was trained for, and what differs of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tilewright.runtime.plan.base_weights import record_in
from tilewright.targets.quantity import is_number
from tilewright.targets.shown import shown
from tilewright.targets.spec import Chip

PARTS = ("device", "programming", "tile", "drift_compensation")
"""Parts of a target that training imposes."""
SHOWN = 3


def trained_for(chip: Chip, operands: str) -> dict[str, Any]:
    """Plain values of what a network is trained for, for its record. operands: of attention, such as int8."""
    return {"chip": chip.name, "tiles": [_content(kind.target) for kind in chip.tiles], "operands": operands}


def notes_on_training(source: object, chip: Chip, operands: str) -> list[str]:
    """Sentence for a plan of a network that was trained for another chip than this; none for any other network."""
    said = _said(source)
    if said is None:
        return []
    there = {**dict(_flat(said.get("tiles"))), "attention": said.get("operands")}
    here = {**dict(_flat(trained_for(chip, operands)["tiles"])), "attention": operands}
    keys = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    if not keys:
        return []
    differing = "; ".join(f"{key} {shown(there.get(key))} there, {shown(here.get(key))} here" for key in keys[:SHOWN])
    more = f"; and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return [f"the network was trained for another chip ({shown(said.get('chip'))}): {differing}{more}"]


def _content(target: Any) -> dict[str, Any]:
    content = target.model_dump(mode="json")
    return {part: content[part] for part in PARTS if part in content}


def _said(source: object) -> Mapping[str, Any] | None:
    """Content of the record in a model's folder on what it was trained for; None if there is none to be read."""
    if not isinstance(source, str | Path):
        return None
    said = record_in(source).get("trained_for")
    return said if isinstance(said, dict) else None


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers and names in a tree, by their keys, without what they come from."""
    if isinstance(node, dict) and not is_number(node):
        for key, value in node.items():
            if key not in ("source", "summary", "name"):
                yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _flat(value, path if len(node) == 1 else f"{path}[{number}]")
    else:
        yield path, node["value"] if isinstance(node, dict) else node
