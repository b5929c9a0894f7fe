"""tilewright assign"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.inputs import read_samples
from tilewright.compiler.cli.settings import parse_assignments, parse_share, parse_sizes
from tilewright.targets.errors import InputError

if TYPE_CHECKING:
    from tilewright.compiler.assignment import Assigned, Search
    from tilewright.compiler.assignment.search import Trial
    from tilewright.compiler.sensitivity import Sensitivity
    from tilewright.runtime.plan.plan import Plan

MOST_NAMED = 12
"""Layers that are named one by one."""


def assign_command(
    plan: Annotated[Path, typer.Argument(help="A plan's folder; figures are kept in it.")],
    new: Annotated[Path, typer.Option("-o", "--output", help="The folder to write the new plan to.")],
    minimise: Annotated[
        str | None, typer.Option(help="loss, energy, latency, tiles, digital-macs or area; with --accuracy energy.")
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(help="A budget, such as energy=60uJ, latency=100us, tiles=40, loss=0.01. May be repeated."),
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
        str,
        typer.Option(
            help="Whose figures are losses: divergence, task, output-noise, gradient, product-error or weight-error."
        ),
    ] = "gradient",
    method: Annotated[str, typer.Option(help="exact; or macs or rank, which are greedy.")] = "exact",
    at: Annotated[str, typer.Option(help="Sizes of the inputs that energy and latency are of.")] = "",
    preset: options.Preset = None,
    inputs: options.Inputs = None,
    samples: options.SampleCount = 32,
    counted: options.CountedOutputs = None,
    task: options.TaskName = None,
    data: options.Data = None,
    limit: options.Limit = None,
    time: options.Time = "1mo",
    repeats: Annotated[int, typer.Option(help="Freshly programmed chips, for each measurement.")] = 5,
    seed: Annotated[int, typer.Option(help="Names the chips of the choice; it is validated on others.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a plan that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Choose every layer's target: the least loss under budgets, the least cost under a loss, or under an accuracy."""
    from tilewright.compiler.assignment import assign, assign_for_accuracy
    from tilewright.compiler.assignment.validation import validate
    from tilewright.compiler.sensitivity import measure_sensitivity
    from tilewright.compiler.sensitivity.samples import samples_of
    from tilewright.runtime.plan.files import PLAN
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.atomic_folder import check_destination

    check_destination(new, PLAN, overwrite=force)
    budgets = parse_assignments(at_most, "at-most", example="energy=60uJ")
    share = None if accuracy is None else parse_share(accuracy, "accuracy")
    _check(share, budgets, task, data)
    overrides = parse_assignments(fixed, "assign")
    loaded, given, sizes = load(plan), read_samples(inputs, "inputs"), parse_sizes(at)
    with progress_bar("sensitivity") as advance:
        sensitivity = measure_sensitivity(
            loaded, [criterion], inputs=given, samples=samples, outputs=counted, task=task, data=data, limit=limit,
            time=time, repeats=repeats, seed=seed, on_figure=advance,
        )  # fmt: skip
    search: Search | None = None
    if share is not None:
        assert task is not None and data is not None
        search = assign_for_accuracy(
            loaded, sensitivity, share, task=task, data=data, limit=limit, minimise=minimise or "energy",
            confidence=confidence, time=time, repeats=repeats, seed=seed, sizes=sizes, preset=preset,
            fixed=overrides, on_trial=_say_trial,
        )  # fmt: skip
        assigned = search.assigned
    else:
        assigned = assign(
            loaded, sensitivity, minimise=minimise or "loss", budgets=budgets, method=method, sizes=sizes,
            preset=preset, fixed=overrides,
        )  # fmt: skip
    with progress_bar("validate") as advance:
        taken = samples_of(loaded, given, samples)
        assigned = validate(
            assigned, taken, outputs=counted, time=time, repeats=repeats, seed=seed + 1, on_chip=advance
        )
    _save(assigned.plan, loaded, new, force)
    if as_json:
        print_json(_json(assigned, sensitivity, search, new))
        return
    _print(assigned, new)


def _check(share: float | None, budgets: dict[str, str], task: str | None, data: Path | None) -> None:
    if share is not None and (task is None or data is None):
        raise InputError("--accuracy is measured on labelled data: name them with --task and --data")
    if share is not None and budgets:
        raise InputError("--accuracy searches for the least cost by itself; leave out --at-most")


def _save(plan: Plan, source: Plan, folder: Path, force: bool) -> None:
    """Write the plan, with the figures that were measured for its options, which are the same."""
    from tilewright.compiler.sensitivity.measure import CACHE_FILE
    from tilewright.runtime.measuring.measurements import add_measurements

    kept = source.folder / CACHE_FILE if source.folder is not None else None
    plan.save(folder, overwrite=force)
    add_measurements(kept, folder / CACHE_FILE)


def _say_trial(trial: Trial) -> None:
    on = Counter(trial.choice.values())
    where = ", ".join(f"{count} on {target}" for target, count in on.most_common())
    verdict = "passes" if trial.passes else "fails"
    errors.print(
        f"{where}: A* {trial.normalised:.2%}, at least {trial.lower:.2%}: {verdict} (seed {trial.seed})",
        soft_wrap=True,
    )  # fmt: skip


def _json(assigned: Assigned, sensitivity: Sensitivity, search: Search | None, folder: Path) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "plan": str(folder),
        "assignment": assigned.record.model_dump(mode="json"),
        "targets": assigned.choice,
        "sensitivity": sensitivity.to_json(),
        "trials": [asdict(trial) for trial in search.trials] if search is not None else [],
    }


def _print(assigned: Assigned, folder: Path) -> None:
    from tilewright.compiler.assignment.amounts import readable
    from tilewright.compiler.assignment.problem import UNITS

    record, counts = assigned.record, Counter(assigned.choice.values())
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("assignment", no_wrap=True)
    for name in UNITS:
        table.add_column("predicted loss" if name == "loss" else name, justify="right", no_wrap=True)
    rows = {f"{record.method} (this plan)": assigned.predicted, **assigned.compared}
    for name, figures in rows.items():
        cells = ["none found"] if figures is None else [readable(key, figures[key]) for key in UNITS]
        table.add_row(name, *cells)
    output.print(table)
    for target, count in counts.most_common():
        layers = [layer for layer, chosen in assigned.choice.items() if chosen == target]
        named = f": {', '.join(layers)}" if len(layers) <= MOST_NAMED and len(counts) > 1 else ""
        output.print(f"{count} layers on {target}{named}", soft_wrap=True)
    measured = record.measured
    assert measured is not None
    error = "" if measured.standard_error is None else f" ± {measured.standard_error:.2g}"
    output.print(
        f"predicted loss {assigned.predicted['loss']:.3g} (criterion {record.criterion}); measured divergence "
        f"{measured.divergence:.3g}{error} on {measured.chips} fresh chips, attention units included",
        soft_wrap=True,
    )
    if record.accuracy is not None:
        found = record.accuracy
        error = "" if math.isnan(found.standard_error) else f" ± {found.standard_error:.2f}"
        output.print(
            f"{found.metric} {found.mean:.2f}{error} of {found.digital:.2f} on {found.repeats} fresh chips: "
            f"A* {found.normalised:.2%}, at least {found.lower_bound:.2%} with {found.confidence:.0%} confidence",
            soft_wrap=True,
        )
    output.print(f"plan written to {folder}", soft_wrap=True)
