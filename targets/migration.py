"""Older target files in today's words."""

from __future__ import annotations

from typing import Any

OWN = "version 1 of the file did not say"


def migrated(content: Any) -> Any:
    """A target document of version 1 as one of version 2; anything else as it is. What is wrong in it stays wrong."""
    if not isinstance(content, dict) or content.get("schema_version") != 1 or "kind" in content:
        return content
    new = {key: value for key, value in content.items() if key not in ("attention", "chip")}
    new |= {"schema_version": 2, "kind": "analog", "stuck_devices": None, "programming": "direct"}
    if isinstance(content.get("tile"), dict):
        added = {"row_splitting": "even", "weight_clipping": None, "input_range": {"rule": "least_error"}}
        new["tile"] = {**added, "read_noise_law": "conductance", **content["tile"]}
    device = content.get("device")
    if isinstance(device, dict) and device.get("statistics") == "pcm":
        step = {"value": 0.01, "unit": "1", "source": OWN}
        none = {"value": 0, "unit": "1", "source": OWN}
        new["device"] = {"pulse": {"step": step, "asymmetry": none, "spread": none}, **device}
    chip = content.get("chip")
    if isinstance(chip, dict):
        units = {"unit": _attention(content.get("attention")), "count": {"value": 1, "unit": "unit", "source": OWN}}
        new["chip"] = {**chip, "attention": units}
    return new


def _attention(unit: Any) -> Any:
    bits = unit.get("bits") if isinstance(unit, dict) else None
    bits = bits if isinstance(bits, dict) else {}
    operands = f"int{bits['value']}" if isinstance(bits.get("value"), int) else "fp32"
    head = {"schema_version": 2, "kind": "attention", "name": f"attention-{operands}"}
    head["summary"] = "The attention unit of a target file of version 1."
    return {**head, "operands": operands, "source": bits.get("source", OWN)}
