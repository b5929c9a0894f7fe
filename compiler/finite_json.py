"""JSON has no NaN."""

from __future__ import annotations

import json
import math
from typing import Any


def finite(value: Any) -> Any:
    """Plain values with null for what is not a finite number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def json_text(value: Any) -> str:
    """Plain values as JSON that people can read too."""
    return json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False)
