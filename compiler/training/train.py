"""train(): a network trained for a chip on a task that evaluate knows, by transformers' Trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tilewright.compiler.driver import AttentionBits, attention_units
from tilewright.compiler.frontends.training_record import trained_for
from tilewright.compiler.mapping.overrides import EVERY_LAYER
from tilewright.compiler.training.adapters import for_adapters
from tilewright.compiler.training.checkpoints import (
    last_checkpoint,
    no_trace_of_a_failure,
    remove_checkpoints,
    write_settings,
)
from tilewright.compiler.training.chip_evaluation import Measuring
from tilewright.compiler.training.learners import Learner, adapter_beside, whole_network
from tilewright.compiler.training.prepare import check_is_analog
from tilewright.compiler.training.starting_model import StartingModel, starting_model, teacher_of
from tilewright.compiler.training.task_data import TrainingData
from tilewright.compiler.training.trained_folder import TRAINED, add_to_record, write_record
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.plan.base_weights import BASE, marks_of
from tilewright.runtime.plan.plan import Plan, load
from tilewright.runtime.storage.atomic_folder import atomic_folder, check_destination
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_flags, check_whole
from tilewright.targets.loading import DEFAULT_CHIP, load_chip, load_recipe
from tilewright.targets.paths import as_path
from tilewright.targets.quantity import is_finite
from tilewright.targets.shown import shown
from tilewright.targets.spec import Chip, Recipe, Target
from tilewright.targets.times import parse_time

RECORDED = (
    "attention_bits", "epochs", "steps", "learning_rate", "batch_size", "accumulate", "limit", "teacher", "adapter_of",
)  # fmt: skip
"""Settings of a training that its record has, beside the recipe; those that are null were the recipe's."""


@dataclass(frozen=True)
class Trained:
    """A network that was trained for a chip, or an adapter of one.

    folder: HuggingFace's files, with the ranges and channel scales beside the weights; ``compile`` takes it. Of an
    adapter peft's files. device: where it was trained, as torch names it. steps: of
    the optimiser. loss: of the last steps. best_step: the step whose weights were best on the chip, and were kept; None
    if it was not measured meanwhile. evaluation: of the network in the folder, on chips; None if not asked for.
    evaluations: those on the way, each with its step. notes: sentences on what was left out.
    """

    folder: Path
    device: str
    steps: int
    loss: float
    best_step: int | None
    evaluation: Evaluation | None
    evaluations: list[dict[str, Any]]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "folder": str(self.folder),
            "device": self.device,
            "steps": self.steps,
            "loss": self.loss,
            "best_step": self.best_step,
            "evaluation": None if self.evaluation is None else self.evaluation.to_json(),
            "evaluations": self.evaluations,
            "notes": self.notes,
        }


