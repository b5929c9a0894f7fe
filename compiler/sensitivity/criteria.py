"""Criteria that run a layer, or the network with one layer on its target and the others in full precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

import torch
from torch import nn

from tilewright.compiler.mapping.retarget import on_target
from tilewright.compiler.sensitivity.divergence import Divergence
from tilewright.compiler.sensitivity.samples import Samples
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.execution.alone import layer_alone, network_around
from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.names import channel_scale_key, weight_key
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.runtime.tasks import Task
from tilewright.targets.errors import InputError
from tilewright.targets.ideal import without_noise
from tilewright.targets.spec import AnalogTarget, DigitalTarget

BATCH_SIZE = 64


@dataclass
class Setting:
    """Setting that all criteria share. seconds: after programming; repeats: chips, of one seed for all layers."""

    plan: Plan
    samples: Callable[[], Samples]
    seconds: float
    repeats: int
    seed: int
    outputs: list[str] | None = None
    task: Task | None = None

    @cached_property
    def divergence(self) -> Divergence:
        """Divergence from the digital reference on the samples."""
        return Divergence(self.plan, self.samples(), self.outputs)

    @cached_property
    def digital(self) -> float:
        """Figure of the digital reference for the task."""
        assert self.task is not None
        return self.task.measure(Session(self.plan, ideal=True), BATCH_SIZE)

    def chips(self, target: str) -> range:
        """Repeats that a target needs: digital units are all alike."""
        exact = isinstance(self.plan.document.chip.target(target), DigitalTarget)
        return range(1 if exact else self.repeats)

    def layer_alone(self, layer: LayerRecord, repeat: int) -> nn.Module:
        """A layer on a chip at the wanted time."""
        return layer_alone(self.plan, layer, Draws(self.seed, repeat), self.seconds)

    def network_around(self, plan: Plan, layer: LayerRecord, repeat: int) -> Executable:
        """One layer on a chip at the wanted time, the others in full precision."""
        return network_around(plan, layer, Draws(self.seed, repeat), self.seconds)


class Criterion(ABC):
    """Measure of sensitivity, a figure a layer and target: the larger, the more the output suffers."""

    name: str
    unit: str
    meaning: str
    needs_task = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @abstractmethod
    def figure(self, layer: LayerRecord, target: str) -> float:
        """Figure of this layer on that target: larger where the output suffers more."""


class MeasuredDivergence(Criterion):
    """Divergence of the outputs with one layer on its target and all others ideal."""

    name, unit = "divergence", "‖ŷ-y‖²/‖y‖²"
    meaning = "outputs' divergence with this layer alone on its target, measured"

    def figure(self, layer: LayerRecord, target: str) -> float:
        """Divergence, the mean over chips; the chips of all layers and targets have the same names."""
        setting = self.setting
        moved = on_target(layer, target)
        sessions = (setting.network_around(setting.plan, moved, repeat) for repeat in setting.chips(target))
        return mean(setting.divergence.of(session) for session in sessions)


class MeasuredTask(Criterion):
    """Share of the digital reference's lead over chance that a task's metric loses by one layer on its target."""

    name, unit = "task", "1 - A*"
    meaning = "normalised accuracy lost with this layer alone on its target, measured"
    needs_task = True

    def figure(self, layer: LayerRecord, target: str) -> float:
        """Lost share, the mean over chips; noise may help by luck, so it can be below zero."""
        setting, task = self.setting, self.setting.task
        assert task is not None
        moved = on_target(layer, target)
        found = [
            task.measure(setting.network_around(setting.plan, moved, repeat), BATCH_SIZE)
            for repeat in setting.chips(target)
        ]
        return 1 - task.normalised(mean(found), setting.digital)


class OutputNoise(Criterion):
    """Divergence by output noise 1 on one layer, nothing else wrong with it: the FTJ protocol (FTJ thesis 2023)."""

    name, unit = "output-noise", "‖ŷ-y‖²/‖y‖²"
    meaning = "outputs' divergence with output noise 1 on this layer; of digital units none"

    @cached_property
    def noisy(self) -> Plan:
        """The plan with every kind of tile ideal but for its output noise."""
        chip = self.setting.plan.document.chip
        tiles = []
        for kind in chip.tiles:
            quiet = without_noise(kind.target)
            noise = type(quiet.tile.output_noise)(1, "1", "FTJ thesis: the protocol of layer sensitivity")
            tile = quiet.tile.model_copy(update={"output_noise": noise})
            tiles.append(kind.model_copy(update={"target": quiet.model_copy(update={"tile": tile})}))
        return self.setting.plan.on(chip.model_copy(update={"tiles": tiles}))

    def figure(self, layer: LayerRecord, target: str) -> float:
        """Divergence, the mean over chips; zero on digital units, which have no such noise."""
        setting = self.setting
        if not isinstance(setting.plan.document.chip.target(target), AnalogTarget):
            return 0.0
        moved = on_target(layer, target)
        sessions = (setting.network_around(self.noisy, moved, repeat) for repeat in setting.chips(target))
        return mean(setting.divergence.of(session) for session in sessions)


class WeightError(Criterion):
    """Error of the weights alone on their target, ‖ŵ - w‖² / ‖w‖². Nothing of the network is run.

    Weights are compared as they are programmed, with the layer's channel scale in them: of channels that are hardly
    ever driven the scale is tiny, and so would be what their weights' errors do.
    """

    name, unit = "weight-error", "‖ŵ-w‖²/‖w‖²"
    meaning = "error of the weights that the target holds"

    @torch.inference_mode()
    def figure(self, layer: LayerRecord, target: str) -> float:
        """Error of the weights, the mean over chips."""
        setting = self.setting
        moved = on_target(layer, target)
        weight = setting.plan.tensors[weight_key(layer.name)].float()
        scale = setting.plan.tensors[channel_scale_key(layer.name)] if moved.option.has_channel_scale else 1.0
        size = float((weight * scale).double().square().sum())
        errors = []
        for repeat in setting.chips(target):
            module = setting.layer_alone(moved, repeat)
            held = module.held_weights()  # type: ignore[operator]
            errors.append(float(((held - weight) * scale).double().square().sum()))
        return mean(errors) / size if size else 0.0


def check_task(criterion: type[Criterion], task: Task | None) -> None:
    """Raise ``InputError`` where a criterion needs labelled data and there are none."""
    if criterion.needs_task and task is None:
        raise InputError(f"criterion {criterion.name!r} needs a task and its data")
