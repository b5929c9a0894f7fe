"""tilewright sweep, tilewright ablate, tilewright pareto, tilewright study"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import check_format, errors, print_json, print_table, progress_bar
from tilewright.compiler.cli.settings import parse_chips, parse_pairs, parse_sizes, parse_task_options

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from tilewright.compiler.studies.study import Study

Page = Annotated[Path | None, typer.Option(help="A file for a page (HTML) with table, plot and each variant.")]


def sweep_command(
    source: Annotated[
        str,
        typer.Argument(help="A plan's folder; or a model's folder, hub name or .onnx file, compiled for each variant."),
    ],
    vary: Annotated[
        list[str],
        typer.Option(
            help="KEY=VALUES, such as tile.adc.bits=4..10 or device.programming.scale=0,.5,1; of a model also target, "
            "attention_bits and programming. Repeated: all combinations."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            help="The target of a model; pcm-512 without it.",
            autocompletion=completion.names_of("chip", "analog", "digital"),
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Sample inputs of a model that fix its input ranges, as of compile.")
    ] = None,
    task: options.TaskName = None,
    data: options.Data = None,
    times: options.Times = "1s,1mo",
    repeats: options.Repeats = 5,
    chips: options.Chips = None,
    until_error: options.UntilError = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    batch_size: options.BatchSize = 64,
    results: options.Results = None,
    plot: options.Plot = None,
    page: Page = None,
    format: options.TableFormat = "terminal",
    workers: options.Workers = 1,
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure a network on all combinations of values of a target's keys: a row and a point of a plot for each."""
    from tilewright.compiler.studies.study import sweep
    from tilewright.runtime.storage.sample_files import read_samples

    wanted, given = parse_pairs(vary, "vary", "tile.adc.bits=4..10"), read_samples(calibration, "calibration")
    _run(
        lambda **how: sweep(source, wanted, task, data, target=target, calibration=given, **how),
        times, repeats, chips, until_error, seed, limit, task_options, batch_size, results, plot, page,
        "json" if as_json else format, workers, dask,
    )  # fmt: skip


