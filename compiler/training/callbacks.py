"""Callback of transformers' Trainer for prepared networks: ramp, clipping, evaluation on chips, the best one kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor
from transformers import TrainerCallback

from tilewright.compiler.training.prepare import conditions_of, is_prepared
from tilewright.compiler.training.progress import after_step, begin_after, check_loss, set_progress
from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.storage.atomic_file import write_whole
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_flags
from tilewright.targets.paths import as_path
from tilewright.targets.shown import shown

BEST, FIGURES = "best-on-chip.safetensors", "evaluations-on-chip.json"


class ChipCallback(TrainerCallback):  # type: ignore[misc]
    """Callback that a Trainer needs for a prepared network, and that may measure it on simulated chips meanwhile.

    It tells the network how far the training is, clips weights after each step, and stops at a loss that is no number.
    """

    def __init__(
        self,
        evaluate: Callable[[Any], Evaluation] | None = None,
        every: int | None = None,
        folder: str | Path | None = None,
        on_evaluation: Callable[[int, Evaluation], None] | None = None,
        *,
        control: bool = False,
    ) -> None:
        """Measure by ``evaluate(model)`` after every so many steps and the last; training ends with the best weights.

        The figure that decides is the mean over chips at the last time. folder: where the best weights and all figures
        are kept, so that a resumed training goes on with them; in memory if None. on_evaluation: called with the step's
        number and what was found. control: True for a network that is not prepared, which is refused else.
        """
        check_flags(control=control)
        self.control = control
        self.evaluate, self.every, self.on_evaluation = evaluate, every, on_evaluation
        self.folder = None if folder is None else as_path(folder, "folder")
        self.evaluations: list[dict[str, Any]] = []
        self.best_step: int | None = None
        self._best_weights: dict[str, Tensor] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Take up what was measured before the step that a training is resumed at, and the number of its passes.

        Raises ``InputError`` for a network that is not prepared, unless it is a control.
        """
        if not self.control:
            conditions_of(model)
        if is_prepared(model):
            begin_after(model, state.global_step * args.gradient_accumulation_steps)
        kept = None if self.folder is None else self.folder / FIGURES
        if kept is not None and kept.is_file() and not self.evaluations:
            read = json.loads(kept.read_text(encoding="utf-8"))
            self.evaluations = [one for one in read if one["step"] <= state.global_step]
            self.best_step = self._best()

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Tell the network which share of the steps is done."""
        if is_prepared(model):
            set_progress(model, min(1.0, state.global_step / max(1, state.max_steps)))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Clip the weights; measure, if it is time."""
        if is_prepared(model):
            after_step(model)
        if self.evaluate is not None and self.every and state.global_step % self.every == 0:
            self.measure(model, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Measure the last step, if it was not, and give the network the weights that were best on the chip."""
        if self.evaluate is None or not self.every:
            return
        if state.global_step % self.every:
            self.measure(model, state.global_step)
        self.restore_best(model)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Stop at a loss that is no number. Raises ``InputError``.

        A Trainer leaves such a loss out of its logs, unless it is told not to; its gradients are no numbers either.
        """
        if logs and "loss" in logs:
            check_loss(float(logs["loss"]), state.global_step)
        if logs and not args.fp16 and math.isnan(float(logs.get("grad_norm", 0.0))):
            check_loss(math.nan, state.global_step)

    def measure(self, model: Any, step: int) -> Evaluation:
        """Measure the network as it is, and keep its weights if it is the best so far."""
        assert self.evaluate is not None
        was_training = model.training
        found: Evaluation = self.evaluate(model.eval())
        model.train(was_training)
        if not getattr(found, "points", None):
            raise InputError(f"evaluate gives {shown(found)}; it must give what tilewright.evaluate does")
        point = found.points[-1]
        sign = 1.0 if found.larger_is_better else -1.0
        self.evaluations.append({"step": step, "score": sign * point.mean, "evaluation": found.to_json()})
        best = self._best()
        if best == step:
            self.best_step = best
            state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            if self.folder is None:
                self._best_weights = state
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_whole(self.folder / BEST, save(state))
        if self.folder is not None:
            write_whole(self.folder / FIGURES, json.dumps(self.evaluations).encode())
        if self.on_evaluation:
            self.on_evaluation(step, found)
        return found

    def restore_best(self, model: Any) -> int | None:
        """Give the network the weights that were best on the chip; returns their step, None if none were measured."""
        if self.best_step is None:
            return None
        kept = self._best_weights if self.folder is None else load_file(self.folder / BEST)
        model.load_state_dict(kept)
        return self.best_step

    def _best(self) -> int | None:
        if not self.evaluations:
            return None
        return int(max(self.evaluations, key=lambda one: float(one["score"]))["step"])
