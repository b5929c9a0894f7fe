"""Measuring of all criteria for all layers and targets, kept as it is made, and how alike the criteria rank."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations, count, product
from pathlib import Path
from typing import Any

from tilewright.compiler.sensitivity.criteria import (
    Criterion,
    MeasuredDivergence,
    MeasuredTask,
    NeuronNorm,
    OutputNoise,
    WeightError,
)
from tilewright.compiler.sensitivity.figure_work import FigureWork, SentSetting, SettingSource, measured_figure
from tilewright.compiler.sensitivity.product import ProductError
from tilewright.compiler.sensitivity.propagated import PropagatedError
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.chip_work import TaskSource
from tilewright.runtime.measuring.measurements import Measured, MeasurementLog, kept_beside, read_measurements
from tilewright.runtime.measuring.sent_plan import plan_for, session_memory
from tilewright.runtime.measuring.workers import Workers, do_all
from tilewright.runtime.plan.files import readable_json
from tilewright.runtime.plan.plan import Plan, chosen_plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.runtime.tasks.finding import AnyTask
from tilewright.targets.draws_version import VERSION
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_repeats, check_seed, check_whole
from tilewright.targets.times import parse_time

ALL: tuple[type[Criterion], ...] = (
    MeasuredDivergence, MeasuredTask, OutputNoise, PropagatedError, ProductError, WeightError, NeuronNorm,
)  # fmt: skip
CRITERIA = {criterion.name: criterion for criterion in ALL}
DEFAULT = ("divergence", "gradient")
CACHE_FILE = "sensitivity.jsonl"
FEWEST_LAYERS = 3
"""Fewest layers that a rank correlation can be given of."""


@dataclass(frozen=True)
class LayerFigure:
    """One criterion's figure of one layer on one target: larger where the outputs suffer more.

    value: in the unit that ``Sensitivity.criteria`` tells.
    """

    layer: str
    target: str
    criterion: str
    value: float


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over ``layers`` layers between two criteria, on one target.

    target: its name. one, other: the criteria. layers: how many have both figures. correlation: -1 to 1.
    """

    target: str
    one: str
    other: str
    layers: int
    correlation: float


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivity of the outputs to each layer on each of its targets, as ``measure_sensitivity`` measures it.

    seconds: after programming. repeats, seed: chips. samples: how many counted. source: where they are from.
    ``to_json`` keeps these names.

    figures: of each layer, target and criterion. notes: why they were not kept in the plan's folder, if they were not.
    """

    seconds: float
    repeats: int
    seed: int
    samples: int
    source: str
    criteria: dict[str, str]
    """Meaning of each criterion's figures, by its name."""
    figures: list[LayerFigure]
    notes: list[str] = field(default_factory=list)

    def of(self, criterion: str) -> dict[tuple[str, str], float]:
        """Figures of one criterion: (layer, target) -> figure."""
        return {(f.layer, f.target): f.value for f in self.figures if f.criterion == criterion}

    def correlations(self) -> list[Correlation]:
        """Rank correlations of the criteria over layers, on each target where a figure is not the same for all."""
        targets = dict.fromkeys(figure.target for figure in self.figures)
        pairs = combinations(self.criteria, 2)
        found = (self._correlation(target, *pair) for target, pair in product(targets, pairs))
        return [correlation for correlation in found if correlation is not None]

    def _correlation(self, target: str, one: str, other: str) -> Correlation | None:
        figures = [
            {layer: value for (layer, on), value in self.of(name).items() if on == target and math.isfinite(value)}
            for name in (one, other)
        ]
        both = [layer for layer in figures[0] if layer in figures[1]]
        columns = [[values[layer] for layer in both] for values in figures]
        if len(both) < FEWEST_LAYERS or any(len(set(column)) == 1 for column in columns):
            return None
        from scipy.stats import spearmanr  # takes a second to load, and reports read kept figures alone

        return Correlation(target, one, other, len(both), float(spearmanr(*columns).statistic))

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {**asdict(self), "correlations": [asdict(correlation) for correlation in self.correlations()]}

    def __repr__(self) -> str:
        """A line for a terminal."""
        layers = {figure.layer for figure in self.figures}
        targets = ", ".join(dict.fromkeys(figure.target for figure in self.figures))
        return (
            f"Sensitivity({', '.join(self.criteria)} of {len(layers)} layers on {targets}; {self.repeats} chip(s), "
            f"{self.samples} samples)"
        )


