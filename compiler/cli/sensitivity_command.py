"""tilewright sensitivity"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.settings import parse_task_options
from tilewright.compiler.engineering import counted
from tilewright.compiler.report.plain_console import PlainTable

if TYPE_CHECKING:
    from tilewright.compiler.sensitivity import Sensitivity


def sensitivity_command(
    plan: options.MeasuredPlan,
    criteria: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion",
            help=f"{', '.join(options.CRITERIA)}. May be repeated; divergence and gradient if none is named.",
            autocompletion=completion.words(*options.CRITERIA),
        ),
    ] = None,
    inputs: options.Inputs = None,
    samples: options.SampleCount = 32,
    outputs: options.CountedOutputs = None,
    task: options.TaskName = None,
    data: options.Data = None,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    time: options.Time = "1mo",
    repeats: options.Repeats = 3,
    seed: options.Seed = 0,
    adapter: options.Adapter = None,
    plot: options.Plot = None,
    force: options.Force = False,
    workers: options.Workers = 1,
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure how much the outputs suffer from each layer, on each target that it may run on."""
    from tilewright.compiler.report.plot_file import check_plot
    from tilewright.compiler.report.sensitivity_plot import plot_sensitivity
    from tilewright.compiler.sensitivity.measure import measure_sensitivity
    from tilewright.runtime.measuring.clusters import dask_executor
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.sample_files import read_samples

    if plot is not None:
        check_plot(plot, overwrite=force)
    own = parse_task_options(task_options)
    loaded, given = load(plan), read_samples(inputs, "inputs")
    with progress_bar("sensitivity") as advance, dask_executor(dask) as executor:
        found = measure_sensitivity(
            loaded,
            criteria,
            inputs=given,
            samples=samples,
            outputs=outputs,
            task=task,
            data=data,
            limit=limit,
            task_options=own,
            time=time,
            repeats=repeats,
            seed=seed,
            adapter=adapter,
            workers=workers,
            executor=executor,
            on_figure=advance,
        )
    if plot is not None:
        plot_sensitivity(found, plot, overwrite=force)
        errors.print(f"plot written to {plot}", soft_wrap=True)
    if as_json:
        print_json(found.to_json())
        return
    for name, meaning in found.criteria.items():
        output.print(f"{name}: {meaning}", soft_wrap=True)
    chips = f"{counted(found.repeats, 'chip')} of seed {found.seed}"
    output.print(f"{chips}; {counted(found.samples, 'sample')}, {found.source}")
    for table in _tables(found):
        output.print(table)
    if found.correlations():
        output.print(_correlations(found))
    for note in found.notes:
        output.print(f"note: {note}", soft_wrap=True)


def _tables(found: Sensitivity) -> Iterator[PlainTable]:
    """A table a target: a line a layer, a column a criterion, the layer that suffers most first."""
    values = {(figure.layer, figure.criterion, figure.target): figure.value for figure in found.figures}
    first = next(iter(found.criteria))
    for target in dict.fromkeys(figure.target for figure in found.figures):
        table = PlainTable(["layer"], found.criteria, title=f"on {target}")
        layers = dict.fromkeys(figure.layer for figure in found.figures if figure.target == target)
        for layer in sorted(layers, key=lambda name: -values[name, first, target]):
            table.add_row(layer, *(f"{values[layer, name, target]:.3g}" for name in found.criteria))
        yield table


def _correlations(found: Sensitivity) -> PlainTable:
    words, figures = ["target", "criterion", "and"], ["Spearman", "layers"]
    table = PlainTable(words, figures, title="rank correlation over layers")
    for line in found.correlations():
        table.add_row(line.target, line.one, line.other, f"{line.correlation:.3f}", str(line.layers))
    return table
