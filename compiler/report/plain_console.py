"""Console and tables for words that a stranger may have written: they stay words, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tilewright.targets.shown import visible

WORDS: dict[str, Any] = {"overflow": "fold"}
FIGURES: dict[str, Any] = {"justify": "right", "no_wrap": True}
"""Settings of columns."""


def plain(text: str, style: str = "") -> Text:
    """Text without markup, in which nothing steers a terminal, for any console."""
    return Text(visible(text), style=style)


class PlainTable(Table):
    """A table whose headings and cells are plain text.

    words, figures, after: headings of columns, from left to right. Figures stand at the right and are never cut.
    """

    def __init__(
        self, words: Iterable[str] = (), figures: Iterable[str] = (), after: Iterable[str] = (), *, title: str = ""
    ) -> None:
        super().__init__(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for headings, settings in ((words, WORDS), (figures, FIGURES), (after, WORDS)):
            for heading in headings:
                self.add_column(heading, **settings)

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
