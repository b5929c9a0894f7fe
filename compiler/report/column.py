"""The type of a column of a table: its key and heading, the value of a thing there, and the formats that show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Generic, NamedTuple, TypeVar

from tilewright.compiler.engineering import figure_text, share

Thing = TypeVar("Thing")


class Format(Flag):
    """Formats that a column is in; DIFFERENCE is of what two plans are compared by."""

    JSON = auto()
    CSV = auto()
    PAGE = auto()
    MARKDOWN = auto()
    TERMINAL = auto()
    DIFFERENCE = auto()


class Cell(NamedTuple):
    """One value, as it is written for machines and as it is read."""

    value: str
    text: str
    number: bool


@dataclass(frozen=True)
class Column(Generic[Thing]):
    """One figure or word that is said of each thing of a kind. Keys are stable, and each is once in a format."""

    key: str
    formats: Format
    value: Callable[[Thing], Any] | None = None
    """Value of a thing; its attribute of that name if None."""
    heading: str = ""
    """Heading for people; the key's words if empty."""
    unit: str | None = None
    """Unit of a number: nJ, ns, "1", "%" for parts of a whole, "" for whole numbers; None for words."""
    brief: bool = False
    """True if words are a few signs, which stand among the numbers where room is scarce."""

    @property
    def title(self) -> str:
        """Heading for people."""
        return self.heading or self.key.replace("_", " ")

    @property
    def is_number(self) -> bool:
        """True if its values are numbers."""
        return self.unit is not None

    @property
    def is_narrow(self) -> bool:
        """True for numbers and brief words, which terminals show before other words, at the right of their column."""
        return self.is_number or self.brief

    def of(self, thing: Thing) -> Any:
        """Value of a thing."""
        return getattr(thing, self.key) if self.value is None else self.value(thing)

    def cell(self, thing: Thing) -> Cell:
        """Value of a thing as tables show it; empty where there is none."""
        value = self.of(thing)
        if value is None:
            return Cell("", "", self.is_number)
        text = share(value) if self.unit == "%" else figure_text(value, self.unit, 3) if self.unit else str(value)
        return Cell(str(value), text, self.is_number)


Columns = Sequence[Column[Thing]]


def plain(formats: Format, *keys: str) -> list[Column[Any]]:
    """Columns of attributes as they are."""
    return [Column(key, formats) for key in keys]


def shown_in(columns: Columns[Thing], format: Format) -> list[Column[Thing]]:
    """Columns of one format, in their order."""
    return [column for column in columns if format in column.formats]


def as_json(columns: Columns[Thing], things: Iterable[Thing]) -> list[dict[str, Any]]:
    """Things as plain values by key."""
    shown = shown_in(columns, Format.JSON)
    return [{column.key: column.of(thing) for column in shown} for thing in things]
