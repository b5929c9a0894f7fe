"""sweep() and ablate(): one network on variants of a chip, each measured as ``evaluate`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tilewright.compiler.driver import attention_units, compile, wanted_programming
from tilewright.compiler.studies.effects import ablations
from tilewright.compiler.studies.variations import Variant, changed_chip, values_of, variants_of
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluate import evaluate
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.measuring.workers import Workers
from tilewright.runtime.plan.plan import Plan, check_is_plan, load
from tilewright.runtime.tasks.finding import AnyTask
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.loading import DEFAULT_CHIP, load_chip
from tilewright.targets.shown import shown
from tilewright.targets.spec import Chip, Target

OF_COMPILE = ("target", "attention_bits", "programming")
"""Keys that a study of a model may vary beside those of a target: arguments of ``compile``."""
TIMES = ("1s", "1mo")
"""Times since programming of studies, where none are named."""


@dataclass(frozen=True)
class StudyPoint:
    """One variant of a study.

    name: in tables. changes: keys and values. evaluation: of the network on its chips. plan: SHA-256 of its plan, by
    which its measurements are found in a file of ``results``.
    """

    name: str
    changes: Mapping[str, Any]
    evaluation: Evaluation
    plan: str = ""


@dataclass(frozen=True)
class Study:
    """Study of one network on variants of a chip.

    title: what it is of. varied: keys whose values the points combine, in order; empty where points have names alone.
    points: in the order that they were asked for.
    """

    title: str
    varied: list[str]
    points: list[StudyPoint]

    @property
    def notes(self) -> list[str]:
        """Sentences on what was kept of the evaluations, each once."""
        return list(dict.fromkeys(note for one in self.points for note in one.evaluation.further_notes))

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        points = [
            {
                "name": one.name,
                "changes": dict(one.changes),
                "plan": one.plan,
                "evaluation": one.evaluation.to_json(),
            }
            for one in self.points
        ]
        return {"title": self.title, "varied": self.varied, "points": points}

    def __repr__(self) -> str:
        """A line for a terminal."""
        shown = "; ".join(f"{one.name}: {one.evaluation.points[-1].mean:.2f}" for one in self.points[:3])
        more = f"; and {len(self.points) - 3} more" if len(self.points) > 3 else ""
        return f"Study({self.title}: {shown}{more})"


def sweep(
    source: str | Path | Plan,
    vary: Mapping[str, str | Sequence[Any]],
    task: AnyTask | None = None,
    data: str | Path | None = None,
    *,
    target: str | Path | Target | Chip | None = None,
    calibration: Sequence[str] | Mapping[str, Any] | None = None,
    times: Sequence[str | float] = TIMES,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_measurement: OnProgress | None = None,
    **how: Any,
) -> Study:
    """Measure a network on all combinations of values of a target's keys.

    source: a plan, or its folder, which is simulated on changed hardware as it is, with the ranges and places that it
    has; or a model's folder, hub name or .onnx file, which is compiled for each variant and only traced once. vary:
    values by key, such as ``{"tile.adc.bits": "4..10", "device.programming.scale": [0, 0.5, 1]}``: keys as of
    ``compile --set``, and for a model also target, attention_bits and programming. target: of a model; pcm-512 if None.
    calibration: of a model, as of ``compile``. task, data, times, workers, executor, and all else as of ``evaluate``.
    on_measurement: called after each measurement with (done, of how many, what).

    Raises ``InputError`` for keys that the target has not, values that it does not take, and as ``evaluate`` does.
    """
    if not isinstance(vary, Mapping):
        raise InputError(f"what varies is {shown(vary)}; give values by key, such as {{'tile.adc.bits': '4..10'}}")
    values = {key: values_of(key, given) for key, given in vary.items()}
    variants = variants_of(values)
    if "target" in values and target is not None:
        raise InputError("the target varies, so no other one counts; leave target out")
    made = _maker(source, target, calibration)
    name = made.network if "target" in values else made.name
    title, how = f"{', '.join(values)} of {name}", {"times": times, **how}
    return _measured(title, list(values), variants, made, task, data, workers, executor, on_measurement, how)


def ablate(
    plan: Plan,
    task: AnyTask | None = None,
    data: str | Path | None = None,
    *,
    times: Sequence[str | float] = TIMES,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_measurement: OnProgress | None = None,
    **how: Any,
) -> Study:
    """Measure what each effect of a plan's chip costs: all of them on, each off, each alone, and none.

    Those of devices and those of the periphery are on together too. The plan stays as it is; only the hardware that it
    is simulated on changes. task, data, workers, executor, and all else as of ``evaluate``.

    Raises ``InputError`` for a chip without tiles, and as ``evaluate`` does.
    """
    check_is_plan(plan)
    made = _maker(plan, None, None)
    title, how = f"effects of {made.name}", {"times": times, **how}
    return _measured(title, [], ablations(made.chip), made, task, data, workers, executor, on_measurement, how)


@dataclass(frozen=True)
class _Maker:
    """Maker of the plan of each variant. name: of the network on its chip. network: its own name."""

    name: str
    network: str
    chip: Chip
    plan: Callable[[Mapping[str, Any]], Plan]
    check: Callable[[Mapping[str, Any]], object]


def _maker(source: str | Path | Plan, target: Any, calibration: Any) -> _Maker:
    is_folder = isinstance(source, str | Path) and (Path(source) / "plan.json").is_file()
    if not isinstance(source, Plan) and not is_folder:
        return _of_model(source, target, calibration)
    if target is not None or calibration is not None:
        raise InputError("a plan has its target and its ranges; leave target and calibration out, or name a model")
    return _of_plan(source if isinstance(source, Plan) else load(source))


def _of_plan(plan: Plan) -> _Maker:
    """Maker of variants of a plan's chip."""
    chip, network = plan.document.chip, plan.document.model.name

    def on(changes: Mapping[str, Any]) -> Plan:
        of_compile = next((key for key in changes if key in OF_COMPILE), None)
        if of_compile is not None:
            raise InputError(f"{of_compile} of a plan is settled; name a model to vary it")
        if not changes:
            return plan
        changed = changed_chip(chip, changes)
        try:
            return plan.on(changed)
        except InputError as error:
            keys = ", ".join(changes)
            raise InputError(f"{error}: a plan stays as it is; name its model to compile it for each {keys}") from error

    return _Maker(f"{network} on {chip.name}", network, chip, on, on)


