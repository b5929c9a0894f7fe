"""Loggers of evaluations: Weights & Biases, TensorBoard, MLflow, or one's own.

Each is given an evaluation once it is measured: a step for each time, at the seconds after programming, and what was
measured on what as the run's configuration. All write where their own settings say, offline too:
``WANDB_MODE=offline``; ``runs/`` of the current folder; ``MLFLOW_TRACKING_URI``.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tilewright.runtime.measuring.evaluation import Evaluation
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.draws_version import VERSION
from tilewright.targets.errors import InputError, nearest

PROJECT = "tilewright"


@runtime_checkable
class EvaluationLogger(Protocol):
    """Object that takes evaluations, as ``evaluate(..., log=...)`` calls it."""

    def log_evaluation(self, evaluation: Evaluation, configuration: dict[str, Any]) -> None:
        """Take an evaluation. configuration: plain values by name: plan, model, target, task, data, seed and others."""


AnyLogger = str | EvaluationLogger


class WandbLogger:
    """Run of Weights & Biases: the one that is open, or a new one."""

    def log_evaluation(self, evaluation: Evaluation, configuration: dict[str, Any]) -> None:
        """Log an evaluation. Its horizontal axis is ``seconds``."""
        wandb = _module("wandb")
        opened = wandb.run
        run = opened or wandb.init(project=os.environ.get("WANDB_PROJECT", PROJECT), name=_run_name(configuration))
        run.config.update(configuration, allow_val_change=True)
        run.define_metric("seconds")
        for seconds, scalars in _steps(evaluation):
            for name in scalars:
                run.define_metric(name, step_metric="seconds")
            run.log({"seconds": seconds, **scalars})
        if opened is None:
            run.finish()


class TensorBoardLogger:
    """Event file of TensorBoard, in a folder of ``runs/`` that is named by what was measured."""

    def __init__(self, folder: str | Path = "runs") -> None:
        """Take the folder of all runs."""
        self.folder = Path(folder)

    def log_evaluation(self, evaluation: Evaluation, configuration: dict[str, Any]) -> None:
        """Log an evaluation. Steps are whole seconds; the configuration is a text."""
        _module("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.folder / _run_name(configuration))) as writer:
            lines = [f"| {name} | {value} |" for name, value in configuration.items()]
            writer.add_text("configuration", "\n".join(["| setting | value |", "|---|---|", *lines]))
            for seconds, scalars in _steps(evaluation):
                for name, value in scalars.items():
                    writer.add_scalar(name, value, round(seconds))


class MlflowLogger:
    """Run of MLflow, in the experiment that MLflow's settings name; below the active run if there is one."""

    def log_evaluation(self, evaluation: Evaluation, configuration: dict[str, Any]) -> None:
        """Log an evaluation. Steps are whole seconds."""
        mlflow = _module("mlflow")
        with mlflow.start_run(run_name=_run_name(configuration), nested=mlflow.active_run() is not None):
            mlflow.log_params(configuration)
            for seconds, scalars in _steps(evaluation):
                mlflow.log_metrics(scalars, step=round(seconds))


LOGGERS: dict[str, Callable[[], EvaluationLogger]] = {
    "wandb": WandbLogger,
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
}
"""Loggers by name, which is their package's."""


def make_loggers(given: AnyLogger | Sequence[AnyLogger] | None) -> list[EvaluationLogger]:
    """Loggers of these names, and those that are loggers already.

    Raises ``InputError`` for an unknown name, a package that is not installed, or what is no logger.
    """
    if given is None:
        return []
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return [_logger(one) for one in several]


def log_evaluation(loggers: Sequence[EvaluationLogger], evaluation: Evaluation, plan: Plan) -> None:
    """Give an evaluation to all loggers. One that fails is a warning: what was measured is not lost by it."""
    configuration = _configuration(evaluation, plan)
    for logger in loggers:
        try:
            logger.log_evaluation(evaluation, configuration)
        except Exception as error:  # noqa: BLE001 (of a service, or of the user's own logger)
            warnings.warn(f"{type(logger).__name__} did not take the evaluation: {error}", RuntimeWarning, stacklevel=3)


def _logger(given: AnyLogger) -> EvaluationLogger:
    if not isinstance(given, str):
        if not isinstance(given, EvaluationLogger):
            raise InputError(f"log is {given!r}; it must be one of {', '.join(LOGGERS)}, or have log_evaluation")
        return given
    if given not in LOGGERS:
        raise InputError(f"there is no logger {given!r}; {nearest(given, list(LOGGERS))}")
    _module(given)  # before anything is measured
    return LOGGERS[given]()


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"logging to {name} needs its package ({error}); install it: pip install 'tilewright[{name}]'"
        ) from error


def _configuration(evaluation: Evaluation, plan: Plan) -> dict[str, Any]:
    """Plain values by name of what was measured, and on what."""
    names = ("task", "metric", "data", "examples", "seed", "repeats", "drift_compensation", "resamples", "iso")
    return {
        "plan": plan.sha256,
        "model": plan.document.model.name,
        "target": plan.document.chip.name,
        "adapter": evaluation.adapter or "none",
        **{name: getattr(evaluation, name) for name in names},
        "draws": VERSION,
    }


def _run_name(configuration: dict[str, Any]) -> str:
    """Name of a run, of signs that every file system takes: the same for the same plan, data and chips."""
    task = re.sub(r"[^A-Za-z0-9]+", "-", configuration["task"]).strip("-")[:60]
    return f"{task}-{configuration['plan'][:8]}-{configuration['data'][:8]}-seed{configuration['seed']}"


def _steps(evaluation: Evaluation) -> Iterator[tuple[float, dict[str, float]]]:
    """Seconds after programming, and what was measured then by name; what is not known is left out."""
    for point in sorted(evaluation.points, key=lambda point: point.seconds):
        scalars = {"digital": evaluation.digital, "mean": point.mean, "standard_error": point.standard_error}
        if point.over_both is not None:
            scalars |= {"low": point.over_both.low, "high": point.over_both.high}
        if point.normalised is not None:
            scalars["normalised"] = point.normalised.mean
        yield point.seconds, {name: value for name, value in scalars.items() if value is not None}
