"""train(): a network trained for a chip on a task that evaluate knows, by transformers' Trainer."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tilewright.compiler.driver import AttentionBits, Calibrating, compile_keeping_scales
from tilewright.compiler.training.chip_evaluation import ChipTrial
from tilewright.compiler.training.prepare import prepare_by
from tilewright.compiler.training.starting_model import StartingModel, starting_model
from tilewright.compiler.training.task_data import TrainingData, TrainingExamples
from tilewright.compiler.training.trained_folder import TRAINED, save_trained, snapshot, write_record
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.storage.atomic_folder import atomic_folder, check_destination
from tilewright.runtime.tasks.finding import find_task, make_task
from tilewright.runtime.tasks.rows import read_rows
from tilewright.runtime.tasks.texts.text_classification import TextTask
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_flags, check_seed, check_whole
from tilewright.targets.loading import load_chip, load_recipe
from tilewright.targets.quantity import is_finite
from tilewright.targets.spec import Chip, Recipe, Target

CALIBRATION_SAMPLES = 32
"""Examples of the training data on which ranges are calibrated."""


@dataclass(frozen=True)
class Trained:
    """A network that was trained for a chip.

    folder: HuggingFace's files, with the ranges and channel scales beside the weights; ``compile`` takes it. steps: of
    the optimiser. loss: of the last steps. best_step: the step whose weights were best on the chip, and were kept; None
    if it was not measured meanwhile. evaluation: of the network in the folder, on chips; None if not asked for.
    evaluations: those on the way, each with its step. notes: sentences on what was left out.
    """

    folder: Path
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
    target: str | Path | Target | Chip = "pcm-512",
    recipe: str | Path | Recipe = "device-noise",
    evaluate_on: str | Path | None = None,
    task_options: Mapping[str, Any] | None = None,
    teacher: str | Path | None = None,
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
    evaluate on. target, attention_bits: as for ``compile``. recipe: what is imposed, and the schedule; ``digital``
    imposes nothing. teacher: folder of the digital model to distil from, where the recipe distils; the model itself
    before training if None. epochs, steps, learning_rate, batch_size: in place of the recipe's. accumulate: batches
    whose gradients make one step. limit: only the first so many examples to train on; evaluation_limit: to evaluate on.
    evaluate_every: steps between evaluations on chips, of which the best weights are kept; none if None. times,
    repeats: of these evaluations and of the last one; no chips if repeats is 0. save_every: steps between checkpoints,
    in FOLDER.checkpoints, from which ``resume`` goes on with the same bits; they are removed at the end. overwrite: a
    folder that was trained before may be replaced. seed: of the head, the order, dropout and all noise. on_step,
    on_evaluation: called with (done, of how many, what) and with (step, evaluation).

    Raises ``InputError`` for what cannot be trained, and for a loss that is no number.
    """
    from tilewright.compiler.training.trainer import run_trainer

    check_seed(seed)
    check_flags(resume=resume)
    for name, number in (
        ("accumulate", accumulate),
        ("steps", steps),
        ("evaluate_every", evaluate_every),
        ("save_every", save_every),
        ("batch_size", batch_size),
        ("limit", limit),
        ("evaluation_limit", evaluation_limit),
    ):
        if number is not None:
            check_whole(name, number)
    check_whole("repeats", repeats, least=0)
    for name, amount in (("learning_rate", learning_rate), ("epochs", epochs)):
        if amount is not None and not (is_finite(amount) and amount > 0):
            raise InputError(f"{name} is {amount!r}; it must be a finite number above 0")
    chip, loaded = load_chip(target), load_recipe(recipe)
    folder = Path(folder)
    check_destination(folder, TRAINED, overwrite=overwrite)
    checkpoints = folder.with_name(f"{folder.name}.checkpoints")
    if resume and not checkpoints.is_dir():
        raise InputError(f"there is nothing to resume: {str(checkpoints)!r} is not there")
    sources = TrainingData.of(task, data, evaluate_on)
    start = starting_model(model, sources, seed)
    notes: list[str] = []
    calibration: Calibrating = _texts(sources, task_options)
    plan, scales = _plan_of(start, chip, calibration, attention_bits)
    examples = TrainingExamples(make_task(plan, task, sources.train, limit, task_options))
    if calibration is None:  # only the plan could tell what the task's inputs are
        calibration = examples.first_inputs(CALIBRATION_SAMPLES)
        plan, scales = _plan_of(start, chip, calibration, attention_bits)
    taught = _teacher(start, teacher, loaded, notes)
    if not loaded.imposes_nothing:
        prepare_by(start.model, plan, loaded, seed, scales)
    trial = ChipTrial(
        chip, start.processor, task, sources.evaluation, calibration, tuple(times), repeats, evaluation_limit,
        task_options, attention_bits,
    )  # fmt: skip
    ran = run_trainer(
        start.model, examples, loaded, teacher=taught, checkpoints=checkpoints, resume=resume, epochs=epochs,
        steps=steps, learning_rate=learning_rate, batch_size=batch_size, accumulate=accumulate, save_every=save_every,
        trial=trial if repeats else None, evaluate_every=evaluate_every, seed=seed, on_step=on_step,
        on_evaluation=on_evaluation,
    )  # fmt: skip
    last = trial(start.model, on_step) if repeats else None
    made = Trained(folder, ran.steps, ran.loss, ran.best_step, last, ran.evaluations, notes)
    with atomic_folder(folder, TRAINED, overwrite=overwrite) as new:
        save_trained(start.model, new)
        start.processor.save_pretrained(new)
        write_record(new, _record(made, loaded, chip, sources, examples, seed))
    shutil.rmtree(checkpoints, ignore_errors=True)
    return made


