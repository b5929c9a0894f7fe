"""Accuracy over time: times x freshly programmed chips x a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.chip_work import Bench, Settings, TaskSource
from tilewright.runtime.measuring.comparison import Comparison
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.measuring.iso_accuracy import iso_figure
from tilewright.runtime.measuring.kept_evaluations import keep_evaluation
from tilewright.runtime.measuring.loggers import AnyLogger, log_evaluation, make_loggers
from tilewright.runtime.measuring.measured_chips import MeasuredChips
from tilewright.runtime.measuring.measurements import MeasurementLog
from tilewright.runtime.measuring.resampling import RESAMPLES, check_resamples
from tilewright.runtime.measuring.stopping import FEWEST, ISO, parse_until
from tilewright.runtime.measuring.workers import Workers
from tilewright.runtime.plan.plan import Plan, chosen_plan
from tilewright.runtime.tasks import Metric, Task
from tilewright.runtime.tasks.finding import AnyTask, make_task
from tilewright.runtime.tasks.given import GivenTask, Readout
from tilewright.targets.errors import InputError
from tilewright.targets.limits import LARGEST, MOST_REPEATS, check_flags, check_repeats, check_seed, check_whole
from tilewright.targets.paths import shown_path
from tilewright.targets.shares import parse_share
from tilewright.targets.shown import shown
from tilewright.targets.times import parse_time

DEFAULT_TASK = "stsb"
"""Task of data for which none is named."""
DEFAULT_TIMES = ("1s", "1h", "1d", "1w", "1mo")


def evaluate(
    plan: Plan,
    task: AnyTask | None = None,
    data: str | Path | None = None,
    *,
    task_options: Mapping[str, Any] | None = None,
    metric: Metric | Callable[[Any, Any], float] | None = None,
    inputs: Any = None,
    labels: Any = None,
    readout: Readout | None = None,
    times: Sequence[str | float] = DEFAULT_TIMES,
    repeats: int = 5,
    chips: range | None = None,
    until_error: float | str | None = None,
    fewest: int = FEWEST,
    seed: int = 0,
    adapter: str | None = None,
    limit: int | None = None,
    batch_size: int = 64,
    drift_compensation: bool = True,
    results: str | Path | Sequence[str | Path] | None = None,
    resamples: int = RESAMPLES,
    iso: float | str = "99%",
    log: AnyLogger | Sequence[AnyLogger] | None = None,
    layer_by_layer: bool = False,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_measurement: OnProgress | None = None,
) -> Evaluation:
    """Measure a task on the digital reference and on ``repeats`` freshly programmed chips at each time.

    task: a task's name such as "glue/sst2" or "lm-eval:piqa" (docs/tasks.md lists them), FILE.py:CLASS, or a ``Task``
    of one's own; stsb if None. data: its labelled data, a file or a folder. task_options: the task's own, by name, such
    as ``{"stride": 512}``. In place of all three: metric, a ``Metric`` or a function of predictions and labels; inputs,
    arrays by input name with samples along the first dimension, or a ``DataLoader`` or ``datasets.Dataset`` that gives
    inputs and labels; labels, one an example; readout, a function from a batch's outputs by name to its predictions,
    the first output if None. times: since programming, in seconds or as text ("1h"). chips: their numbers, such as
    range(5, 10) for one part of many, in place of the first ``repeats``. until_error: add chips until the standard
    error is so small (0.1 in the metric's unit, "1%" of the mean), or iso-accuracy is decided ("iso"), at each time;
    from ``fewest`` to ``repeats`` of them. seed: names the chips. adapter:
    one of the plan's, for the task that it was trained on; the chips are the same. limit: only the first so many
    examples. batch_size: samples at once, which change no result. drift_compensation: False leaves
    the drift as it is. results: a file of measurements, one JSON object a line, that is added to as they are made;
    those already in it, of the same plan, data and settings, are not made again; of several files the others are only
    read. resamples: of the examples, on which
    the metric is computed once more to tell what other examples would give; 0 leaves that unknown. iso: A* that
    iso-accuracy asks for, "99%" or 0.99. log: "wandb", "tensorboard", "mlflow", or an ``EvaluationLogger`` of one's
    own; or several. What is found is kept in the plan's folder, if it has one, for reports to show; where that fails,
    a note says why. layer_by_layer: see ``Session``. workers: processes that measure chips side by side, with the same
    bits whatever their number; a program that has several begins under ``if __name__ == "__main__"``. executor: any of
    ``concurrent.futures``, dask's among them, in their place. on_measurement: called after each measurement with (done,
    of how many, what).

    Raises ``InputError`` for an unknown task, data that do not fit, numbers out of range, or a logger that is not
    installed.
    """
    plan = chosen_plan(plan, adapter)
    plan.require_weights()
    check_repeats(repeats)
    numbers = range(repeats) if chips is None else _checked(chips)
    check_whole("fewest", fewest, least=2)
    until = parse_until(until_error, len(numbers), fewest)
    check_whole("batch size", batch_size)
    check_seed(seed)
    check_flags(drift_compensation=drift_compensation, layer_by_layer=layer_by_layer)
    check_resamples(resamples)
    if not (executor is None or callable(getattr(executor, "submit", None))):
        raise InputError(f"executor is {shown(executor)}; give one of concurrent.futures, or of dask")
    wanted, loggers = parse_share(iso, "iso"), make_loggers(log)
    seconds = {str(time): parse_time(time) for time in times}
    if not seconds:
        raise InputError(f"no times were given; write for example {','.join(DEFAULT_TIMES)}")
    if task is None and metric is None:
        task = DEFAULT_TASK
    prepared = _prepared(plan, task, data, limit, task_options, metric, inputs, labels, readout)
    name = task if isinstance(task, str) else type(prepared).__name__
    compensations = {tiles.target.drift_compensation for tiles in plan.document.chip.tiles}
    compensates = drift_compensation and bool(compensations - {"none"})
    fingerprint = prepared.fingerprint()
    how = prepared.metric
    settings: dict[str, Any] = {"plan": plan.sha256, "task": name, "data": fingerprint}
    settings |= {"metric": how.name, "metric_version": how.version}
    record = plan.adapter_record
    if record is not None:
        settings |= {"adapter": record.name, "adapter_sha256": record.sha256}
    files = _paths(results)
    written = files[0] if files else None
    if until is not None and until.kind == ISO and how.chance is None:
        raise InputError(
            f"until_error is {ISO!r}, and iso-accuracy of metric {how.name!r} needs to know chance: give "
            "Metric(..., chance=...)"
        )
    kept = MeasurementLog(written, settings, files[1:])
    bench = Bench(plan, prepared, Settings(seed, compensates, layer_by_layer, batch_size, resamples))
    source = TaskSource(
        prepared if task is None else task, None if data is None else Path(data).absolute(), limit, task_options
    )
    measured = MeasuredChips(
        bench, source, kept, seconds, workers=workers, executor=executor, on_measurement=on_measurement
    )
    asked = dict.fromkeys(seconds, numbers if until is None else numbers[: until.fewest])
    while True:
        measured.measure(asked)
        compared = Comparison(how, prepared.size, measured.digital, measured.by_time(asked), resamples)
        points = {time: compared.point(time, at, wanted) for time, at in seconds.items()}
        more = until.more(points) if until is not None else {}
        if not more:
            break
        asked |= {time: numbers[:count] for time, count in more.items()}
    digital = measured.digital.value
    found = Evaluation(
        name, how.name, how.chance, how.larger_is_better, fingerprint, prepared.size, seed,
        max(len(chosen) for chosen in asked.values()), compensates, digital, list(points.values()),
        compared.digital_over_examples, compared.resamples, compared.left_out, wanted,
        iso_figure(how, digital, wanted), plan.adapter, record.sha256 if record is not None else None,
        [*compared.notes, *plan.notes_on_seeds, *kept.notes], numbers.start,
    )  # fmt: skip
    unkept = keep_evaluation(plan, found.to_json())
    if unkept is not None:
        elsewhere = "--results FILE keeps it elsewhere" if written is None else f"{shown_path(written)} has its figures"
        found = replace(found, further_notes=[*found.further_notes, f"nothing was kept: {unkept}; {elsewhere}"])
    log_evaluation(loggers, found, plan)
    return found


def _checked(chips: range) -> range:
    """Chips by number. Raises ``InputError`` unless they are some, one after another."""
    if not isinstance(chips, range) or chips.step != 1 or chips.start < 0 or not chips:
        raise InputError(f"chips are {chips!r}; they must be numbers from 0 one after another, such as range(5, 10)")
    if chips.stop > LARGEST or len(chips) > MOST_REPEATS:
        raise InputError(
            f"chips are {chips.start}:{chips.stop}, allowed are {MOST_REPEATS:,} of them at once, up to {LARGEST}"
        )
    return chips


def _paths(results: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """Files of measurements: the first is added to, the others are read."""
    if results is None:
        return []
    found = [Path(results)] if isinstance(results, str | Path) else [Path(one) for one in results]
    if not found:
        raise InputError("results name no file; leave them out, or name one to add to")
    return found


def _prepared(
    plan: Plan,
    task: AnyTask | None,
    data: str | Path | None,
    limit: int | None,
    task_options: Mapping[str, Any] | None,
    metric: Metric | Callable[[Any, Any], float] | None,
    inputs: Any,
    labels: Any,
    readout: Readout | None,
) -> Task:
    if metric is None:
        if inputs is not None or labels is not None:
            raise InputError("inputs and labels need a metric")
        if readout is not None:
            raise InputError("readout is of inputs and labels that are given; a task has its own")
        assert task is not None
        return make_task(plan, task, data, limit, task_options)
    if task is not None or data is not None or limit is not None or task_options:
        raise InputError(
            "a metric is measured on inputs and labels; task, data and limit are something else, and so is task_options"
        )
    if inputs is None:
        raise InputError("a metric needs inputs, and their labels")
    return GivenTask(plan, metric, inputs, labels, readout)
