"""tilewright evaluate"""

from __future__ import annotations

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.settings import parse_chips, parse_task_options
from tilewright.compiler.report.accuracy_table import accuracy_table
from tilewright.compiler.report.totals import measured_on


def evaluate_command(
    plan: options.PlanFolder,
    data: options.Data = None,
    task: options.TaskName = None,
    times: options.Times = "1s,1h,1d,1w,1mo",
    repeats: options.Repeats = 5,
    chips: options.Chips = None,
    until_error: options.UntilError = None,
    fewest: options.Fewest = 3,
    seed: options.Seed = 0,
    adapter: options.Adapter = None,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    batch_size: options.BatchSize = 64,
    drift_compensation: options.DriftCompensation = True,
    results: options.Results = None,
    resamples: options.Resamples = 200,
    iso: options.Iso = "99%",
    log: options.Log = None,
    layer_by_layer: options.LayerByLayer = False,
    workers: options.Workers = 1,
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure accuracy over time: the digital reference, then mean and standard error over chips at each time.

    Beside them 95 % intervals over examples, and over examples and chips; A*; and whether iso-accuracy holds.
    """
    from tilewright.runtime.measuring.clusters import dask_executor
    from tilewright.runtime.measuring.evaluate import evaluate
    from tilewright.runtime.plan.plan import load
    from tilewright.targets.paths import shown_path
    from tilewright.targets.times import parse_times

    labels, own = list(parse_times(times)), parse_task_options(task_options)
    loaded = load(plan)
    done, count = 0, 0
    try:
        with progress_bar("evaluate") as advance, dask_executor(dask) as executor:

            def counted(number: int, of: int, what: str) -> None:
                nonlocal done, count
                done, count = number, of
                advance(number, of, what)

            found = evaluate(
                loaded,
                task,
                data,
                times=labels,
                repeats=repeats,
                chips=parse_chips(chips),
                until_error=until_error,
                fewest=fewest,
                seed=seed,
                adapter=adapter,
                limit=limit,
                task_options=own,
                batch_size=batch_size,
                drift_compensation=drift_compensation,
                results=results or None,
                resamples=resamples,
                iso=iso,
                log=log,
                layer_by_layer=layer_by_layer,
                workers=workers,
                executor=executor,
                on_measurement=counted,
            )
    except KeyboardInterrupt:
        if results and done:
            kept = f"{done} of {count} measurements are kept in {shown_path(results[0])}"
            errors.print(f"{kept}; the same command goes on from there", soft_wrap=True)
        raise
    content = found.to_json()
    if as_json:
        print_json(content)
        return
    compensation = "" if found.drift_compensation else ", no drift compensation"
    over = measured_on(found.examples, found.repeats)
    adapter_text = f", adapter {found.adapter}" if found.adapter else ""
    title = f"{found.metric}: {found.task}, {over}, seed {found.seed}{adapter_text}{compensation}"
    output.print(accuracy_table(content, title))
    for note in found.notes:
        output.print(f"note: {note}")
