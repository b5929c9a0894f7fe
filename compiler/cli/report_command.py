"""tilewright report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli import completion
from tilewright.compiler.cli.console import errors, output
from tilewright.targets.errors import InputError

FORMATS = ("terminal", "html", "json", "csv", "csv-summary", "markdown", "onnx", "trace")


def report_command(
    plans: Annotated[list[Path], typer.Argument(help="A plan's folder; two to compare as html, any for csv-summary.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="terminal, html, json, csv (a row a layer), csv-summary (a row a plan), markdown, onnx (for Netron), "
            "or trace (for Perfetto); by the output's ending if not given.",
            autocompletion=completion.words(*FORMATS),
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("-o", "--output", help="The file to write; else it is printed.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="List every weight of the model and where it is.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show where everything went and why: in the terminal, as a page, or for other programs."""
    from tilewright.compiler.report.formats import check_report, render, write_report
    from tilewright.compiler.report.summary import summarise
    from tilewright.compiler.report.terminal import print_report
    from tilewright.runtime.plan.plan import load

    chosen = check_report(len(plans), "json" if as_json else format, file, overwrite=force)
    loaded = [load(plan) for plan in plans]
    if chosen == "terminal":
        print_report(summarise(loaded[0]), output, every_weight=weights)
    elif file is not None:
        write_report(loaded, file, format=chosen, overwrite=force)
        errors.print(f"written to {file}", soft_wrap=True)
    else:
        content = render(loaded, chosen)
        if isinstance(content, bytes):
            raise InputError(f"format {chosen} is not text; name a file to write it to with -o")
        typer.echo(content, nl=not content.endswith("\n"))
