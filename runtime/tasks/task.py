"""Interface of the tasks that plans are evaluated on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.paths import file_sha256


class Task(ABC):
    """A data set, prepared for one plan."""

    metric: str
    """Name of the figure; more is better."""
    chance: float
    """Figure of outputs that know nothing of the inputs."""

    @abstractmethod
    def __init__(self, plan: Plan, data: Path, limit: int | None) -> None:
        """Read the data and encode it. ``limit``: only the first so many examples.

        Raises ``InputError`` if the data or the plan do not fit the task.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of examples."""

    @classmethod
    def file_of(cls, data: Path) -> Path:
        """File that is read of ``data``: itself, or for a task that takes folders the one inside."""
        return data

    @classmethod
    def fingerprint(cls, data: Path, limit: int | None) -> str:
        """Name of what is read of the data: measurements on the same examples have the same."""
        return f"{file_sha256(cls.file_of(data))}:{limit or 'all'}"

    @abstractmethod
    def measure(self, session: Executable, batch_size: int) -> float:
        """The metric of this session, the same whatever the batch size."""

    def normalised(self, value: float, digital: float) -> float:
        """Normalised figure A* = 1 - (ε - ε_FP)/(ε_chance - ε_FP): 1 for ``digital``, 0 for chance (Rasch 2023)."""
        lead = digital - self.chance
        return (value - self.chance) / lead if lead else 1.0
