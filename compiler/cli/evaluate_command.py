"""tilewright evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json, progress_bar


def evaluate_command(
    plan: Annotated[Path, typer.Argument(help="A plan's folder.")],
    data: Annotated[
        Path | None, typer.Option(help="The task's data: for stsb a TSV file, or a folder with dev.tsv.")
    ] = None,
    task: Annotated[str, typer.Option(help="The task: stsb.")] = "stsb",
    times: Annotated[str, typer.Option(help="Times since programming, with commas between.")] = "1s,1h,1d,1w,1mo",
    repeats: Annotated[int, typer.Option(help="Freshly programmed chips.")] = 5,
    seed: Annotated[int, typer.Option(help="Names the chips.")] = 0,
    limit: Annotated[int | None, typer.Option(help="Only the first so many examples.")] = None,
    batch_size: Annotated[int, typer.Option(help="Samples at once; the results do not depend on it.")] = 64,
    drift_compensation: options.DriftCompensation = True,
    results: Annotated[
        Path | None, typer.Option(help="A file of measurements to add to; those in it are not made again.")
    ] = None,
    layer_by_layer: options.LayerByLayer = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure accuracy over time: the digital reference, then mean and standard error over chips at each time."""
    from tilewright.runtime.measuring.evaluate import evaluate
    from tilewright.runtime.plan.plan import load
    from tilewright.targets.times import parse_times

    labels, loaded = list(parse_times(times)), load(plan)
    with progress_bar("evaluate") as advance:
        found = evaluate(
            loaded,
            task,
            data,
            times=labels,
            repeats=repeats,
            seed=seed,
            limit=limit,
            batch_size=batch_size,
            drift_compensation=drift_compensation,
            results=results,
            layer_by_layer=layer_by_layer,
            on_measurement=advance,
        )
    if as_json:
        print_json(found.to_json())
        return
    compensation = "" if found.drift_compensation else ", no drift compensation"
    table = Table(title=f"{found.metric}, {found.examples} examples, seed {found.seed}{compensation}")
    table.add_column("time")
    table.add_column("mean ± standard error", justify="right")
    table.add_column("chips", justify="right")
    table.add_row("digital", f"{found.digital:.2f}", "")
    for point in found.points:
        spread = "" if point.standard_error is None else f" ± {point.standard_error:.2f}"
        table.add_row(point.time, f"{point.mean:.2f}{spread}", str(len(point.values)))
    output.print(table)
