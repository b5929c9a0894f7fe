"""JSON for people and machines: it has no NaN, and in what a stranger wrote nothing steers a terminal."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_UNSEEN = re.compile(
    r"[\x7f-\x9f\ud800-\udfff\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Signs that cannot be seen and that JSON need not escape: controls, directions of writing, tags."""


def finite(value: Any) -> Any:
    """Plain values with null for what is not a finite number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def json_text(value: Any, indent: int | None = 1) -> str:
    """Plain values as JSON that people can read too; signs that cannot be seen are written as their numbers."""
    text = json.dumps(finite(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text)
