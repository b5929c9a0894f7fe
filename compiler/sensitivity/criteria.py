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
from tilewright.targets.ideal import without_noise
from tilewright.targets.spec import AnalogTarget, DigitalTarget

BATCH_SIZE = 64


@dataclass
class Setting:
    """Setting that all criteria share. seconds: after programming; repeats: chips, of one seed for all layers.

    labels: what the task's examples are known by.
    """

    plan: Plan
    samples: Callable[[], Samples]
    seconds: float
    repeats: int
    seed: int
    outputs: list[str] | None = None
    task: Task | None = None
    labels: str = ""

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

    @torch.inference_mode()
    def figure(self, layer: LayerRecord, target: str) -> float:
        """Figure of this layer on that target, the mean over chips, which have the same names for all of them."""
        moved = on_target(layer, target)
        return mean(self.on_chip(moved, repeat) for repeat in self.setting.chips(target))

    @abstractmethod
    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """Figure of a layer on its target, on one chip: larger where the output suffers more."""


class MeasuredDivergence(Criterion):
    """Divergence of the outputs with one layer on its target and all others ideal."""

    name, unit = "divergence", "‖ŷ-y‖²/‖y‖²"
    meaning = "outputs' divergence with this layer alone on its target, measured"

    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """Divergence of the network on that chip."""
        return self.setting.divergence.of(self.setting.network_around(self.setting.plan, layer, repeat))


class MeasuredTask(Criterion):
    """Share of the digital reference's lead over chance that a task's metric loses by one layer on its target."""

    name, unit = "task", "1 - A*"
    meaning = "normalised accuracy lost with this layer alone on its target, measured"
    needs_task = True

    def figure(self, layer: LayerRecord, target: str) -> float:
        """Share that is lost; noise may help by luck, so it can be below zero."""
        setting = self.setting
        assert setting.task is not None
        return 1 - setting.task.metric.normalised(super().figure(layer, target), setting.digital)

    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """The task's metric on that chip."""
        assert self.setting.task is not None
        network = self.setting.network_around(self.setting.plan, layer, repeat)
        return self.setting.task.measure(network, BATCH_SIZE)


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

    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """Divergence of the network on that chip; zero on digital units, which have no such noise."""
        if not isinstance(self.noisy.document.chip.target(layer.target), AnalogTarget):
            return 0.0
        return self.setting.divergence.of(self.setting.network_around(self.noisy, layer, repeat))


class NeuronNorm(Criterion):
    """Largest norm of a neuron's weights, max ‖w_j‖ over the outputs j; 0 on digital units. Nothing is run.

    A mixture's experts with large neurons are those that noise harms most, whatever the samples.
    """

    name, unit = "neuron-norm", "‖w‖"
    meaning = "largest norm of the weights of one output, where they are on tiles"

    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """Largest norm among the layer's outputs."""
        if isinstance(self.setting.plan.document.chip.target(layer.target), DigitalTarget):
            return 0.0
        return float(self.setting.plan.tensors[weight_key(layer.name)].double().norm(dim=1).max())


class WeightError(Criterion):
    """Error of the weights alone on their target, ‖ŵ - w‖² / ‖w‖². Nothing of the network is run.

    Weights are compared as they are programmed, with the layer's channel scale in them: of channels that are hardly
    ever driven the scale is tiny, and so would be what their weights' errors do.
    """

    name, unit = "weight-error", "‖ŵ-w‖²/‖w‖²"
    meaning = "error of the weights that the target holds"

    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """Error of the weights that the chip holds."""
        tensors = self.setting.plan.tensors
        weight = tensors[weight_key(layer.name)].float()
        scale = tensors[channel_scale_key(layer.name)] if layer.option.has_channel_scale else 1.0
        size = float((weight * scale).double().square().sum())
        held = self.setting.layer_alone(layer, repeat).held_weights()  # type: ignore[operator]
        return float(((held - weight) * scale).double().square().sum()) / size if size else 0.0