def _plan_of(start: StartingModel, chip: Chip, calibration: Calibrating, attention_bits: Any) -> tuple[Plan, Any]:
    """The plan of the network before training, and its channel scales."""
    with snapshot(start.model, start.processor) as folder:
        plan, scales = compile_keeping_scales(
            folder, chip, calibration=calibration, attention_bits=attention_bits, cache=False
        )
        return plan, {name: scale.clone() for name, scale in scales.items()}


def _texts(sources: TrainingData, task_options: Mapping[str, Any] | None) -> list[str] | None:
    """Texts of the first examples to train on, to calibrate ranges with; None for a task of other inputs."""
    found = find_task(sources.task)
    if not issubclass(found, TextTask):
        return None
    column = (task_options or {}).get("text") or found.columns.text
    rows = read_rows(sources.train, [column], CALIBRATION_SAMPLES, header=found.columns.header)
    return [str(row[column]) for row in rows]


def _teacher(start: StartingModel, teacher: str | Path | None, recipe: Recipe, notes: list[str]) -> Any:
    """The digital model that is distilled from, in evaluation; None if the recipe does not distil."""
    if recipe.distillation is None or not recipe.distillation.share:
        if teacher is not None:
            raise InputError(f"recipe {recipe.name!r} does not distil, so it takes no teacher")
        return None
    if teacher is not None:
        from transformers import AutoConfig

        own = type(start.model)
        found = own.from_pretrained(str(teacher), config=AutoConfig.from_pretrained(str(teacher)))
    elif start.new_head:
        notes.append("nothing is distilled: the model's head is new, so it has nothing to teach; name a teacher")
        return None
    else:
        found = copy.deepcopy(start.model)
    return found.eval().requires_grad_(False)


def _record(
    made: Trained, recipe: Recipe, chip: Chip, sources: TrainingData, examples: TrainingExamples, seed: int
) -> dict[str, Any]:
    return {
        "tilewright_version": version("tilewright"),
        "recipe": recipe.model_dump(mode="json"),
        "chip": chip.name,
        "task": sources.task,
        "examples": len(examples),
        "seed": seed,
        **{key: value for key, value in made.to_json().items() if key != "folder"},
    }
