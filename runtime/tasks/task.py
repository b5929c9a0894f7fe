"""What a task answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from tilewright.runtime.plan import Plan
from tilewright.runtime.session import Session


class Task(ABC):
    """A data set, prepared for one plan."""

    metric: str
    """What the figure is."""

    @abstractmethod
    def __init__(self, plan: Plan, data: Path, limit: int | None) -> None:
        """Read the data and encode it. ``limit``: only the first so many examples.

        Raises ``InputError`` if the data or the plan do not fit the task.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of examples."""

    @abstractmethod
    def measure(self, session: Session, batch_size: int) -> float:
        """The metric of this session, the same whatever the batch size."""
