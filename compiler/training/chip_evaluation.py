"""Evaluation of a network that trains, on simulated chips: a snapshot is compiled and measured like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewright.compiler.driver import Calibrating, compile
from tilewright.compiler.training.adapters import adapted
from tilewright.compiler.training.trained_folder import snapshot
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluate import evaluate
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.finding import make_task
from tilewright.targets.spec import Chip


@dataclass(frozen=True)
class Measuring:
    """Task and data, times and chips of the evaluations of a training, as of ``evaluate``."""

    task: str
    data: Path
    times: Sequence[str]
    repeats: int = 3
    limit: int | None = None
    task_options: Mapping[str, Any] | None = None
    seed: int = 0
    """Seed of the chips; not that of the training, whose noise they must not share."""

    def check(self, plan: Plan) -> None:
        """Raise ``InputError`` for data or times that a network like the plan's cannot be measured on."""
        if self.repeats:
            make_task(plan, self.task, self.data, self.limit, self.task_options)

    def of(self, plan: Plan, on_measurement: OnProgress | None) -> Evaluation:
        """Figures of a plan, with the adapter that is chosen in it, if there is one."""
        return evaluate(
            plan, self.task, self.data, times=self.times, repeats=self.repeats, limit=self.limit,
            task_options=self.task_options, seed=self.seed, on_measurement=on_measurement,
        )  # fmt: skip


@dataclass(frozen=True)
class ChipTrial:
    """Trial of a snapshot of a training on chips."""

    measuring: Measuring
    chip: Chip
    processor: Any
    """Tokenizer or image processor, saved with the weights by ``save_pretrained``."""
    calibration: Calibrating
    attention_bits: Any = "target"

    def __call__(self, model: Any, on_measurement: OnProgress | None = None) -> Evaluation:
        """Figures of the network as it is now, on freshly programmed chips."""
        with snapshot(model, self.processor) as folder:
            plan = compile(
                folder, self.chip, calibration=self.calibration, attention_bits=self.attention_bits, cache=False
            )
            return self.measuring.of(plan, on_measurement)


@dataclass(frozen=True)
class AdapterTrial:
    """Trial of an adapter on chips that hold its base."""

    measuring: Measuring
    base: Plan

    def __call__(self, model: Any, on_measurement: OnProgress | None = None) -> Evaluation:
        """Figures of the adapter as it is now, on freshly programmed chips."""
        return self.measuring.of(adapted(self.base, model), on_measurement)
