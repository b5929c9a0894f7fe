"""tilewright targets"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from tilewright.compiler.cli.console import output, print_json
from tilewright.targets import load_target, target_names


def targets_command(
    name: Annotated[str | None, typer.Argument(help="A target's name or a YAML file; all are listed without.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List the targets, or print one with the unit and the source of every number."""
    if name is None:
        _list_targets(as_json)
        return
    content = load_target(name).model_dump(mode="json")
    if as_json:
        print_json(content)
        return
    table = Table(title=f"{content['name']}: {content['summary']}", title_justify="left")
    for heading in ("key", "value", "unit", "source"):
        table.add_column(heading, overflow="fold")
    for key, value, unit, source in target_rows(content):
        table.add_row(key, value, unit, source)
    output.print(table)


def _list_targets(as_json: bool) -> None:
    targets = [load_target(name) for name in target_names()]
    if as_json:
        print_json([{"name": target.name, "summary": target.summary} for target in targets])
        return
    table = Table()
    table.add_column("target")
    table.add_column("summary", overflow="fold")
    for target in targets:
        table.add_row(target.name, target.summary)
    output.print(table)


def target_rows(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(key, value, unit, source) of every leaf; the last two empty for what is not a number."""
    for key, value in content.items():
        if prefix + key in ("name", "summary"):
            continue
        if isinstance(value, dict) and set(value) == {"value", "unit", "source"}:
            yield prefix + key, f"{value['value']:g}", value["unit"], value["source"]
        elif isinstance(value, dict):
            yield from target_rows(value, f"{prefix}{key}.")
        else:
            yield prefix + key, "none" if value is None else str(value), "", ""
