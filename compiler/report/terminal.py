"""The report in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console

from tilewright.compiler.engineering import counted, engineering, figure_text, sizes_text, spread
from tilewright.compiler.report.accuracy_table import uncertainty_text
from tilewright.compiler.report.column import Format, shown_in
from tilewright.compiler.report.layer_table import LAYERS
from tilewright.compiler.report.plain_console import FIGURES, PlainTable, plain
from tilewright.compiler.report.report import Report
from tilewright.compiler.report.totals import chips_text, measured_on, sizes_that_may_vary
from tilewright.runtime.plan.decisions import UNITS


def print_report(report: Report, console: Console, *, every_weight: bool = False) -> None:
    """Print totals, a line a layer with its reason's number, the reasons, attention products, other weights, notes.

    every_weight: a line for each parameter of the model, in place of a line for each reason.
    """

    def say(line: str, *, style: str = "", soft_wrap: bool = False) -> None:
        console.print(plain(line, style), soft_wrap=soft_wrap)

    say(f"{report.model} ({report.architecture}) on {report.target}", style="bold")
    for part in (_total_lines, _programming_lines, _adapter_lines, _cost_lines, _assignment_lines, _accuracy_lines):
        for line in part(report):
            say(line, soft_wrap=True)
    reasons = list(dict.fromkeys(layer.record.reason for layer in report.layers))
    console.print(_layer_table(report, reasons))
    for number, reason in enumerate(reasons, start=1):
        say(f"  why {number}  {reason}")
    products = Counter((matmul.kind, matmul.operands, matmul.reason) for matmul in report.matmuls)
    for (kind, unit, reason), number in products.items():
        say(f"{counted(number, f'{kind} product')} on {unit}: {reason}")
    console.print(_weight_table(report) if every_weight else _digital_table(report))
    for note in report.notes:
        say(f"changed: {note}", style="yellow")
    for warning in report.warnings:
        say(f"note: {warning}", style="yellow")


def _total_lines(report: Report) -> Iterator[str]:
    """Sums, calibration, sizes, and what was verified: a line for each."""
    if report.tiles_per_chip:
        yield f"  tiles        {report.tiles} on {chips_text(report)}, utilisation {report.utilisation:.1%}"
    yield f"  parameters   {report.parameters:,}: {report.parameters_on_tiles:,} on tiles"
    yield f"               {report.parameters_look_up:,} in look-up tables"
    yield f"               {report.parameters_digital:,} digital"
    yield f"  calibration  {report.calibration_samples} samples, {report.calibration}"
    if report.sizes:
        limits, conditions = sizes_that_may_vary(report)
        yield f"  sizes        {limits} {conditions}".rstrip()
    if report.has_weights:
        yield f"  verified     largest relative error {report.largest_relative_error:.1e} on the ideal target"
    if report.checked_against is not None:
        yield f"  checked      {report.checked_relative_error:.1e} from {report.checked_against}"


def _programming_lines(report: Report) -> list[str]:
    """Ways in which layers are programmed and compensated: a line for each."""
    ways = Counter(
        (layer.method.name, layer.devices_per_weight, layer.drift_compensation or "none", layer.clip_deviations)
        for layer in report.layers
        if layer.method is not None
    )
    lines = []
    for (method, devices, compensation, clip), layers in ways.items():
        cut = f", weights cut at {clip:g} root mean squares" if clip is not None else ""
        what = f"{method}, {devices} devices a weight; drift compensation {compensation}{cut}"
        lines.append(f"  programming  {what} ({counted(layers, 'layer')})")
    digital = Counter(layer.record.target for layer in report.layers if layer.method is None)
    return lines + [f"  digital      {unit} ({counted(count, 'layer')})" for unit, count in digital.items()]


def _adapter_lines(report: Report) -> Iterator[str]:
    """Adapters: a line each."""
    for record in report.adapters:
        pairs, replaced = record.low_rank, [matrix.module for matrix in record.replacements]
        ranks = "/".join(str(rank) for rank in sorted({pair.rank for pair in pairs}))
        parts = [f"rank {ranks} beside {counted(len({pair.layer for pair in pairs}), 'layer')}"] if pairs else []
        parts += [f"digital in place of {', '.join(replaced)}"] if replaced else []
        yield f"  adapter      {record.name}: {'; '.join(parts)}; {record.parameters:,} parameters"


def _cost_lines(report: Report) -> list[str]:
    cost = report.cost
    if cost is None:
        return ["  cost         nothing is known of this hardware's cost"]
    figures = f"{engineering(cost.energy_nj or None, 'nJ')}, {engineering(cost.latency_ns or None, 'ns')}"
    area = f", {cost.area_mm2:.4g} mm2 of tiles" if cost.area_mm2 else ""
    gaps = f"; {len(cost.not_modelled)} things are not modelled, see: tilewright cost" if cost.not_modelled else ""
    run = f"{sizes_text(cost.sizes)}; {cost.preset}, {cost.status}"
    return [f"  cost         {figures}{area} a run ({run}{gaps})"]


def _assignment_lines(report: Report) -> list[str]:
    found = report.assignment
    if found is None:
        return []
    limits = ", ".join(f"{name} at most {figure_text(value, UNITS[name])}" for name, value in found.budgets.items())
    line = (
        f"  assignment   least {found.minimise}{f' with {limits}' if limits else ''}, {found.method}; predicted loss "
    )
    line += f"{found.predicted['loss']:.3g} by {found.criterion}" if "loss" in found.predicted else "unknown"
    if found.measured is not None:
        line += f", measured divergence {found.measured.divergence:.3g}"
    if found.accuracy is not None:
        best, least = found.accuracy.normalised, found.accuracy.lower_bound
        over = measured_on(found.accuracy.examples, found.accuracy.repeats)
        line += f", A* {best:.2%} (at least {least:.2%}) of {found.accuracy.metric}, {over}"
    return [line]


def _accuracy_lines(report: Report) -> Iterator[str]:
    """Accuracy over time: a line an evaluation."""
    for found in report.evaluations:
        over = measured_on(found["examples"], found["repeats"])
        points = [f"{p['mean']:.2f}{spread(p['standard_error'])} after {p['time']}" for p in found["points"]]
        compensation = "" if found["drift_compensation"] else ", no drift compensation"
        compensation += f", adapter {found['adapter']}" if found.get("adapter") else ""
        line = f"{found['metric']} {', '.join(points)}; digital {found['digital']:.2f}"
        for last in found["points"][-1:]:
            line += "".join(f"; {text}" for text in [uncertainty_text(found, last)] if text)
        yield f"  accuracy     {line} ({found['task']}, {over}, seed {found['seed']}{compensation})"


def _layer_table(report: Report, reasons: list[str]) -> PlainTable:
    """Table of layers: name, figures, marks, words, number of the reason; methods only if there are several."""
    several = len({layer.method.name for layer in report.layers if layer.method}) > 1
    name, *others = shown_in(LAYERS, Format.TERMINAL)
    columns = sorted(
        (column for column in others if several or column.key != "programming"), key=lambda column: not column.is_narrow
    )
    table = PlainTable([name.title])
    for column in columns:
        table.add_column(column.title, justify="right" if column.is_narrow else "left", no_wrap=True)
    table.add_column("why", **FIGURES)
    for layer in report.layers:
        cells = [column.cell(layer).text for column in (name, *columns)]
        table.add_row(*cells, str(reasons.index(layer.record.reason) + 1))
    return table


def _weight_table(report: Report) -> PlainTable:
    table = PlainTable(["weight"], ["shape"], ["place", "layer, or why not"])
    for weight in report.weights:
        where = ", ".join(weight.layers) or weight.reason
        table.add_row(weight.name, "x".join(map(str, weight.shape)), weight.place, where)
    for tensor in report.unused_tensors:
        shape = "x".join(map(str, tensor.shape))
        table.add_row(tensor.name, shape, "unused", "in the model's files, in no part of the network")
    return table


def _digital_table(report: Report) -> PlainTable:
    """Table of parameters that are not on tiles, by reason."""
    groups: dict[tuple[str, str], list[int]] = {}
    for weight in report.weights:
        if weight.place != "analog":
            groups.setdefault((weight.place, weight.reason), []).append(weight.parameters)
    table = PlainTable(["not on tiles"], ["weights", "parameters"], ["why"])
    for (place, reason), sizes in groups.items():
        table.add_row(place, str(len(sizes)), f"{sum(sizes):,}", reason)
    return table
