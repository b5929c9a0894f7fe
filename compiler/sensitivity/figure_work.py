"""Units of work of sensitivities: a figure of one layer on one target, and the divergence of one chip."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tilewright.compiler.sensitivity.criteria import Criterion, Setting
from tilewright.compiler.sensitivity.samples import samples_of
from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.chip_work import TaskSource
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

    def opened(self) -> Setting:
        """Setting in this process."""
        if self.name not in _OPEN:
            _OPEN.clear()  # one is enough, and may be large
            _OPEN[self.name] = self.made_of.made(self.plan.opened()), {}
        return _OPEN[self.name][0]

    def criterion(self, kind: type[Criterion]) -> Criterion:
        """A criterion in this process, made once: some keep what they found of one layer for the others."""
        setting, made = self.opened(), _OPEN[self.name][1]
        if kind not in made:
            made[kind] = kind(setting)
        return made[kind]


_OPEN: dict[str, tuple[Setting, dict[type[Criterion], Criterion]]] = {}
"""The setting that this process has open, and its criteria."""


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
    criterion = work.criterion
    if not isinstance(criterion, Criterion):
        setting, kind = criterion
        criterion = setting.criterion(kind)
    layers = {layer.name: layer for layer in criterion.setting.plan.document.layers}
    yield criterion.figure(layers[work.layer], work.target)


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
    setting = work.setting.opened() if isinstance(work.setting, SentSetting) else work.setting
    chip = Session(setting.plan, setting.seed, repeat=work.repeat).advance_to(setting.seconds)
    yield setting.divergence.of(chip)
