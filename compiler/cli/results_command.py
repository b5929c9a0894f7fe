"""tilewright results"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import check_format, errors, print_table
from tilewright.compiler.cli.settings import parse_pairs


def results_command(
    files: Annotated[list[Path], typer.Argument(help="Files of measurements, as --results writes them.")],
    where: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE that measurements must have, such as seconds=1mo or plan=3f86. May be repeated."),
    ] = None,
    format: options.TableFormat = "terminal",
    merged: Annotated[
        Path | None, typer.Option("-o", "--output", help="A new file for the measurements, each of them once.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """List, filter and merge measurements of any number of files: a row for all chips of one setting."""
    from tilewright.compiler.report.results_table import results_table
    from tilewright.runtime.measuring.results import read_results

    chosen = "json" if as_json else format
    check_format(chosen)
    found = read_results(files)
    wanted = parse_pairs(where, "where", "seconds=1mo")
    kept = found.where(wanted) if wanted else found
    if not kept.entries and found.entries:
        errors.print(f"none of {len(found.entries)} measurements is so: {', '.join(where or ())}", soft_wrap=True)
    if merged is not None:
        kept.write(merged)
        errors.print(f"{len(kept.entries)} measurements written to {merged}", soft_wrap=True)
    else:
        print_table(results_table(kept, whole=chosen in ("csv", "json")), chosen)
    if found.repeated:
        errors.print(f"measurements that are there more than once, and count once: {found.repeated}", soft_wrap=True)
    if found.differing:
        errors.print(f"those that have two values, of which the first counts: {found.differing}", soft_wrap=True)
