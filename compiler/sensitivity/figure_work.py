"""Units of work of sensitivities: a figure of one layer on one target, and the divergence of one chip."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import Any

from tilewright.compiler.sensitivity.criteria import Criterion, Setting
from tilewright.compiler.sensitivity.samples import samples_of
from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.chip_work import TaskSource
from tilewright.runtime.measuring.open_once import OpenOnce
from tilewright.runtime.measuring.sent_plan import SentPlan
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks import Task


@dataclass(frozen=True)
class SettingSource:
    """Source of a setting: all that it is made of but the plan; it can be sent to other processes."""

    inputs: Sequence[str] | Mapping[str, Any] | None
    samples: int
    outputs: Sequence[str] | None
    seconds: float
    repeats: int
    seed: int
    task: TaskSource | None = None
    labels: str = ""

    def made(self, plan: Plan, task: Task | None = None) -> Setting:
        """Setting of a plan. task: the one that it names, if it was made already."""
        task = self.task.made(plan) if task is None and self.task is not None else task
        outputs = list(self.outputs) if self.outputs else None
        take = cache(lambda: samples_of(plan, self.inputs, self.samples))
        return Setting(plan, take, self.seconds, self.repeats, self.seed, outputs, task, self.labels)


@dataclass(frozen=True)
class SentSetting:
    """Setting as other processes open it, once for all figures."""

    plan: SentPlan
    made_of: SettingSource
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Name of its own, by which a process knows that it has it open."""

    def opened(self) -> OpenSetting:
        """Setting in this process, with its criteria."""
        return _OPEN.get(self.name, lambda: OpenSetting(self.made_of.made(self.plan.opened())))


class OpenSetting:
    """Setting that a process has open, with its criteria: some keep what they found of one layer for the others."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._lock = Lock()
        self._made: dict[type[Criterion], Criterion] = {}

    def figure(self, kind: type[Criterion], layer: str, target: str) -> float:
        """A figure. Threads take turns: a criterion may hold gradients of the one network."""
        with self._lock:
            if kind not in self._made:
                self._made[kind] = kind(self.setting)
            return _figure(self._made[kind], layer, target)


_OPEN = OpenOnce[OpenSetting]()


@dataclass(frozen=True)
class FigureWork:
    """Work on one figure: of a criterion, a layer by its name, and a target."""

    criterion: Criterion | tuple[SentSetting, type[Criterion]]
    layer: str
    target: str

    def __str__(self) -> str:
        """Name in sentences."""
        return f"layer {self.layer!r} on {self.target}"


def measured_figure(work: FigureWork) -> Iterator[float]:
    """The figure, in whatever process."""
    if isinstance(work.criterion, Criterion):
        yield _figure(work.criterion, work.layer, work.target)
    else:
        sent, kind = work.criterion
        yield sent.opened().figure(kind, work.layer, work.target)


def _figure(criterion: Criterion, layer: str, target: str) -> float:
    layers = {record.name: record for record in criterion.setting.plan.document.layers}
    return criterion.figure(layers[layer], target)


@dataclass(frozen=True)
class DivergenceWork:
    """Work on one chip: divergence of a plan's outputs from the digital reference's. repeat: which chip."""

    setting: Setting | SentSetting
    repeat: int

    def __str__(self) -> str:
        """Name in sentences."""
        return f"chip {self.repeat}"


def measured_divergence(work: DivergenceWork) -> Iterator[float]:
    """The divergence at the setting's time, in whatever process."""
    setting = work.setting.opened().setting if isinstance(work.setting, SentSetting) else work.setting
    chip = Session(setting.plan, setting.seed, repeat=work.repeat).advance_to(setting.seconds)
    yield setting.divergence.of(chip)
