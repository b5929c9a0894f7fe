"""Loops: a part of a graph that runs once a step along sequences, and hands states from one step to the next."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, fx, nn

from tilewright.runtime.chip.samples import stepping
from tilewright.targets.errors import InputError


class Loop(nn.Module):
    """Loop over sequences, such as a recurrent layer's: its body runs once a step, over the same layers each time.

    body: takes ``states`` states, one step of each sequence, and what stays the same, in this order; gives the new
    states, and what is kept of the step. Devices are read anew at each step: its number names the noise of the reads.
    """

    body: fx.GraphModule

    def __init__(self, body: fx.GraphModule, states: int) -> None:
        super().__init__()
        self.body, self.states = body, states

    def forward(
        self, states: Sequence[Tensor], sequences: Sequence[Tensor], others: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """The last states, then what was kept, each with the steps along a new first dimension.

        states: before the first step. sequences: [steps, ...]. others: the same at each step. Raises ``InputError``
        for no steps.
        """
        steps = check_steps(sequences)
        kept: list[Tensor] = []
        for step in range(steps):
            with stepping(step):
                results = self.step(*states, *(sequence[step] for sequence in sequences), *others)
            states, given = results[: self.states], results[self.states :]
            if not step:
                kept = [one.new_empty(steps, *one.shape) for one in given]
            for place, one in zip(kept, given, strict=True):
                place[step] = one
        return [*states, *kept]

    def step(self, *inputs: Tensor) -> list[Tensor]:
        """Results of the body for the states, one step of each sequence, and what stays the same."""
        results: list[Tensor] = self.body(*inputs)
        return results


def check_steps(sequences: Sequence[Tensor]) -> int:
    """Steps of a loop over sequences. Raises ``InputError`` for none, and for sequences that differ in length."""
    lengths = {sequence.shape[0] if sequence.dim() else 0 for sequence in sequences}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"a loop takes sequences of one length from 1, not of {sorted(lengths)} steps")
    return lengths.pop()
