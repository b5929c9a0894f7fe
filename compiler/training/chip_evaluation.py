"""Evaluation of a network that trains, on simulated chips: a snapshot is compiled and measured like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewright.compiler.driver import Calibrating, compile
from tilewright.compiler.training.trained_folder import snapshot
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluate import evaluate
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.targets.spec import Chip


@dataclass(frozen=True)
class ChipTrial:
    """Trial of a snapshot of a training on chips: times, task and data, as of ``evaluate``."""

    chip: Chip
    processor: Any
    """Tokenizer or image processor, saved with the weights by ``save_pretrained``."""
    task: str
    data: Path
    calibration: Calibrating
    times: Sequence[str]
    repeats: int = 3
    limit: int | None = None
    task_options: Mapping[str, Any] | None = None
    attention_bits: Any = "target"
    seed: int = 0
    """Seed of the chips; not that of the training, whose noise they must not share."""

    def __call__(self, model: Any, on_measurement: OnProgress | None = None) -> Evaluation:
        """Figures of the network as it is now, on freshly programmed chips."""
        with snapshot(model, self.processor) as folder:
            plan = compile(
                folder, self.chip, calibration=self.calibration, attention_bits=self.attention_bits, cache=False
            )
            return evaluate(
                plan, self.task, self.data, times=self.times, repeats=self.repeats, limit=self.limit,
                task_options=self.task_options, seed=self.seed, on_measurement=on_measurement,
            )  # fmt: skip
