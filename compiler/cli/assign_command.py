"""tilewright assign"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.settings import parse_assignments, parse_sizes, parse_task_options
from tilewright.compiler.engineering import counted, spread
from tilewright.compiler.report.plain_console import PlainTable

if TYPE_CHECKING:
    from tilewright.compiler.assignment.assigned import Assigned, Trial

MOST_NAMED = 12
"""Layers that are named one by one."""


def assign_command(
    plan: options.MeasuredPlan,
    folder: Annotated[Path, typer.Option("-o", "--output", help="The folder to write the new plan to.")],
    minimise: Annotated[
        str | None,
        typer.Option(help="loss, energy, latency, tiles, digital-macs or area; loss, or with --accuracy energy."),
    ] = None,
    budgets: Annotated[
        list[str] | None,
        typer.Option(
            "--at-most", help="A budget, such as energy=60uJ, latency=100us, tiles=40, loss=0.01. May be repeated."
        ),
    ] = None,
    accuracy: Annotated[
        str | None, typer.Option(help="Search for the least cost that keeps this much of the accuracy, such as 99%.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="With which the accuracy must be kept, over chips.")] = 0.95,
    fixed: Annotated[
        list[str] | None,
        typer.Option("--assign", help="PATTERN=TARGET: layers that have no choice. May be repeated; the last counts."),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help=f"Whose figures are losses: {', '.join(options.CRITERIA)}; gradient if none is named.",
            autocompletion=completion.words(*options.CRITERIA),
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="exact; or macs or rank, which are greedy.", autocompletion=completion.words("exact", "macs", "rank")
        ),
    ] = "exact",
    sizes: Annotated[
        str | None, typer.Option("--at", help="Sizes of the inputs that energy and latency are of.")
    ] = None,
    preset: options.Preset = None,
    inputs: options.Inputs = None,
    samples: options.SampleCount = 32,
    outputs: options.CountedOutputs = None,
    task: options.TaskName = None,
    data: options.Data = None,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    time: options.Time = "1mo",
    repeats: Annotated[int, typer.Option(help="Freshly programmed chips, for each measurement.")] = 5,
    seed: Annotated[int, typer.Option(help="Names the chips of the choice; it is validated on others.")] = 0,
    validate: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Run the new plan on fresh chips, and say what it does.")
    ] = True,
    workers: options.Workers = 1,
    dask: options.Dask = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a plan that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Choose every layer's target: the least loss under budgets, the least cost under a loss, or under an accuracy."""
    from tilewright.compiler.assignment.assign import assign
    from tilewright.runtime.measuring.clusters import dask_executor
    from tilewright.runtime.plan.files import PLAN
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.atomic_folder import check_destination
    from tilewright.runtime.storage.sample_files import read_samples

    check_destination(folder, PLAN, overwrite=force)
    limits = parse_assignments(budgets, "at-most", example="energy=60uJ")
    stay, at = parse_assignments(fixed, "assign"), parse_sizes(sizes or "")
    given, own = read_samples(inputs, "inputs"), parse_task_options(task_options)
    with progress_bar("assign") as advance, dask_executor(dask) as executor:
        assigned = assign(
            load(plan), minimise=minimise, budgets=limits, accuracy=accuracy, confidence=confidence, fixed=stay,
            criterion=criterion, method=method, sizes=at, preset=preset, inputs=given, samples=samples,
            outputs=outputs, task=task, data=data, limit=limit, task_options=own, time=time, repeats=repeats,
            seed=seed, validate=validate, workers=workers, executor=executor, on_step=advance, on_trial=_say_trial,
        )  # fmt: skip
    assigned.save(folder, overwrite=force)
    if as_json:
        print_json({"plan": str(folder), **assigned.to_json()})
        return
    _print(assigned, folder)


def _say_trial(trial: Trial) -> None:
    on = Counter(trial.choice.values())
    where = ", ".join(f"{count} on {target}" for target, count in on.most_common())
    verdict = "passes" if trial.passes else "fails"
    errors.print(
        f"{where}: A* {trial.normalised:.2%}, at least {trial.lower:.2%}: {verdict} (seed {trial.seed})",
        soft_wrap=True,
    )  # fmt: skip


def _print(assigned: Assigned, folder: Path) -> None:
    from tilewright.compiler.report.tables import ways_to_choose
    from tilewright.runtime.plan.decisions import UNITS

    record, counts = assigned.record, Counter(assigned.choice.values())
    if not any(layer.options[1:] for layer in assigned.original.document.layers):
        output.print("there was nothing to choose: no layer of the plan has options on two targets", soft_wrap=True)
    table = PlainTable(["assignment"], ["predicted loss" if name == "loss" else name for name in UNITS])
    for row in ways_to_choose(record, UNITS):
        table.add_row(*row)
    output.print(table)
    for target, count in counts.most_common():
        layers = [layer for layer, chosen in assigned.choice.items() if chosen == target]
        named = f": {', '.join(layers)}" if len(layers) <= MOST_NAMED and len(counts) > 1 else ""
        output.print(f"{counted(count, 'layer')} on {target}{named}", soft_wrap=True)
    output.print(
        f"predicted loss {assigned.predicted['loss']:.3g} (criterion {record.criterion}){_measured(assigned)}",
        soft_wrap=True,
    )
    if record.accuracy is not None:
        found = record.accuracy
        output.print(
            f"{found.metric} {found.mean:.2f}{spread(found.standard_error)} of {found.digital:.2f} on "
            f"{counted(found.examples, 'example')} and {counted(found.repeats, 'fresh chip')}: "
            f"A* {found.normalised:.2%}, at least {found.lower_bound:.2%} with {found.confidence:.0%} confidence",
            soft_wrap=True,
        )
    for note in assigned.sensitivity.notes:
        output.print(f"note: {note}", soft_wrap=True)
    output.print(f"plan written to {folder}", soft_wrap=True)


def _measured(assigned: Assigned) -> str:
    measured = assigned.record.measured
    if measured is None:
        return "; it was not validated"
    error, chips = spread(measured.standard_error, ".2g"), counted(measured.chips, "fresh chip")
    return f"; measured divergence {measured.divergence:.3g}{error} on {chips}, attention units included"
