"""Layers that keep what they gave for each row, and read only rows that are new.

A read is a function of the devices, the row and the name of its noise, which are the number of the sample and of the
row in it. Where a text grows by a token all rows before it are as they were, so what tiles gave for them is kept: a
cache that changes nothing but the time that a token takes. Rows are compared, not assumed: one that differs is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tilewright.runtime.chip.samples import samples_read, step_read, stepping
from tilewright.runtime.chip.uses import Use
from tilewright.runtime.execution.layer_builder import sample_axis
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.plan import Plan

GROWTH = 64
"""Rows by which the memory of a layer grows at once."""


@dataclass
class Kept:
    """Inputs [samples, rows, in] that a use of a layer read, and outputs [samples, rows, out] that it gave."""

    samples: tuple[int, ...]
    inputs: Tensor
    outputs: Tensor
    there: Tensor
    """Rows that were read [samples, rows]."""

    @classmethod
    def empty(cls, samples: tuple[int, ...], inputs: int, outputs: int) -> Kept:
        """Memory of no rows."""
        count = len(samples)
        return cls(
            samples, torch.empty(count, 0, inputs), torch.empty(count, 0, outputs),
            torch.zeros(count, 0, dtype=torch.bool),
        )  # fmt: skip

    def grown(self, rows: int) -> Kept:
        """Memory with room for so many rows."""
        more = rows - self.there.shape[1]
        if more <= 0:
            return self
        more = -(-more // GROWTH) * GROWTH
        inputs, outputs, there = (
            torch.cat([one, one.new_zeros(len(one), more, *one.shape[2:])], dim=1)
            for one in (self.inputs, self.outputs, self.there)
        )
        return Kept(self.samples, inputs, outputs, there)

    def goes_on(self, rows: Tensor) -> bool:
        """True if rows [samples, rows, in] are those that are there, and one more."""
        known = rows.shape[1] - 1
        are_there = bool(known and self.there[:, :known].all() and not self.there[:, known].any())
        return are_there and torch.equal(self.inputs[:, :known], rows[:, :known])


class KeptRows(nn.Module):
    """A layer whose outputs are kept row by row."""

    def __init__(self, base: nn.Module, uses: list[Use], outputs: int) -> None:
        """Wrap a layer, whose reads of a row depend on no other. uses: where samples are; outputs: of the layer."""
        super().__init__()
        self.base, self.uses, self.outputs = base, uses, outputs
        self._kept: dict[int, Kept] = {}
        self.read = 0
        """Rows that were read so far."""

    def forward(self, x: Tensor, use: int = 0, chosen: Tensor | None = None) -> Tensor:
        """Outputs [..., out] of inputs x [..., in]. chosen: vectors [...] that are read, all if None."""
        samples, lead = tuple(samples_read()), x.shape[:-1]
        layout = self.uses[use].layout(lead, len(samples))
        if layout is None or step_read() or not x.numel():
            whole: Tensor = self.base(x, use, chosen)
            return whole
        before, after = layout
        folded = (before, len(samples), after)

        def by_sample(values: Tensor) -> Tensor:
            """Values of rows [samples, rows, ...], in the order that names their noise."""
            return values.reshape(*folded, *values.shape[len(lead) :]).transpose(0, 1).flatten(1, 2)

        def as_given(values: Tensor) -> Tensor:
            split: Tensor = values.unflatten(1, (before, after))
            return split.transpose(0, 1).reshape(*lead, *values.shape[2:])

        rows, count = by_sample(x), before * after
        kept = self._kept.get(use)
        if kept is None or kept.samples != samples:
            kept = Kept.empty(samples, x.shape[-1], self.outputs)
        self._kept[use] = kept = kept.grown(count)
        if chosen is None and lead == (len(samples), count) and before == 1 and kept.goes_on(x):
            return self._next(kept, x, use)
        same = kept.there[:, :count] & (kept.inputs[:, :count] == rows).all(dim=-1)
        wanted = torch.ones_like(same) if chosen is None else by_sample(chosen)
        new = wanted & ~same
        self.read += int(new.sum())
        made = by_sample(self.base(x, use, as_given(new)))
        kept.inputs[:, :count][new], kept.outputs[:, :count][new] = rows[new], made[new]
        kept.there[:, :count] |= new
        outputs = kept.outputs[:, :count]
        return as_given(outputs if chosen is None else outputs * wanted.unsqueeze(-1)).contiguous()

    def _next(self, kept: Kept, x: Tensor, use: int) -> Tensor:
        """Outputs of x [samples, rows, in], whose rows but the last are kept: the text has grown by a token."""
        place = x.shape[1] - 1
        with stepping(place):  # one row, whose noise is named as that of a loop's step is
            made: Tensor = self.base(x[:, place:], use)
        self.read += len(x)
        kept.inputs[:, place], kept.outputs[:, place] = x[:, place], made[:, 0]
        kept.there[:, place] = True
        return kept.outputs[:, : place + 1].contiguous()


def keeping_rows(plan: Plan, modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Modules of a plan by path: its layers keep what they gave, row by row, where samples can be told apart."""
    found = dict(modules)
    for layer in plan.document.layers:
        uses = [Use(1.0, sample_axis(use)) for use in layer.uses]
        if any(use.sample_axis is not None for use in uses):
            path = layer_path(layer.name)
            found[path] = KeptRows(modules[path], uses, plan.outputs_of(layer))
    return found
