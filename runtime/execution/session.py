"""A session: one programmed chip at one time, ready to be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.layers import AnalogLinear, DigitalLinear, Reading, SimulatedChip, Use
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.execution.checked_graph import CheckedGraph
from tilewright.runtime.execution.inputs import prepare_inputs
from tilewright.runtime.execution.nonfinite_origin import NonfiniteOrigin, find_origin
from tilewright.runtime.execution.on_demand import OnDemandLinear
from tilewright.runtime.execution.turns import Turns
from tilewright.runtime.plan.names import (
    bias_key,
    calibration_key,
    channel_scale_key,
    layer_path,
    matmul_path,
    weight_key,
)
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord, MatmulRecord
from tilewright.runtime.storage.memory_map import hand_back
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.runtime.units.matmul import DigitalMatmul, UnitMatmul
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import DigitalTarget
from tilewright.targets.times import parse_time

Progress = Callable[[str], None]
KEPT_AS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""What programmed conductances can be kept in."""


class Session:
    """A plan on a simulated chip.

    Creating one programs the chip that (seed, repeat) name. ``advance_to`` lets it drift; calling it runs the graph
    and returns the model's outputs by the model's names. The same plan, seed, repeat and time give the same bits
    whatever the batch size or number of threads, on one kind of processor, as far as arithmetic is on the chip:
    products on tiles and INT-n units are exact integer sums. Products in float (the digital reference, targets without
    a DAC) depend on the math library.

    Reads are numbered: each call reads the next samples, so calling twice with one input gives two different reads,
    and splitting a batch over several calls changes nothing. ``advance_to`` starts the count again.

    Threads may call one session at once, and a forked child may go on with its parent's, on one thread.
    """

    def __init__(
        self,
        plan: Plan,
        seed: int = 0,
        *,
        repeat: int = 0,
        ideal: bool = False,
        drift_compensation: bool = True,
        alone: LayerRecord | None = None,
        conductances: Literal["float32", "bfloat16"] = "float32",
        layer_by_layer: bool = False,
        on_layer: Progress | None = None,
    ) -> None:
        """Program a chip.

        seed, repeat: which chip. ideal: run the digital reference in full precision instead. drift_compensation:
        False switches the target's compensation off. alone: a layer of the plan, as it is or as it would be on another
        target, which is all that runs on the chip; the rest is in full precision. conductances: what programmed ones
        are kept in; bfloat16 takes half the memory and adds less than a hundredth to the variance of programming.
        layer_by_layer: keep nothing of a layer on tiles between calls, for plans that are larger than memory: the same
        bits, but each call programs each layer anew. on_layer: called with each layer's name once it is programmed.
        Raises ``InputError`` for a plan without weights.
        """
        plan.require_weights()
        if conductances not in KEPT_AS:
            raise InputError(f"conductances are kept as {conductances!r}; {nearest(str(conductances), KEPT_AS)}")
        self.layer_by_layer = layer_by_layer
        self.plan, self.seed, self.repeat, self.ideal = plan, seed, repeat, ideal
        draws, self._reading = Draws(seed, repeat), Reading()
        self._chips = {
            tiles.target.name: SimulatedChip(
                tiles.target, draws, self._reading, drift_compensation, KEPT_AS[conductances]
            )
            for tiles in plan.document.chip.tiles
        }
        self._methods = {method.name: method for method in plan.document.programming}
        self._next_sample, self._turns = 0, Turns()

        def build(layer: LayerRecord) -> nn.Module:
            full_precision = ideal or (alone is not None and alone.name != layer.name)
            return self._layer(layer if alone is None or full_precision else alone, full_precision)

        modules: dict[str, nn.Module] = {}
        for layer, module in zip(plan.document.layers, in_parallel(build, plan.document.layers), strict=True):
            modules[layer_path(layer.name)] = module
            if on_layer:
                on_layer(layer.name)
        self._analog = [module for module in modules.values() if isinstance(module, AnalogLinear | OnDemandLinear)]
        self._settle()
        for matmul in plan.document.matmuls:
            modules[matmul_path(matmul.name)] = self._matmul(matmul, full_precision=ideal or alone is not None)
        self.graph = CheckedGraph(plan, modules)
        self.module = self.graph.module
        self.seconds = 0.0

    def _layer(self, layer: LayerRecord, full_precision: bool) -> nn.Module:
        weight, bias = self._matrix(layer)
        if full_precision:
            return DigitalLinear(weight, bias)
        target = self.plan.document.chip.target(layer.target)
        if isinstance(target, DigitalTarget):
            return DigitalUnitLinear(
                weight, bias, target, [input_range or 1.0 for input_range in layer.option.input_ranges]
            )
        if self.layer_by_layer:
            return OnDemandLinear(layer.name, partial(self._programmed, layer))
        return self._programmed(layer)

    def _matrix(self, layer: LayerRecord) -> tuple[Tensor, Tensor | None]:
        weight = self.plan.tensors[weight_key(layer.name)].to(torch.float32)
        bias = self.plan.tensors[bias_key(layer.name)].to(torch.float32) if layer.has_bias else None
        return weight, bias

    def _programmed(self, layer: LayerRecord) -> AnalogLinear:
        (weight, bias), option = self._matrix(layer), layer.option
        return AnalogLinear(
            layer.name,
            weight,
            bias,
            [
                Use(input_range or 1.0, use.sample_axis)
                for input_range, use in zip(option.input_ranges, layer.uses, strict=True)
            ],
            (option.row_splits, option.column_splits),
            self._chips[layer.target],
            self.plan.tensors[channel_scale_key(layer.name)] if option.has_channel_scale else None,
            programming=self._methods[option.programming] if option.programming else None,
            clip_deviations=option.clip_deviations,
            calibration=self.plan.tensors[calibration_key(layer.name, layer.target)].float()
            if option.has_calibration
            else None,
        )

    def _matmul(self, matmul: MatmulRecord, full_precision: bool) -> nn.Module:
        if full_precision or matmul.operands == "fp32":
            return DigitalMatmul()
        return UnitMatmul(matmul.operands, matmul.left_ranges, matmul.right_ranges, left_signed=matmul.left_signed)

    @torch.inference_mode()
    def advance_to(self, time: str | float, *, on_layer: Progress | None = None) -> Session:
        """Let the chip drift to a time after programming: seconds, or text such as "1h" or "1mo".

        Any time may follow any other: a chip's state depends on the time alone. Returns the session. Runs of other
        threads end first, and those that begin later wait.
        Raises ``InputError`` for a time before zero or of an unknown unit.
        """
        seconds = parse_time(time)
        with self._turns.changing():
            self.seconds, self._next_sample = seconds, 0
            advanced = in_parallel(lambda layer: layer.advance_to(seconds), self._analog)
            for layer, _ in zip(self._analog, advanced, strict=True):
                if on_layer:
                    on_layer(layer.name)
            self._settle()
        return self

    def _settle(self) -> None:
        """What was read and made while many layers were programmed or advanced need not stay in memory."""
        if len(self._analog) > 1:
            hand_back()

    def __repr__(self) -> str:
        """A line for a terminal."""
        model, chip = self.plan.document.model.name, self.plan.document.chip.name
        what = "digital reference" if self.ideal else f"chip {self.repeat} of seed {self.seed}"
        return f"Session({model!r} on {chip}: {what}, {self.seconds:g} s after programming)"

    def __call__(self, /, *inputs: Any, **named: Any) -> dict[str, Tensor]:
        """The model's outputs for the next samples. Inputs are tensors or arrays: one mapping, in order, or by name."""
        return self.run({**self._by_name(inputs), **named})

    def _by_name(self, inputs: Sequence[Any]) -> Mapping[str, Any]:
        if len(inputs) == 1 and (inputs[0] is None or isinstance(inputs[0], Mapping)):
            return inputs[0] or {}
        names = [record.name for record in self.plan.document.inputs]
        if len(inputs) > len(names):
            raise InputError(f"{len(inputs)} inputs were given, the plan takes {len(names)}: {', '.join(names)}")
        return dict(zip(names, inputs, strict=False))

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, Any], *, samples: Sequence[int] | None = None) -> dict[str, Tensor]:
        """The model's outputs, in its order.

        samples: the number of each sample, which names its read noise; the next ones if not given. Threads may run one
        session at once: each run has its own samples.
        Raises ``InputError`` for inputs that do not fit the plan, and for values on which a node of its graph cannot
        run.
        """
        prepared = prepare_inputs(self.plan.document, inputs)
        with self._turns.reading(), self._reading.of(self._numbers(prepared, samples)):
            results = self.graph(list(prepared.values()))
        return {record.name: result for record, result in zip(self.plan.document.outputs, results, strict=True)}

    @torch.inference_mode()
    def find_nonfinite(
        self, inputs: Mapping[str, Any], *, samples: Sequence[int] | None = None
    ) -> NonfiniteOrigin | None:
        """Origin of the first NaN or infinity of those that reach the outputs; None if the outputs are finite.

        It runs the graph twice more, once node by node, on samples 0, 1, ... if not given, and counts none as read.
        Raises ``InputError`` for inputs that do not fit the plan.
        """
        prepared = prepare_inputs(self.plan.document, inputs)
        numbers = self._numbers(prepared, range(self._batch_size(prepared)) if samples is None else samples)
        with self._turns.reading(), self._reading.of(numbers):
            self.graph(list(prepared.values()))  # refuses what cannot run
            return find_origin(self.module, prepared.values(), [record.name for record in self.plan.document.outputs])

    def _numbers(self, prepared: Mapping[str, Tensor], samples: Sequence[int] | None) -> Sequence[int]:
        """The numbers of a run's samples: those given, or the next ones."""
        count = self._batch_size(prepared)
        if samples is None:
            with self._turns.lock:
                first = self._next_sample
                self._next_sample += count
            return range(first, first + count)
        if len(samples) != count:
            raise InputError(f"{len(samples)} sample numbers were given for a batch of {count}")
        return samples

    def _batch_size(self, prepared: Mapping[str, Tensor]) -> int:
        for record in self.plan.document.inputs:
            if record.counts_samples:
                return prepared[record.name].shape[0]
        return 1
