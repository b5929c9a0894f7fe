"""tilewright evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json, progress_bar
from tilewright.compiler.cli.settings import parse_task_options
from tilewright.compiler.engineering import counted, spread
from tilewright.compiler.report.plain_console import PlainTable


def evaluate_command(
    plan: options.PlanFolder,
    data: options.Data = None,
    task: options.TaskName = None,
    times: options.Times = "1s,1h,1d,1w,1mo",
    repeats: options.Repeats = 5,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    batch_size: options.BatchSize = 64,
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

    labels, own = list(parse_times(times)), parse_task_options(task_options)
    loaded = load(plan)
    with progress_bar("evaluate") as advance:
        found = evaluate(
            loaded,
            task,
            data,
            times=labels,
            repeats=repeats,
            seed=seed,
            limit=limit,
            task_options=own,
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
    title = f"{found.metric}, {counted(found.examples, 'example')}, seed {found.seed}{compensation}"
    table = PlainTable(["time"], ["mean ± standard error", "chips"], title=title)
    table.add_row("digital", f"{found.digital:.2f}", "")
    for point in found.points:
        table.add_row(point.time, f"{point.mean:.2f}{spread(point.standard_error)}", str(len(point.values)))
    output.print(table)
