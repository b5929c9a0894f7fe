"""tilewright characterize"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.settings import parse_changes
from tilewright.compiler.engineering import counted
from tilewright.compiler.report.plain_console import PlainTable

if TYPE_CHECKING:
    from tilewright.runtime.measuring.characterize import Characterization


def characterize_command(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="Targets by name or YAML file, to compare.", autocompletion=completion.names_of("analog", "digital")
        ),
    ],
    programming: Annotated[
        list[str] | None,
        typer.Option(
            help="A programming method, by name or file; each is a curve. May be repeated.",
            autocompletion=completion.names_of("programming"),
        ),
    ] = None,
    changes: options.Changes = None,
    times: options.Times = "1s,1h,1d,1w,1mo,1y",
    rows: Annotated[int, typer.Option(help="Rows of the matrix: inputs.")] = 512,
    columns: Annotated[int, typer.Option(help="Columns of the matrix: outputs.")] = 512,
    vectors: Annotated[int, typer.Option(help="Input vectors.")] = 512,
    repeats: options.Repeats = 3,
    seed: options.Seed = 0,
    workers: options.Workers = 1,
    dask: options.Dask = None,
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", help="A folder to write plots (PNG) and all figures (JSON) to.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a characterization that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure what targets do to matrix-vector products: their error over time, and the errors of weights."""
    from tilewright.runtime.measuring.characterize import characterize
    from tilewright.runtime.measuring.clusters import dask_executor
    from tilewright.targets.loading import load_target
    from tilewright.targets.times import parse_times

    if folder is not None:
        from tilewright.compiler.report.characterization_folder import check_folder, save_characterization

        check_folder(folder, overwrite=force)
    loaded = [load_target(target, parse_changes(changes)) for target in targets]
    with progress_bar("characterize") as advance, dask_executor(dask) as executor:
        found = characterize(
            loaded,
            programming,
            times=list(parse_times(times)),
            rows=rows,
            columns=columns,
            vectors=vectors,
            repeats=repeats,
            seed=seed,
            workers=workers,
            executor=executor,
            on_curve=advance,
        )
    if folder is not None:
        written = save_characterization(found, folder, overwrite=force)
        errors.print(f"written to {folder}: {', '.join(file.name for file in written)}", soft_wrap=True)
    if as_json:
        print_json(found.to_json())
    else:
        output.print(_table(found))


def _table(found: Characterization) -> PlainTable:
    chips = counted(found.repeats, "chip")
    title = f"error of a product ‖y - ŷ‖/‖y‖ in %, {found.rows} x {found.columns}, {found.problem}, {chips}"
    times = [point.time for point in found.curves[0].points]
    figures = [*times, "± at most", f"σ of weights, {times[0]}"]
    table = PlainTable(["target", "programming", "compensation"], figures, title=title)
    for curve in found.curves:
        means = [f"{100 * point.mean:.2f}" for point in curve.points]
        errors = [point.standard_error for point in curve.points if point.standard_error is not None]
        largest = f"{100 * max(errors):.2f}" if errors else ""
        deviation = f"{curve.points[0].weight_error_deviation:.4f}"
        table.add_row(curve.target, curve.programming or "", curve.drift_compensation or "", *means, largest, deviation)
    return table