def measure_sensitivity(
    plan: Plan,
    criteria: Sequence[str] | None = None,
    *,
    inputs: Sequence[str] | Mapping[str, Any] | None = None,
    samples: int = 32,
    outputs: Sequence[str] | None = None,
    task: AnyTask | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    task_options: Mapping[str, Any] | None = None,
    time: str | float = "1mo",
    repeats: int = 3,
    seed: int = 0,
    adapter: str | None = None,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_figure: OnProgress | None = None,
) -> Sensitivity:
    """Measure how much the plan's outputs suffer from each layer, on each target that it may run on.

    criteria: "divergence", "task", "output-noise", "gradient", "product-error", "weight-error", "neuron-norm";
    divergence and gradient if None. inputs: texts, or arrays by input name, of which ``samples`` count;
    tilewright's own sentences if None. outputs: those that count; all if None. task, data, limit, task_options: as
    of ``evaluate``, for the criterion "task". time: since programming, in seconds or as text ("1mo"). repeats,
    seed: chips; all layers and targets are measured on chips of the same names. adapter: one of the plan's, that
    runs beside every layer. Figures are kept in the plan's folder, if it has one that can be written, and those
    that are there are not measured again. workers, executor: as of ``evaluate``; a figure is measured on one of
    them. on_figure: called after each figure with (done, of how many, what).

    Raises ``InputError`` for unknown criteria, inputs that do not fit the plan, and numbers out of range.
    """
    plan = chosen_plan(plan, adapter)
    plan.require_weights()
    criteria = DEFAULT if criteria is None else criteria
    if not criteria:
        raise InputError(f"no criterion was given; known: {', '.join(CRITERIA)}")
    for name in criteria:
        if name not in CRITERIA:
            raise InputError(f"there is no criterion {name!r}; {nearest(name, CRITERIA)}")
    check_repeats(repeats)
    check_whole("samples", samples)
    check_seed(seed)
    by_task = any(CRITERIA[name].needs_task for name in criteria)
    if task is None and by_task:
        raise InputError(f"criterion {MeasuredTask.name!r} needs a task and its data")
    source = SettingSource(inputs, samples, outputs, parse_time(time), repeats, seed)
    if task is not None:
        of_task = TaskSource(task, None if data is None else Path(data).absolute(), limit, task_options)
        prepared = of_task.made(plan)
        source = replace(source, task=of_task, labels=prepared.fingerprint())
        setting = source.made(plan, prepared)
    else:
        setting = source.made(plan)
    made = [CRITERIA[name](setting) for name in dict.fromkeys(criteria)]
    path, unkept = kept_beside(plan, CACHE_FILE)
    log = MeasurementLog(path, {"plan": options_sha256(plan), "seconds": setting.seconds, "seed": seed})
    figures = _figures(made, source, log, workers, executor, on_figure)
    taken = setting.samples() if any(_samples_count(criterion) for criterion in made) else None
    return Sensitivity(
        seconds=setting.seconds,
        repeats=repeats,
        seed=seed,
        samples=taken.size if taken else 0,
        source=taken.source if taken else "the task's data" if task is not None else "none",
        criteria={criterion.name: f"{criterion.meaning}, {criterion.unit}" for criterion in made},
        figures=figures,
        notes=[] if unkept is None else [f"the figures were not kept: {unkept}"],
    )


def _samples_count(criterion: Criterion) -> bool:
    """True if a criterion runs the samples."""
    return not criterion.needs_task and criterion.name not in (WeightError.name, NeuronNorm.name)


