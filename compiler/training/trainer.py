"""transformers' Trainer for a task's examples: its loss, distillation, the recipe's schedule, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from tilewright.compiler.training.callbacks import ChipCallback
from tilewright.compiler.training.distillation import distilled
from tilewright.compiler.training.prepare import is_prepared
from tilewright.compiler.training.progress import check_loss, parameter_groups
from tilewright.compiler.training.task_data import NUMBERS, TrainingExamples, named_outputs
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.targets.spec import Recipe

LOG_EVERY = 10
"""Steps between reports of the loss."""


@dataclass(frozen=True)
class TrainerRun:
    """End of a training: where it ran, steps, loss of the last ones, evaluations on chips and the best one's step."""

    device: str
    steps: int
    loss: float
    best_step: int | None
    evaluations: list[dict[str, Any]]


class TaskTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose loss is a task's own, with a share of distillation."""

    def __init__(self, examples: TrainingExamples, recipe: Recipe, teacher: Any, **named: Any) -> None:
        super().__init__(train_dataset=examples, data_collator=examples.collate, **named)
        self.examples, self.recipe = examples, recipe
        self.teacher = None if teacher is None else teacher.to(self.args.device)
        self.model_accepts_loss_kwargs = False  # the loss is a mean over the batch: Trainer divides it by the batches

    def create_optimizer(self, *_arguments: Any, **_named: Any) -> Any:
        """The optimiser of the recipe's schedule, weight decay on matrices alone."""
        if self.optimizer is None:
            schedule = self.recipe.schedule
            groups = parameter_groups(self.model, float(schedule.weight_decay))
            rate, momentum = self.args.learning_rate, float(schedule.momentum or 0.0)
            sgd = schedule.optimiser == "sgd"
            made = torch.optim.SGD(groups, rate, momentum) if sgd else torch.optim.AdamW(groups, rate)
            self.optimizer: torch.optim.Optimizer | None = made
        return self.optimizer

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Loss of a batch: the task's, and what the teacher's outputs say."""
        task = self.examples.task
        numbers = inputs.pop(NUMBERS).tolist()
        outputs = model(**inputs)
        named = named_outputs(outputs)
        loss = task.loss(numbers, inputs, named)
        if self.teacher is not None and self.recipe.distillation is not None:
            with torch.no_grad():
                wanted = task.taught(inputs, named_outputs(self.teacher(**inputs)))
            loss = distilled(loss, task.taught(inputs, named), wanted, self.recipe.distillation)
        check_loss(float(loss.detach()), self.state.global_step + 1)
        return (loss, outputs) if return_outputs else loss


class _Report(TrainerCallback):  # type: ignore[misc]
    """Reports of steps."""

    def __init__(self, on_step: OnProgress) -> None:
        self.on_step, self.loss = on_step, "begin"

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.loss = f"loss {float(logs['loss']):.4f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.on_step(state.global_step, state.max_steps, self.loss)


def run_trainer(
    model: Any,
    examples: TrainingExamples,
    recipe: Recipe,
    *,
    teacher: Any,
    checkpoints: Path,
    goes_on: Path | None,
    epochs: float | None,
    steps: int | None,
    learning_rate: float | None,
    batch_size: int | None,
    accumulate: int,
    save_every: int | None,
    trial: Callable[[Any], Evaluation] | None,
    evaluate_every: int | None,
    seed: int,
    on_step: OnProgress | None,
    on_evaluation: Callable[[int, Evaluation], None] | None,
) -> TrainerRun:
    """Train a network on a task's examples; what is not given is the recipe's. It ends with the best weights on chips.

    goes_on: checkpoint to begin at. Raises ``InputError`` for a loss that is no number.
    """
    schedule = recipe.schedule
    size = batch_size or int(schedule.batch_size)
    lasts = epochs if epochs is not None else float(schedule.epochs)
    total = steps or max(1, round(lasts * -(-len(examples) // (size * accumulate))))
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulate,
        max_steps=total,
        learning_rate=float(schedule.learning_rate) if learning_rate is None else learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(float(schedule.warm_up) * total),
        save_strategy="steps" if save_every else "no",
        save_steps=save_every or 500,
        save_total_limit=2,
        logging_steps=LOG_EVERY,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        seed=seed,
        data_seed=seed,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several would split a batch, which has one draw of the noise
    every = evaluate_every if trial is not None else None
    chips = ChipCallback(trial, every, checkpoints, on_evaluation, control=not is_prepared(model))
    trainer = TaskTrainer(examples, recipe, teacher, model=model, args=arguments, callbacks=[chips])
    trainer.remove_callback(PrinterCallback)
    if on_step:
        trainer.add_callback(_Report(on_step))
    ran = trainer.train(resume_from_checkpoint=None if goes_on is None else str(goes_on))
    device, last_step = str(arguments.device), trainer.state.global_step
    logged = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    loss = logged[-1] if logged else float(ran.training_loss)  # the latter is of the steps since it was resumed
    return TrainerRun(device, last_step, loss, chips.best_step, chips.evaluations)
