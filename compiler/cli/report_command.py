"""tilewright report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli.console import output, print_json
from tilewright.targets.errors import InputError, nearest

FORMATS = ("terminal", "json")


def report_command(
    plan: Annotated[Path, typer.Argument(help="A plan's folder.")],
    format: Annotated[str, typer.Option(help="terminal or json.")] = "terminal",
    weights: Annotated[bool, typer.Option("--weights", help="List every weight of the model and where it is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print where everything went: totals, and for each layer its shape, blocks, tiles, use, target and reason."""
    if format not in FORMATS:
        raise InputError(f"report format is {format!r}; {nearest(format, FORMATS)}")
    from tilewright.compiler.report import print_report, summarise
    from tilewright.runtime.plan import load

    report = summarise(load(plan))
    if as_json or format == "json":
        print_json(report.to_json())
    else:
        print_report(report, output, every_weight=weights)