def _of_model(source: str | Path, target: Any, calibration: Any) -> _Maker:
    """Maker of variants of what a model is compiled for."""
    chip, name = load_chip(DEFAULT_CHIP if target is None else target), Path(source).name

    def options(changes: Mapping[str, Any]) -> dict[str, Any]:
        of_target = {key: value for key, value in changes.items() if key not in OF_COMPILE}
        own = {key: value for key, value in changes.items() if key in OF_COMPILE}
        for key in of_target:
            if "." not in key and get_close_matches(key, OF_COMPILE, 1):
                raise InputError(f"a model has no {shown(key)} to vary; {nearest(key, OF_COMPILE)}")
        return own | {"target": changed_chip(load_chip(own.get("target", chip)), of_target)}

    def compiled(changes: Mapping[str, Any]) -> Plan:
        return compile(source, calibration=calibration, **options(changes))

    def check(changes: Mapping[str, Any]) -> None:
        wanted = options(changes)
        attention_units(wanted.get("attention_bits", "target"), wanted["target"])
        wanted_programming(wanted.get("programming"))

    return _Maker(f"{name} on {chip.name}", name, chip, compiled, check)


def _measured(
    title: str,
    varied: list[str],
    variants: Sequence[Variant],
    made: _Maker,
    task: AnyTask | None,
    data: str | Path | None,
    workers: int | Workers,
    executor: Executor | None,
    on_measurement: OnProgress | None,
    how: Mapping[str, Any],
) -> Study:
    """The study, variant by variant, on workers that are kept from one to the next."""
    for variant in variants:  # what is wrong with the last one is said before the first is measured
        made.check(variant.changes)
    with ExitStack() as stack:
        kept = workers if isinstance(workers, Workers) else stack.enter_context(Workers(workers))
        points = measured_points(variants, made.plan, task, data, kept, executor, on_measurement, how)
    return Study(title, varied, points)


def measured_points(
    variants: Sequence[Variant],
    plan_of: Callable[[Mapping[str, Any]], Plan],
    task: AnyTask | None,
    data: str | Path | None,
    workers: Workers,
    executor: Executor | None,
    on_measurement: OnProgress | None,
    how: Mapping[str, Any],
    enough: Callable[[StudyPoint], bool] | None = None,
) -> list[StudyPoint]:
    """Points of a study, measured one after another.

    plan_of: the plan of a variant, by its changes. enough: True of a point after which no other one is measured.
    """
    points = []
    for number, variant in enumerate(variants):

        def tell(done: int, count: int, what: str, number: int = number, name: str = variant.name) -> None:
            if on_measurement:
                on_measurement(number * count + done, len(variants) * count, f"{name}: {what}")

        plan = plan_of(variant.changes)
        found = evaluate(plan, task, data, workers=workers, executor=executor, on_measurement=tell, **how)
        points.append(StudyPoint(variant.name, variant.changes, found, plan.sha256))
        if enough is not None and enough(points[-1]):
            break
    return points
