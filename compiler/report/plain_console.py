"""Console and tables for words that a stranger may have written: they stay words, whatever is in them."""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tilewright.targets.shown import visible


def plain(text: str, style: str = "") -> Text:
    """Text without markup, in which nothing steers a terminal, for any console."""
    return Text(visible(text), style=style)


class PlainTable(Table):
    """A table whose headings and cells are plain text."""

    def add_column(self, header: RenderableType = "", footer: RenderableType = "", **settings: Any) -> None:
        """Add a column; settings as rich has them."""
        super().add_column(_plain(header), _plain(footer), **settings)

    def add_row(self, *cells: RenderableType | None, **settings: Any) -> None:
        """Add a row; settings as rich has them."""
        super().add_row(*(cell if cell is None else _plain(cell) for cell in cells), **settings)


class PlainConsole(Console):
    """A console that prints every string as plain text. Styles are given as such, not by markup."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """A string as it is printed, in a line of its own or in a table."""
        return super().render_str(visible(text), **(settings | {"markup": False, "emoji": False}))


def _plain(part: RenderableType) -> RenderableType:
    return plain(part) if isinstance(part, str) else part