def _figures(
    criteria: list[Criterion],
    source: SettingSource,
    log: MeasurementLog,
    workers: int | Workers,
    executor: Executor | None,
    on_figure: OnProgress | None,
) -> list[LayerFigure]:
    setting = criteria[0].setting
    layers = setting.plan.document.layers
    wanted = [(criterion, layer, target) for criterion in criteria for layer in layers for target in targets_of(layer)]
    names = [_named(*one) for one in wanted]
    left = [number for number, name in enumerate(names) if log.known(name) is None]
    done = count(1)

    def tell(number: int) -> None:
        if on_figure:
            criterion, layer, target = wanted[number]
            on_figure(next(done), len(wanted), f"{criterion.name} of {layer.name} on {target}")

    for number in sorted({*range(len(wanted))} - {*left}):
        tell(number)
    with plan_for(setting.plan, source, len(left), workers, executor) as there:
        sent = None if there is None else SentSetting(there, source)
        works = []
        for number in left:
            criterion, layer, target = wanted[number]
            where = criterion if sent is None else (sent, type(criterion))
            works.append(FigureWork(where, layer.name, target))
        for place, value in do_all(
            measured_figure, works, workers=workers, executor=executor, memory=session_memory(setting.plan)
        ):
            log.add(names[left[place]], Measured(value))
            tell(left[place])
    return [
        LayerFigure(layer.name, target, criterion.name, log.kept(name).value)
        for (criterion, layer, target), name in zip(wanted, names, strict=True)
    ]


def _named(criterion: Criterion, layer: LayerRecord, target: str) -> dict[str, Any]:
    """Name of a figure among measurements."""
    setting = criterion.setting
    name: dict[str, Any] = {"criterion": criterion.name, "layer": layer.name, "target": target}
    name["repeats"] = len(setting.chips(target))
    if criterion.needs_task:
        name["data"] = setting.labels
    elif _samples_count(criterion):
        name |= {"samples": setting.samples().sha256, "outputs": setting.outputs}
    return name


def targets_of(layer: LayerRecord) -> list[str]:
    """The targets that a layer may run on."""
    return [option.target for option in layer.options]


def kept_figures(plan: Plan) -> dict[str, dict[str, float]]:
    """Figures kept for each layer on the target that it is on, by criterion and layer; nothing is measured."""
    path = plan.folder / CACHE_FILE if plan.folder is not None else None
    on, sha256 = {layer.name: layer.target for layer in plan.document.layers}, options_sha256(plan)
    found: dict[str, dict[str, float]] = {}
    for entry in read_measurements(path):
        criterion, layer = str(entry.get("criterion")), str(entry.get("layer"))  # whatever a stranger put there
        is_ours = entry.get("plan") == sha256 and entry.get("draws") == VERSION
        if is_ours and criterion in CRITERIA and layer in on and entry.get("target") == on[layer]:
            found.setdefault(criterion, {})[layer] = float(entry["value"])
    return found


def options_sha256(plan: Plan) -> str:
    """Hash of what sensitivities depend on: network, chip and options, not where layers are at present."""
    document = plan.document
    content: dict[str, Any] = {
        "weights": {name: record.model_dump(mode="json") for name, record in document.tensors.items()},
        "file": document.weights.sha256 if document.weights is not None else None,
        "graph": [node.model_dump(mode="json") for node in document.graph],
        **({"loops": [loop.model_dump(mode="json") for loop in document.loops]} if document.loops else {}),
        "chip": document.chip.model_dump(mode="json"),
        "programming": [method.model_dump(mode="json") for method in document.programming],
        "layers": [
            [
                layer.name,
                [use.model_dump(mode="json")["sample_axis"] for use in layer.uses],
                [option.model_dump(mode="json", exclude={"decisions"}) for option in layer.options],
            ]
            for layer in document.layers
        ],
    }
    if plan.adapter_record is not None:
        content["adapter"] = plan.adapter_record.sha256
    return hashlib.sha256(readable_json(content).encode()).hexdigest()
