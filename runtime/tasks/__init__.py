"""Tasks to evaluate a plan on: they make inputs of data, and a figure of outputs."""

from __future__ import annotations

from tilewright.runtime.tasks.stsb import SemanticSimilarity
from tilewright.runtime.tasks.task import Task

TASKS: dict[str, type[Task]] = {"stsb": SemanticSimilarity}
"""Tasks by the names that the command line takes."""

__all__ = ["TASKS", "Task"]
