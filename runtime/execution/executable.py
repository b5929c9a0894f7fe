"""A plan's graph over modules, ready to be called: what runs, whoever made the modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from tilewright.runtime.chip.samples import reading
from tilewright.runtime.execution.checked_graph import CheckedGraph
from tilewright.runtime.execution.inputs import prepare_inputs, sample_axes
from tilewright.runtime.execution.nonfinite_origin import NonfiniteOrigin, find_origin
from tilewright.runtime.execution.turns import Turns
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError


class Executable:
    """A network to be run: a plan's graph over the modules of its layers and products.

    Calling it returns the model's outputs by the model's names. Reads are numbered: each call reads the next samples,
    so calling twice with one input gives two different reads, and splitting a batch over several calls changes nothing.
    Threads may call it at once.
    """

    def __init__(
        self, plan: Plan, modules: Mapping[str, nn.Module], seconds: float = 0.0, beside: Executable | None = None
    ) -> None:
        """Take modules by the paths that the plan's graph calls. seconds: their time after programming.

        beside: another of this plan, whose tensors beside those of modules are shared.
        """
        self.seconds = seconds
        self._next_sample, self._turns = 0, Turns()
        self._run_as(plan, modules, beside)

    def _run_as(self, plan: Plan, modules: Mapping[str, nn.Module], beside: Executable | None = None) -> None:
        """Run the graph of a plan over these modules from now on."""
        self.graph: CheckedGraph = CheckedGraph(plan, modules, beside.graph.tensors() if beside is not None else None)
        self.plan = plan

    @property
    def module(self) -> fx.GraphModule:
        """The graph as a module. Its ``.to(device)`` moves every tensor that a run uses."""
        return self.graph.module

    def __repr__(self) -> str:
        """A line for a terminal."""
        model, chip = self.plan.document.model.name, self.plan.document.chip.name
        return f"{type(self).__name__}({model!r} on {chip}: {self.seconds:g} s after programming)"

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

        samples: the number of each sample, which names its read noise; the next ones if not given. Threads may run
        side by side: each run has its own samples.
        Raises ``InputError`` for inputs that do not fit the plan, and for values on which a node of its graph cannot
        run.
        """
        prepared = prepare_inputs(self.plan.document, inputs)
        with self._turns.reading(), reading(self._numbers(prepared, samples)):
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
        with self._turns.reading(), reading(numbers):
            self.graph(list(prepared.values()))  # refuses what cannot run
            return find_origin(self.module, prepared.values(), [record.name for record in self.plan.document.outputs])

    def _numbers(self, prepared: Mapping[str, Tensor], samples: Sequence[int] | None) -> Sequence[int]:
        """The numbers of a run's samples: those given, or the next ones."""
        count = self._batch_size(prepared)
        if samples is None:
            return self.next_samples(count)
        if len(samples) != count:
            raise InputError(f"{len(samples)} sample numbers were given for a batch of {count}")
        return samples

    def next_samples(self, count: int) -> range:
        """Numbers of the next samples, which count as read from now on."""
        with self._turns.lock:
            first = self._next_sample
            self._next_sample += count
        return range(first, first + count)

    def _batch_size(self, prepared: Mapping[str, Tensor]) -> int:
        axes = sample_axes(self.plan.document.inputs)
        return next((prepared[name].shape[axis] for name, axis in axes.items()), 1)
