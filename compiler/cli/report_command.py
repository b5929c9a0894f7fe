"""tilewright report"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.compiler.cli.console import errors, output
from tilewright.compiler.report.finite_json import json_text, visible_json
from tilewright.runtime.storage.atomic_file import check_output_file, write_whole
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import shown_path

if TYPE_CHECKING:
    from tilewright.runtime.plan.plan import Plan

ENDINGS = {
    ".html": "html", ".json": "json", ".csv": "csv", ".md": "markdown", ".onnx": "onnx",
}  # fmt: skip
SEVERAL = {"html", "csv-summary"}
"""Formats that take more than one plan."""


def report_command(
    plans: Annotated[list[Path], typer.Argument(help="A plan's folder; two to compare as html, any for csv-summary.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="terminal, html, json, csv (a row a layer), csv-summary (a row a plan), markdown, onnx (for Netron), "
            "or trace (for Perfetto); by the output's ending if not given."
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("-o", "--output", help="The file to write; else it is printed.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="List every weight of the model and where it is.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show where everything went and why: in the terminal, as a page, or for other programs."""
    from tilewright.runtime.plan.plan import load

    chosen = _format(format, file, as_json)
    if len(plans) > 1 and chosen not in SEVERAL:
        raise InputError(
            f"format {chosen} is of one plan, {len(plans)} were given; several go with html and csv-summary"
        )
    if chosen == "html" and len(plans) > 2:
        raise InputError(f"html compares two plans, {len(plans)} were given")
    if file is not None:
        check_output_file(file, overwrite=force)
    loaded = [load(plan) for plan in plans]
    if chosen == "terminal":
        _print(loaded[0], weights)
        return
    content = WRITERS[chosen](loaded)
    if file is not None:
        write_whole(file, content if isinstance(content, bytes) else content.encode())
        errors.print(f"written to {file}", soft_wrap=True)
    elif isinstance(content, bytes):
        raise InputError(f"format {chosen} is not text; name a file to write it to with -o")
    else:
        typer.echo(content, nl=not content.endswith("\n"))


def _format(format: str | None, file: Path | None, as_json: bool) -> str:
    known = ["terminal", *WRITERS]
    if as_json:
        return "json"
    if format is not None and format not in known:
        raise InputError(f"report format is {format!r}; {nearest(format, known)}")
    if file is None:
        return format or "terminal"
    if format is None and file.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{shown_path(file)} has an ending of no format: known are {', '.join(ENDINGS)}; or name one with --format"
        )
    if format == "terminal":
        raise InputError(f"format terminal is printed, not written to a file; allowed with -o: {', '.join(WRITERS)}")
    return format or ENDINGS[file.suffix.lower()]


def _print(plan: Plan, weights: bool) -> None:
    from tilewright.compiler.report import print_report, summarise

    print_report(summarise(plan), output, every_weight=weights)


def _json(plans: list[Plan]) -> str:
    from tilewright.compiler.report import summarise

    return json_text(summarise(plans[0]).to_json()) + "\n"


def _html(plans: list[Plan]) -> str:
    from tilewright.compiler.report import summarise
    from tilewright.compiler.report.difference import difference
    from tilewright.compiler.report.html import comparison_page, report_page

    if len(plans) == 1:
        return report_page(summarise(plans[0]))
    return comparison_page(*(summarise(plan) for plan in plans), difference(*plans))  # type: ignore[call-arg, arg-type]


def _csv(plans: list[Plan]) -> str:
    from tilewright.compiler.report import summarise
    from tilewright.compiler.report.csv_rows import layers_csv

    return layers_csv(summarise(plans[0]))


def _csv_summary(plans: list[Plan]) -> str:
    from tilewright.compiler.report import summarise
    from tilewright.compiler.report.csv_rows import plans_csv

    return plans_csv([summarise(plan) for plan in plans])


def _markdown(plans: list[Plan]) -> str:
    from tilewright.compiler.report import summarise
    from tilewright.compiler.report.markdown import markdown

    return markdown(summarise(plans[0]))


def _onnx(plans: list[Plan]) -> bytes:
    from tilewright.compiler.report.placed_onnx import placed_onnx

    return placed_onnx(plans[0])


def _trace(plans: list[Plan]) -> str:
    from tilewright.compiler.report import summarise
    from tilewright.compiler.report.chrome_trace import chrome_trace

    trace = chrome_trace(summarise(plans[0]))
    return visible_json(json.dumps(trace, ensure_ascii=False, allow_nan=False)) + "\n"


WRITERS: dict[str, Callable[[list[Plan]], str | bytes]] = {
    "html": _html,
    "json": _json,
    "csv": _csv,
    "csv-summary": _csv_summary,
    "markdown": _markdown,
    "onnx": _onnx,
    "trace": _trace,
}