def train(
    model: str | Path,
    task: str,
    data: str | Path,
    folder: str | Path,
    *,
    target: str | Path | Target | Chip | None = None,
    recipe: str | Path | Recipe = "device-noise",
    evaluate_on: str | Path | None = None,
    task_options: Mapping[str, Any] | None = None,
    teacher: str | Path | None = None,
    adapter_of: str | Path | Plan | None = None,
    attention_bits: AttentionBits | Mapping[str, AttentionBits] = "target",
    epochs: float | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    accumulate: int = 1,
    limit: int | None = None,
    evaluation_limit: int | None = None,
    evaluate_every: int | None = None,
    times: Sequence[str] = ("1s", "1mo"),
    repeats: int = 3,
    save_every: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    seed: int = 0,
    on_step: OnProgress | None = None,
    on_evaluation: Callable[[int, Evaluation], None] | None = None,
) -> Trained:
    """Train a HuggingFace model for a chip, on a task that ``evaluate`` knows, and write it as a folder.

    model: a folder or hub name; a model without a head gets one for the task's classes. task, data, task_options: as
    for ``evaluate``; of GLUE's folders train.tsv is trained on and dev.tsv evaluated on. evaluate_on: other data to
    evaluate on. target, attention_bits: as for ``compile``; pcm-512 if None. recipe: what is imposed, and the schedule;
    ``digital`` imposes nothing. teacher: folder of the digital model to distil from, where the recipe distils; the
    model itself before training if None. adapter_of: a plan of the model: in its place an adapter of peft is trained
    beside it, for the plan's chips; the folder is what ``adapter add`` and ``compile(model, adapters=...)`` take.
    epochs, steps, learning_rate, batch_size: in place of the recipe's. accumulate: batches whose gradients make one
    step. limit: only the first so many examples to train on; evaluation_limit: to evaluate on.
    evaluate_every: steps between evaluations on chips, of which the best weights are kept; none if None. times,
    repeats: of these evaluations and of the last one; no chips if repeats is 0. save_every: steps between checkpoints,
    in FOLDER.checkpoints, from which ``resume`` goes on with the same bits if all that decides them is given again;
    they are removed at the end. overwrite: a folder that was trained before, and checkpoints of a training that was
    stopped, may be replaced. seed: of the head, the order, dropout and all noise. on_step,
    on_evaluation: called with (done, of how many, what) and with (step, evaluation).

    Raises ``InputError`` for what cannot be trained, and for a loss that is no number.
    """
    from tilewright.compiler.training.trainer import run_trainer

    check_flags(resume=resume)
    _check_numbers(
        {
            "accumulate": accumulate, "steps": steps, "evaluate_every": evaluate_every, "save_every": save_every,
            "batch_size": batch_size, "limit": limit, "evaluation_limit": evaluation_limit,
        },
        {"learning_rate": learning_rate, "epochs": epochs},
    )  # fmt: skip
    check_whole("seed", seed, least=0, most=2**32 - 1)  # what transformers' Trainer takes
    _check_evaluations(times, repeats, evaluate_every)
    base = _base(adapter_of, target, attention_bits)
    chip = load_chip(DEFAULT_CHIP if target is None else target) if base is None else base.document.chip
    loaded = load_recipe(recipe) if base is None else for_adapters(load_recipe(recipe))
    if base is None and not loaded.imposes_nothing:
        check_is_analog(chip)
    folder = as_path(folder, "folder")
    check_destination(folder, TRAINED, overwrite=overwrite)
    checkpoints = folder.with_name(f"{folder.name}.checkpoints")
    settings = {
        "model": str(model), "task": task, "data": str(data), "task_options": dict(task_options or {}),
        "recipe": loaded.model_dump(mode="json"), "target": chip.model_dump(mode="json"),
        "adapter_of": None if base is None else base.sha256, "attention_bits": attention_bits,
        "teacher": None if teacher is None else str(teacher), "epochs": epochs, "steps": steps,
        "learning_rate": learning_rate, "batch_size": batch_size, "accumulate": accumulate, "limit": limit,
        "seed": seed,
    }  # fmt: skip
    operands = attention_units(attention_bits, chip)[EVERY_LAYER].operands
    goes_on = last_checkpoint(checkpoints, settings, resume=resume, overwrite=overwrite)
    with no_trace_of_a_failure(checkpoints):
        if save_every:
            write_settings(checkpoints, settings)
        sources = TrainingData.of(task, data, evaluate_on)
        start = starting_model(model, sources, seed, is_base=base is not None)
        notes: list[str] = []
        taught = _teacher(start, teacher, loaded, notes, of_adapter=base is not None)
        measuring = Measuring(task, sources.evaluation, tuple(times), repeats, evaluation_limit, task_options)
        if base is None:
            learner = whole_network(start, sources, measuring, loaded, chip, attention_bits, limit, seed)
        else:
            learner = adapter_beside(start, sources, measuring, loaded, base, model, limit, seed)
        ran = run_trainer(
            learner.network, learner.examples, loaded, teacher=taught, checkpoints=checkpoints, goes_on=goes_on,
            epochs=epochs, steps=steps, learning_rate=learning_rate, batch_size=batch_size, accumulate=accumulate,
            save_every=save_every, trial=learner.trial if repeats else None, evaluate_every=evaluate_every, seed=seed,
            on_step=on_step, on_evaluation=on_evaluation,
        )  # fmt: skip
    made = Trained(folder, ran.device, ran.steps, ran.loss, ran.best_step, None, ran.evaluations, notes)
    with atomic_folder(folder, TRAINED, overwrite=overwrite) as new:
        learner.save(new)
        imposed = {} if loaded.imposes_nothing or base is not None else trained_for(chip, operands)
        own: dict[str, Any] = {"trained_for": imposed} if imposed else {}
        if base is not None:
            own[BASE] = marks_of(base.document, base.tensors)
        how = {name: settings[name] for name in RECORDED}
        write_record(new, {**_record(made, loaded, chip, sources, learner, seed), "settings": how, **own})
    remove_checkpoints(checkpoints)
    if repeats:  # what was trained is there, whatever becomes of its evaluation
        made = replace(made, evaluation=learner.trial(learner.network, on_step))
        add_to_record(folder, {"evaluation": made.to_json()["evaluation"]})
    return made


