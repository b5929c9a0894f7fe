"""tilewright sensitivity"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json, progress_bar

if TYPE_CHECKING:
    from tilewright.compiler.sensitivity import Sensitivity


def sensitivity_command(
    plan: Annotated[Path, typer.Argument(help="A plan's folder; figures are kept in it.")],
    criteria: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion",
            help="divergence, task, output-noise, gradient, product-error or weight-error. May be repeated; "
            "divergence and gradient if none is named.",
        ),
    ] = None,
    inputs: options.Inputs = None,
    samples: options.SampleCount = 32,
    outputs: options.CountedOutputs = None,
    task: options.TaskName = None,
    data: options.Data = None,
    limit: options.Limit = None,
    time: options.Time = "1mo",
    repeats: Annotated[int, typer.Option(help="Freshly programmed chips.")] = 3,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Measure how much the outputs suffer from each layer, on each target that it may run on."""
    from tilewright.compiler.sensitivity.measure import measure_sensitivity
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.sample_files import read_samples

    loaded, given = load(plan), read_samples(inputs, "inputs")
    with progress_bar("sensitivity") as advance:
        found = measure_sensitivity(
            loaded,
            criteria,
            inputs=given,
            samples=samples,
            outputs=outputs,
            task=task,
            data=data,
            limit=limit,
            time=time,
            repeats=repeats,
            seed=seed,
            on_figure=advance,
        )
    if as_json:
        print_json(found.to_json())
        return
    for name, meaning in found.criteria.items():
        output.print(f"{name}: {meaning}", soft_wrap=True)
    output.print(f"{found.repeats} chips of seed {found.seed}; {found.samples} samples, {found.source}")
    for table in _tables(found):
        output.print(table)
    if found.correlations():
        output.print(_correlations(found))


def _tables(found: Sensitivity) -> Iterator[Table]:
    """A table a target: a line a layer, a column a criterion, the layer that suffers most first."""
    values = {(figure.layer, figure.criterion, figure.target): figure.value for figure in found.figures}
    first = next(iter(found.criteria))
    for target in dict.fromkeys(figure.target for figure in found.figures):
        title = f"on {target}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("layer", overflow="fold")
        for criterion in found.criteria:
            table.add_column(criterion, justify="right", no_wrap=True)
        layers = dict.fromkeys(figure.layer for figure in found.figures if figure.target == target)
        for layer in sorted(layers, key=lambda name: -values[name, first, target]):
            table.add_row(layer, *(f"{values[layer, name, target]:.3g}" for name in found.criteria))
        yield table


def _correlations(found: Sensitivity) -> Table:
    table = Table(title="rank correlation over layers", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("target", "criterion", "and"):
        table.add_column(heading)
    for heading in ("Spearman", "layers"):
        table.add_column(heading, justify="right")
    for line in found.correlations():
        table.add_row(line.target, line.one, line.other, f"{line.correlation:.3f}", str(line.layers))
    return table
