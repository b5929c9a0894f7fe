"""tilewright sweep, tilewright ablate, tilewright pareto, tilewright study"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import check_format, errors, print_json, print_table, progress_bar
from tilewright.compiler.cli.settings import parse_pairs, parse_sizes
from tilewright.compiler.cli.shared_options import with_evaluation_options
from tilewright.targets.errors import InputError

if TYPE_CHECKING:
    from tilewright.compiler.studies.study import Study

Page = Annotated[Path | None, typer.Option(help="A file for a page (.html) with table, plot and each variant.")]


@with_evaluation_options()
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
    *,
    how: dict[str, Any],
    plot: options.Plot = None,
    page: Page = None,
    force: options.Force = False,
    format: options.TableFormat = "terminal",
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure a network on all combinations of values of a target's keys: a row and a point of a plot for each."""
    from tilewright.compiler.studies.study import sweep
    from tilewright.runtime.storage.sample_files import read_samples

    wanted, given = parse_pairs(vary, "vary", "tile.adc.bits=4..10"), read_samples(calibration, "calibration")
    shown = _Shown("json" if as_json else format, plot, page, force, how)
    shown.make(lambda **further: sweep(source, wanted, target=target, calibration=given, **how, **further), dask)


@with_evaluation_options()
def ablate_command(
    plan: options.PlanFolder,
    *,
    how: dict[str, Any],
    plot: options.Plot = None,
    page: Page = None,
    force: options.Force = False,
    format: options.TableFormat = "terminal",
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure what each effect of a plan's chip costs: all of them on, each off, each alone, and none."""
    from tilewright.compiler.studies.study import ablate
    from tilewright.runtime.plan.plan import load

    loaded, shown = load(plan), _Shown("json" if as_json else format, plot, page, force, how)
    shown.make(lambda **further: ablate(loaded, **how, **further), dask)


@with_evaluation_options()
def pareto_command(
    plan: options.MeasuredPlan,
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
    *,
    how: dict[str, Any],
    plot: options.Plot = None,
    page: Page = None,
    force: options.Force = False,
    format: options.TableFormat = "terminal",
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure what accuracy costs: assignments between the cheapest and the most precise one."""
    from tilewright.compiler.studies.pareto import pareto
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.sample_files import read_samples

    loaded, given, at = load(plan), read_samples(inputs, "inputs"), parse_sizes(sizes or "")
    own = {
        "points": points, "minimise": minimise, "method": method, "criterion": criterion, "sizes": at,
        "preset": preset, "inputs": given, "samples": samples, "time": time,
    }  # fmt: skip
    shown = _Shown("json" if as_json else format, plot, page, force, how)
    shown.make(lambda **further: pareto(loaded, **own, **how, **further), dask)


def study_command(
    file: Annotated[Path, typer.Argument(help="A study's YAML file (docs/studies.md); examples/studies has some.")],
    source: Annotated[
        str | None, typer.Option(help="A plan's folder, or of a sweep a model, in place of the file's.")
    ] = None,
    data: options.Data = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first so many examples, in place of the file's number.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Chips of each variant, in place of the file's number.")] = None,
    results: options.Results = None,
    plot: options.Plot = None,
    page: Page = None,
    force: options.Force = False,
    format: options.TableFormat = "terminal",
    workers: options.Workers = 1,
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Make the study that a file describes: a sweep, an ablation, or a curve of accuracy and cost."""
    from tilewright.compiler.studies.study_file import read_study, run_study

    said = read_study(file)
    files: dict[str, Any] = {"results": results or None, "data": data}
    shown = _Shown("json" if as_json else format, plot, page, force, {**files, "study": file})
    shown.make(
        lambda **further: run_study(
            said, source=source, limit=limit, repeats=repeats, **files, workers=workers, **further
        ),
        dask,
    )


class _Shown:
    """Study as it is shown: a table, and a plot and a page where they are asked for."""

    def __init__(self, format: str, plot: Path | None, page: Path | None, force: bool, how: dict[str, Any]) -> None:
        """Raise ``InputError`` for a format that is none, and for files that cannot be written or are others."""
        from tilewright.compiler.report.html.study_page import check_page
        from tilewright.compiler.report.plot_file import check_plot
        from tilewright.targets.paths import real_path, shown_path

        self.format, self.plot, self.page, self.force = format, plot, page, force
        check_format(format)
        if plot is not None:
            check_plot(plot, overwrite=force)
        if page is not None:
            check_page(page, overwrite=force)
        data, study = how.get("data"), how.get("study")
        named = {
            "--plot": [plot],
            "--page": [page],
            "--data": [data],
            "the study": [study],
            "--results": how["results"] or [],
        }
        paths = [(name, real_path(Path(one))) for name, some in named.items() for one in some if one is not None]
        for (name, one), (other, same) in combinations(paths, 2):
            if one == same and name != other:
                raise InputError(f"{name} and {other} are the same file, {shown_path(one)}")

    def make(self, made: Callable[..., Study], dask: str | None) -> None:
        """Make a study, print its table, and write its plot and page."""
        from tilewright.compiler.report.html.study_page import write_study_page
        from tilewright.compiler.report.study_plot import plot_study
        from tilewright.compiler.report.study_table import study_table
        from tilewright.runtime.measuring.clusters import dask_executor

        with progress_bar("study") as advance, dask_executor(dask) as executor:
            study = made(executor=executor, on_measurement=advance)
        if self.format == "json":  # all that is known of each point
            print_json(study.to_json())
        else:
            print_table(study_table(study), self.format)
        for note in study.notes:
            errors.print(f"note: {note}", soft_wrap=True)
        if self.plot is not None:
            plot_study(study, self.plot, overwrite=self.force)
            errors.print(f"plot written to {self.plot}", soft_wrap=True)
        if self.page is not None:
            write_study_page(study, self.page, overwrite=self.force)
            errors.print(f"page written to {self.page}", soft_wrap=True)
