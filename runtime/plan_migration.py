"""Older plans in today's words. docs/plan_format.md says what changed from version to version."""

from __future__ import annotations

from typing import Any

from tilewright.runtime.plan import SCHEMA_VERSION

READABLE = (1, SCHEMA_VERSION)


def migrated(content: dict[str, Any]) -> dict[str, Any]:
    """A plan document of a readable version as one of this version; what is wrong in it stays wrong."""
    return _from_version_1(content) if content["schema_version"] == 1 else content


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """Uses said only whether samples come first; there were no check, no notes, no list of all weights."""
    new = {**content, "schema_version": 2, "weights_of_model": [], "check": None, "notes": []}
    layers = content.get("layers")
    new["layers"] = [_layer(layer) for layer in layers] if isinstance(layers, list) else layers
    return new


def _layer(layer: Any) -> Any:
    uses = layer.get("uses") if isinstance(layer, dict) else None
    return {**layer, "uses": [_use(use) for use in uses]} if isinstance(uses, list) else layer


def _use(use: Any) -> Any:
    if not isinstance(use, dict) or "batched" not in use:
        return use
    axis = {"dimension": 0, "innermost": False} if use["batched"] else None
    return {**{key: value for key, value in use.items() if key != "batched"}, "sample_axis": axis}
