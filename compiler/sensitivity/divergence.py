"""Divergence of outputs from those of the digital reference, sample by sample."""

from __future__ import annotations

import torch
from torch import Tensor

from tilewright.compiler.sensitivity.samples import Batch, Samples
from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.inputs import sample_axes
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.storage.weights_file import dtype_name
from tilewright.targets.errors import InputError, nearest

MASK = "attention_mask"
"""Name of the input that marks padding, whose outputs mean nothing."""


class Divergence:
    """Divergence of outputs: mean over samples and outputs of ‖ŷ - y‖² / ‖y‖².

    A variance in parts of the signal: those of layers that err independently add up, as far as errors are small.
    """

    def __init__(self, plan: Plan, samples: Samples, outputs: list[str] | None = None) -> None:
        """Run the digital reference. outputs: the plan's outputs that count; all with fractions if None.

        Raises ``InputError`` for outputs that are not there or hold no fractions.
        """
        self.samples = samples
        known = [record.name for record in plan.document.outputs]
        for name in outputs or []:
            if name not in known:
                raise InputError(f"the plan has no output {name!r}; {nearest(name, known)}")
        reference = Session(plan, ideal=True)
        self.axes = sample_axes(plan.document.outputs) if sample_axes(plan.document.inputs) else {}
        self.exact: list[dict[str, Tensor]] = []
        for batch in samples.batches:
            found = reference.run(batch.inputs, samples=batch.numbers)
            wanted = outputs or [name for name, value in found.items() if value.is_floating_point()]
            for name in wanted:
                if not found[name].is_floating_point():
                    raise InputError(
                        f"output {name!r} holds {dtype_name(found[name].dtype)}: only fractions can diverge"
                    )
            self.exact.append({name: self.masked(found[name], batch) for name in wanted})
        self.outputs = list(self.exact[0])
        if not self.outputs:
            raise InputError(f"none of the plan's outputs {', '.join(known)} holds fractions, so none can diverge")

    @staticmethod
    def masked(output: Tensor, batch: Batch) -> Tensor:
        """An output with zeros for padding, where its first dimensions are the mask's."""
        mask = batch.inputs.get(MASK)
        if mask is None or output.shape[: mask.dim()] != mask.shape:
            return output
        return output * mask.view(*mask.shape, *[1] * (output.dim() - mask.dim())).to(output.dtype)

    def sizes(self, name: str, output: Tensor) -> Tensor:
        """Size ‖y‖² of each sample [samples] of an output; one for all where the plan counts none there."""
        axis = self.axes.get(name)
        rows = output.reshape(1, -1) if axis is None else output.movedim(axis, 0).flatten(1)
        return rows.double().square().reshape(len(rows), -1).sum(dim=1)

    def of(self, session: Executable) -> float:
        """The divergence of a session's outputs. What is not finite counts as infinitely far."""
        parts: list[Tensor] = []
        for batch, exact in zip(self.samples.batches, self.exact, strict=True):
            found = session.run(batch.inputs, samples=batch.numbers)
            errors = []
            for name, reference in exact.items():
                size = self.sizes(name, reference)
                wrong = self.sizes(name, self.masked(found[name], batch) - reference)
                errors.append(torch.where(size > 0, wrong / size, wrong))
            parts.append(torch.stack(torch.broadcast_tensors(*errors)).mean(dim=0))
        result = float(torch.cat(parts).mean())
        return result if result == result else float("inf")
