"""Tasks to evaluate a plan on: data, a readout of the outputs, and a metric."""

from __future__ import annotations

from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.task import Task

__all__ = ["Metric", "Task"]
