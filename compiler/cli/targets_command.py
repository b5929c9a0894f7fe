"""tilewright targets"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import output, print_json
from tilewright.compiler.cli.settings import parse_changes
from tilewright.compiler.report.plain_console import PlainTable
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.loading import KINDS, load_document, target_names
from tilewright.targets.quantity import is_number, leaves


def targets_command(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A name of the library or a YAML file; without, all are listed.", autocompletion=completion.names_of()
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="List only these: analog, digital, attention, programming, chip, cost or recipe.",
            autocompletion=completion.words(*KINDS),
        ),
    ] = None,
    changes: options.Changes = None,
    as_json: options.AsJson = False,
) -> None:
    """List targets, units, programming methods and chips, or print one with the unit and source of every number."""
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind is {kind!r}; {nearest(kind, KINDS)}")
    if name is None:
        if changes:
            raise InputError("--set changes one target; name it")
        _list_targets(as_json, (kind,) if kind else tuple(KINDS))
        return
    content = load_document(name, *((kind,) if kind else ()), changes=parse_changes(changes)).model_dump(mode="json")
    if as_json:
        print_json(content)
        return
    table = PlainTable(["key", "value", "unit", "source"], title=f"{content['name']}: {content['summary']}")
    for key, value, unit, source in target_rows(content):
        table.add_row(key, value, unit, source)
    output.print(table)


def _list_targets(as_json: bool, kinds: tuple[str, ...]) -> None:
    rows = [
        {"name": name, "kind": kind, "summary": load_document(name, kind).summary}
        for kind in kinds
        for name in target_names(kind)
    ]
    if as_json:
        print_json(rows)
        return
    table = PlainTable(["name", "kind", "summary"])
    for row in rows:
        table.add_row(*row.values())
    output.print(table)


def target_rows(content: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Rows (key, value, unit, source) of every leaf; the last two empty for what is not a number."""
    for key, value in leaves(content):
        if key in ("name", "summary"):
            continue
        if is_number(value):
            yield key, f"{value['value']:g}", value["unit"], value["source"]
        else:
            yield key, "none" if value in (None, []) else str(value), "", ""