def _check_numbers(whole: Mapping[str, Any], amounts: Mapping[str, Any]) -> None:
    """Raise ``InputError`` for numbers that are out of range; None is the recipe's."""
    for name, number in whole.items():
        if number is not None:
            check_whole(name, number)
    for name, amount in amounts.items():
        if amount is not None and not (is_finite(amount) and amount > 0):
            raise InputError(f"{name} is {amount!r}; it must be a finite number above 0")


def _check_evaluations(times: Any, repeats: int, evaluate_every: int | None) -> None:
    """Raise ``InputError`` for evaluations that cannot be made, before hours of training."""
    check_whole("repeats", repeats, least=0)
    if isinstance(times, str) or not isinstance(times, Sequence) or not times:
        raise InputError(f"times are {shown(times)}; give some in a list, such as ['1s', '1mo']")
    for time in times:
        parse_time(time)
    if evaluate_every is not None and not repeats:
        raise InputError(f"evaluate_every is {evaluate_every}, and repeats is 0: there are no chips to evaluate on")


def _base(adapter_of: str | Path | Plan | None, target: object, attention_bits: object) -> Plan | None:
    """The plan that an adapter is trained for. Raises ``InputError`` for what the plan says already."""
    if adapter_of is None:
        return None
    for name, given in (("target", target), ("attention_bits", None if attention_bits == "target" else attention_bits)):
        if given is not None:
            said = getattr(given, "name", given)
            raise InputError(f"{name} is {said!r}, and an adapter is trained for the chips of its plan; leave it out")
    plan = adapter_of if isinstance(adapter_of, Plan) else load(adapter_of)
    plan.require_weights()
    return plan.adapted(None)


def _teacher(
    start: StartingModel, teacher: str | Path | None, recipe: Recipe, notes: list[str], *, of_adapter: bool
) -> Any:
    """The digital model that is distilled from, in evaluation; None if the recipe does not distil."""
    if recipe.distillation is None or not recipe.distillation.share:
        if teacher is not None:
            raise InputError(f"recipe {recipe.name!r} does not distil, so it takes no teacher")
        return None
    if teacher is not None:
        found = teacher_of(start, teacher)
    elif of_adapter:
        notes.append("nothing is distilled: an adapter's base may know another task; name a teacher")
        return None
    elif start.new_head:
        notes.append("nothing is distilled: the model's head is new, so it has nothing to teach; name a teacher")
        return None
    else:
        found = copy.deepcopy(start.model)
    return found.eval().requires_grad_(False)


def _record(
    made: Trained, recipe: Recipe, chip: Chip, sources: TrainingData, learner: Learner, seed: int
) -> dict[str, Any]:
    return {
        "tilewright_version": version("tilewright"),
        "recipe": recipe.model_dump(mode="json"),
        "chip": chip.name,
        "task": sources.task,
        "examples": len(learner.examples),
        "seed": seed,
        **{key: value for key, value in made.to_json().items() if key != "folder"},
    }
