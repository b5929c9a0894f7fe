"""Networks that are ready to train, whole or with an adapter: their examples, their trial on chips, their folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewright.compiler.driver import AttentionBits, Calibrating, compile_keeping_scales
from tilewright.compiler.training.adapters import AdapterParts, adapted, save_adapter, with_adapter
from tilewright.compiler.training.chip_evaluation import AdapterTrial, ChipTrial, Measuring
from tilewright.compiler.training.prepare import prepare_by
from tilewright.compiler.training.starting_model import StartingModel
from tilewright.compiler.training.task_data import TrainingData, TrainingExamples
from tilewright.compiler.training.trained_folder import save_trained, snapshot
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.finding import find_task, make_task
from tilewright.runtime.tasks.rows import read_rows
from tilewright.runtime.tasks.texts.text_classification import TextTask
from tilewright.targets.spec import Chip, Recipe

CALIBRATION_SAMPLES = 32
"""Examples of the training data on which ranges are calibrated."""


@dataclass(frozen=True)
class Learner:
    """A network that is ready to train.

    network: what a Trainer is given. examples: of the task. trial: given the network, its figures on chips. save:
    writes what was trained into a folder.
    """

    network: Any
    examples: TrainingExamples
    trial: Callable[..., Evaluation]
    save: Callable[[Path], None]


def whole_network(
    start: StartingModel, sources: TrainingData, measuring: Measuring, recipe: Recipe, chip: Chip,
    attention_bits: AttentionBits | Mapping[str, AttentionBits], limit: int | None, seed: int,
) -> Learner:  # fmt: skip
    """A network all of whose weights train, prepared for a chip; ranges are calibrated on the task's own inputs."""
    options = measuring.task_options
    calibration: Calibrating = _texts(sources, options)
    plan, scales = _plan_of(start, chip, calibration, attention_bits)
    examples = TrainingExamples(make_task(plan, sources.task, sources.train, limit, options))
    measuring.check(plan)
    if calibration is None:  # only the plan could tell what the task's inputs are
        calibration = examples.first_inputs(CALIBRATION_SAMPLES)
        plan, scales = _plan_of(start, chip, calibration, attention_bits)
    if not recipe.imposes_nothing:
        prepare_by(start.model, plan, recipe, seed, scales)
    trial = ChipTrial(measuring, chip, start.processor, calibration, attention_bits)

    def save(folder: Path) -> None:
        save_trained(start.model, folder)
        start.processor.save_pretrained(folder)

    return Learner(start.model, examples, trial, save)


def adapter_beside(
    start: StartingModel, sources: TrainingData, measuring: Measuring, recipe: Recipe, plan: Plan, source: str | Path,
    limit: int | None, seed: int,
) -> Learner:  # fmt: skip
    """An adapter beside a frozen network, prepared by the plan of it whose chips it will run on.

    source: name of the base. Raises ``InputError`` for a plan of another model.
    """
    parts = AdapterParts.of(start.model, plan)
    if not recipe.imposes_nothing:
        prepare_by(start.model, plan, recipe, seed, leave=parts.left)
    network = with_adapter(start.model, parts, recipe, source, seed)
    of_task = adapted(plan, network)  # its outputs are the task's, the base's may be others
    examples = TrainingExamples(make_task(of_task, sources.task, sources.train, limit, measuring.task_options))
    measuring.check(of_task)
    return Learner(network, examples, AdapterTrial(measuring, plan), lambda folder: save_adapter(network, folder))


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
