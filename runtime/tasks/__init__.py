"""Tasks to evaluate a plan on: how data become inputs, and outputs a figure."""

from __future__ import annotations

from tilewright.runtime.tasks.stsb import SemanticSimilarity
from tilewright.runtime.tasks.task import Task

TASKS: dict[str, type[Task]] = {"stsb": SemanticSimilarity}
"""By the name that the command line takes."""

__all__ = ["TASKS", "Task"]
