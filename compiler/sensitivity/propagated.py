"""Fisher times noise: the layer's own error, carried to the outputs by their gradient.

With J the outputs' Jacobian by one layer's outputs and δ the error that its target makes there, the divergence is
E‖J δ‖²: the second order of the loss, whose first vanishes where outputs are exact. For probes v of standard normal
numbers E (vᵀJδ)² = ‖Jδ‖², and vᵀJ comes for all layers at once from one backward pass (Hutchinson 1990). So the
network runs once, and each layer only on its own inputs; the covariance of δ (weights' errors are the same for all
tokens) is in it without being written down. LeCun 1990 and Dong 2019 (HAWQ) rank layers by the same curvature.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.sensitivity.criteria import Criterion
from tilewright.compiler.sensitivity.product import exact_layer
from tilewright.compiler.sensitivity.samples import Batch
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.samples import step_read
from tilewright.runtime.execution.inputs import prepare_inputs
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import LayerRecord

PROBES = 4
SAMPLES = 32
"""Samples whose gradients are kept, at most."""


@dataclass
class Gradients:
    """Gradients of one use: its inputs [rows, in], outputs' gradients [probes, rows, out], sample of each row."""

    inputs: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    samples: list[Tensor] = field(default_factory=list)


class PropagatedError(Criterion):
    """Divergence that the gradient predicts from the error of the layer's own outputs."""

    name, unit = "gradient", "‖ŷ-y‖²/‖y‖²"
    meaning = "outputs' divergence as the gradient predicts it from the layer's own error"

    @cached_property
    def seen(self) -> dict[tuple[str, int], Gradients]:
        """Gradients by layer and use, from one forward and ``PROBES`` backward passes a sample."""
        reference = Session(self.setting.plan, ideal=True)
        found: dict[tuple[str, int], Gradients] = {}
        self.count = 0
        for single in self.setting.divergence.samples.singles(self.setting.plan):
            if self.count >= SAMPLES:
                break
            self._see(reference, single, found)
            self.count += 1
        return found

    def _see(self, reference: Session, single: Batch, found: dict[tuple[str, int], Gradients]) -> None:
        with torch.inference_mode(False), torch.enable_grad():
            prepared = prepare_inputs(self.setting.plan.document, {k: v.clone() for k, v in single.inputs.items()})
            with watched_outputs(reference) as watched:
                results = reference.graph(list(prepared.values()))
            names = [record.name for record in self.setting.plan.document.outputs]
            outputs = dict(zip(names, results, strict=True))
            offsets = [offset for _, offset in watched.values()]
            kept: list[list[Tensor]] = []
            for probe in range(PROBES):
                projected = self._project(outputs, single, probe)
                grads = torch.autograd.grad(projected, offsets, retain_graph=probe < PROBES - 1, allow_unused=True)
                zeros = (torch.zeros_like(offset) for offset in offsets)
                kept.append([zero if grad is None else grad for grad, zero in zip(grads, zeros, strict=True)])
        for place, ((layer, use, _), (x, _)) in enumerate(watched.items()):
            gradients = found.setdefault((layer, use), Gradients())
            rows = x.reshape(-1, x.shape[-1]).detach()
            gradients.inputs.append(rows)
            gradients.gradients.append(torch.stack([probe[place].reshape(len(rows), -1) for probe in kept]))
            gradients.samples.append(torch.full((len(rows),), self.count))

    def _project(self, outputs: dict[str, Tensor], single: Batch, probe: int) -> Tensor:
        """Projection v·y, with v so that E (v·δy)² is the divergence."""
        divergence, total = self.setting.divergence, torch.zeros(())
        for name in divergence.outputs:
            output = divergence.masked(outputs[name], single)
            size = float(divergence.sizes(name, output.detach()).sum())
            normal = Draws(self.setting.seed, 0).normal(output.shape, "probe", name, probe, single.numbers[0])
            total = total + (output * normal).sum() / (max(size, 1e-300) * len(divergence.outputs)) ** 0.5
        return total

    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """Squared projection on that chip, the mean over probes and samples."""
        module = self.setting.layer_alone(layer, repeat)
        exact = exact_layer(self.setting.plan, layer)
        projections = torch.zeros(PROBES, SAMPLES, dtype=torch.float64)
        for use in range(len(layer.uses)):
            gradients = self.seen.get((layer.name, use))
            if gradients is None:
                continue
            x = torch.cat(gradients.inputs)
            error = module(x, use) - exact(x)
            inner = (torch.cat(gradients.gradients, dim=1) * error).sum(dim=-1).double()
            projections.index_add_(1, torch.cat(gradients.samples), inner)
        return float(projections.square().sum() / (PROBES * self.count))


@contextmanager
def watched_outputs(reference: Session) -> Iterator[dict[tuple[str, int, int], tuple[Tensor, Tensor]]]:
    """Note each use's input at each step of a run, and add to its output a zero to take the gradient by."""
    watched: dict[tuple[str, int, int], tuple[Tensor, Tensor]] = {}
    handles = []
    for layer in reference.plan.document.layers:

        def after(_module: Any, arguments: tuple[Any, ...], result: Tensor, name: str = layer.name) -> Tensor:
            offset = torch.zeros_like(result, requires_grad=True)
            watched[name, arguments[1] if len(arguments) > 1 else 0, step_read()] = (arguments[0], offset)
            return result + offset

        handles.append(reference.module.get_submodule(layer_path(layer.name)).register_forward_hook(after))
    try:
        yield watched
    finally:
        for handle in handles:
            handle.remove()
