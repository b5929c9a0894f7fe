"""tilewright diff"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json
from tilewright.compiler.report.plain_console import PlainTable

if TYPE_CHECKING:
    from tilewright.compiler.report.difference import Change

MOST_APART = 4
"""Layers with the same change that have a line each; of more there is one line. JSON has all."""


def diff_command(
    before: Annotated[Path, typer.Argument(help="A plan's folder.")],
    after: Annotated[Path, typer.Argument(help="Another plan's folder.")],
    as_json: options.AsJson = False,
) -> None:
    """Show what changed from one plan to another: hardware, layers, ranges, and the sums."""
    from tilewright.compiler.report.difference import added_and_removed, difference, shown_change
    from tilewright.runtime.plan.plan import load

    found = difference(load(before), load(after))
    if as_json:
        print_json(found.to_json())
        return
    if not found:
        output.print("the plans do not differ")
        return
    table = PlainTable(["what", "figure", "before", "after"])
    for subjects, change in _grouped(found.changes):
        many = len(subjects) > MOST_APART
        for what in [f"{len(subjects)} layers or products"] if many else subjects:
            table.add_row(what, *shown_change(change))
    for row in added_and_removed(found):
        table.add_row(*row)
    output.print(table)


def _grouped(changes: list[Change]) -> list[tuple[list[str], Change]]:
    """Changes, each with all layers that it is made in; that tiles moved is one change, wherever they went."""
    groups: dict[str, tuple[list[str], Change]] = {}
    for change in changes:
        shown = replace(change, before="", after="moved") if change.key == "first_tile" and change.after else change
        key = repr((shown.key, shown.before, shown.after, shown.subject in ("plan", "hardware")))
        groups.setdefault(key, ([], shown))[0].append(change.subject)
    return list(groups.values())
