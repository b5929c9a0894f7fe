"""Fields of an RPUConfig by dotted names, with a note of what was made of each."""

from __future__ import annotations

from typing import Any

from tilewright.targets.quantity import is_finite

CLASS = "class"
"""Key of the name of an object's class, beside its fields."""


class Fields:
    """Fields of settings: what is asked for, what is refused, and what nobody asked for."""

    def __init__(self, settings: dict[str, Any], source: str) -> None:
        """Take settings, objects as dicts with ``CLASS``. source: of all numbers."""
        self.settings, self.source = settings, source
        self.refused: dict[str, Any] = {}
        self._asked: set[str] = set()
        self._left: set[str] = set()

    def get(self, path: str, default: Any = None) -> Any:
        """The field of that dotted name; the default if it is not there."""
        self._asked.add(path)
        part: Any = self.settings
        for key in path.split("."):
            if not isinstance(part, dict) or key not in part:
                return default
            part = part[key]
        return part

    def number(self, path: str, default: float = 0.0) -> float:
        """The number of that name. One that is none is refused, and the default taken."""
        value = self.get(path, default)
        if not is_finite(value):
            self.refuse(path, value)
            return default
        return float(value)

    def kind(self, path: str) -> str | None:
        """Class of the object of that name; None if there is none."""
        value = self.get(path)
        return value.get(CLASS) if isinstance(value, dict) else None

    def refuse(self, path: str, value: Any) -> None:
        """Note that a field changes results and has no counterpart."""
        self.refused[path] = value.get(CLASS, value) if isinstance(value, dict) else value

    def must_be(self, path: str, *allowed: Any) -> None:
        """Refuse a field that is there and none of the values that change nothing."""
        value = self.get(path, allowed[0])
        if value not in allowed:
            self.refuse(path, value)

    def leave(self, *paths: str) -> None:
        """Note that fields, and all below them, say nothing of what hardware is."""
        self._left |= set(paths)

    def sourced(self, path: str, value: float, unit: str) -> dict[str, Any]:
        """A number of a target that comes of a field."""
        return {"value": value, "unit": unit, "source": f"{self.source}: {path}"}

    @property
    def strays(self) -> list[str]:
        """Fields that nobody asked for, and that are in nothing that is left."""
        return [path for path in _leaves(self.settings, "") if path not in self._asked and not self._is_left(path)]

    def _is_left(self, path: str) -> bool:
        words = path.split(".")
        return words[-1] == CLASS or any(".".join(words[:count]) in self._left for count in range(1, len(words) + 1))


def _leaves(part: Any, path: str) -> list[str]:
    if isinstance(part, dict) and part:
        return [leaf for key, inner in part.items() for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))]
    return [path]