def ablate_command(
    plan: options.PlanFolder,
    task: options.TaskName = None,
    data: options.Data = None,
    times: options.Times = "1s,1mo",
    repeats: options.Repeats = 5,
    chips: options.Chips = None,
    until_error: options.UntilError = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    batch_size: options.BatchSize = 64,
    results: options.Results = None,
    plot: options.Plot = None,
    page: Page = None,
    format: options.TableFormat = "terminal",
    workers: options.Workers = 1,
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure what each effect of a plan's chip costs: all of them on, each off, each alone, and none."""
    from tilewright.compiler.studies.study import ablate
    from tilewright.runtime.plan.plan import load

    loaded = load(plan)
    _run(
        lambda **how: ablate(loaded, task, data, **how),
        times, repeats, chips, until_error, seed, limit, task_options, batch_size, results, plot, page,
        "json" if as_json else format, workers, dask,
    )  # fmt: skip


def pareto_command(
    plan: options.MeasuredPlan,
    task: options.TaskName = None,
    data: options.Data = None,
    points: Annotated[int, typer.Option(help="Assignments to measure, at most.")] = 12,
    minimise: Annotated[
        str,
        typer.Option(
            help="The cost: energy, latency, tiles, digital-macs or area.",
            autocompletion=completion.words("energy", "latency", "tiles", "digital-macs", "area"),
        ),
    ] = "energy",
    method: Annotated[
        str,
        typer.Option(
            help="exact; or rank: one more layer a point, the most sensitive first, until iso-accuracy holds.",
            autocompletion=completion.words("exact", "rank"),
        ),
    ] = "exact",
    criterion: Annotated[
        str,
        typer.Option(
            help="The criterion whose figures predict the loss.", autocompletion=completion.words(*options.CRITERIA)
        ),
    ] = "gradient",
    sizes: Annotated[str | None, typer.Option("--at", help="Sizes of the inputs that costs are of.")] = None,
    preset: options.Preset = None,
    inputs: options.Inputs = None,
    samples: options.SampleCount = 32,
    time: options.Time = "1mo",
    times: options.Times = "1s,1mo",
    repeats: options.Repeats = 5,
    chips: options.Chips = None,
    until_error: options.UntilError = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    batch_size: options.BatchSize = 64,
    results: options.Results = None,
    plot: options.Plot = None,
    page: Page = None,
    format: options.TableFormat = "terminal",
    workers: options.Workers = 1,
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure what accuracy costs: exact assignments between the cheapest and the most precise one."""
    from tilewright.compiler.studies.pareto import pareto
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.sample_files import read_samples

    loaded, given, at = load(plan), read_samples(inputs, "inputs"), parse_sizes(sizes or "")
    _run(
        lambda **how: pareto(
            loaded, task, data, points=points, minimise=minimise, method=method, criterion=criterion, sizes=at,
            preset=preset, inputs=given, samples=samples, time=time, **how,
        ),
        times, repeats, chips, until_error, seed, limit, task_options, batch_size, results, plot, page,
        "json" if as_json else format, workers, dask,
    )  # fmt: skip


def study_command(
    file: Annotated[Path, typer.Argument(help="A study's YAML file (docs/studies.md); examples/studies has some.")],
    source: Annotated[
        str | None, typer.Option(help="A plan's folder, or of a sweep a model, in place of the file's.")
    ] = None,
    data: options.Data = None,
    results: Annotated[
        Path | None, typer.Option(help="A file of measurements to add to: those in it are not made again.")
    ] = None,
    plot: options.Plot = None,
    page: Page = None,
    format: options.TableFormat = "terminal",
    workers: options.Workers = 1,
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Make the study that a file describes: a sweep, an ablation, or a curve of accuracy and cost."""
    from tilewright.compiler.studies.study_file import read_study, run_study

    said, chosen = read_study(file), _checked("json" if as_json else format, plot, page)
    with progress_bar("study") as advance, _dask(dask) as executor:
        study = run_study(
            said, source=source, data=data, results=results, workers=workers, executor=executor, on_measurement=advance
        )
    _show(study, chosen, plot, page)


def _run(
    made: Any, times: str, repeats: int, chips: str | None, until_error: str | None, seed: int, limit: int | None,
    task_options: list[str] | None, batch_size: int, results: list[Path] | None, plot: Path | None,
    page: Path | None, format: str, workers: int, dask: str | None,
) -> None:  # fmt: skip
    """Make a study, and print it."""
    from tilewright.targets.times import parse_times

    chosen = _checked(format, plot, page)
    how = {
        "times": list(parse_times(times)), "repeats": repeats, "chips": parse_chips(chips), "until_error": until_error,
        "seed": seed, "limit": limit, "task_options": parse_task_options(task_options), "batch_size": batch_size,
        "results": results or None, "workers": workers,
    }  # fmt: skip
    with progress_bar("study") as advance, _dask(dask) as executor:
        study = made(**how, executor=executor, on_measurement=advance)
    _show(study, chosen, plot, page)


def _checked(format: str, plot: Path | None, page: Path | None) -> str:
    """The format of the table. Raises ``InputError`` for one that is none, and for files that cannot be written."""
    from tilewright.compiler.report.html.study_page import check_page
    from tilewright.compiler.report.plot_file import check_plot

    check_format(format)
    if plot is not None:
        check_plot(plot)
    if page is not None:
        check_page(page)
    return format


def _dask(where: str | None) -> AbstractContextManager[Executor | None]:
    from tilewright.runtime.measuring.clusters import dask_executor

    return dask_executor(where)


def _show(study: Study, format: str, plot: Path | None, page: Path | None) -> None:
    """Write the plot and the page of a study, and print its table."""
    from tilewright.compiler.report.html.study_page import write_study_page
    from tilewright.compiler.report.study_plot import plot_study
    from tilewright.compiler.report.study_table import study_table

    if plot is not None:
        plot_study(study, plot)
        errors.print(f"plot written to {plot}", soft_wrap=True)
    if page is not None:
        write_study_page(study, page)
        errors.print(f"page written to {page}", soft_wrap=True)
    if format == "json":  # all that is known of each point
        print_json(study.to_json())
    else:
        print_table(study_table(study), format)
