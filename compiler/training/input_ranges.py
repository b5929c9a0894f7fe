"""Input ranges that are learned: by AIHWKit's rule in the optimiser, or moved by bounded steps outside it."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from tilewright.compiler.training.own_formats import Change, own_formats
from tilewright.targets.spec.recipe import BoundedRanges, DeviationStart, GradientRanges, RecipeRanges

SIZE_KEPT = 0.99
"""Share of the running mean of squared pulls that a pass keeps."""


class InputRanges(nn.Module):
    """State of the learning of one layer's ranges [row-blocks], beside the ranges themselves.

    Its buffers are saved with the layer, so that a resumed training goes on with the same bits.
    """

    asked: Tensor
    """Pull of each range since it was moved [row-blocks], relative to its size."""
    size: Tensor
    """Running mean of the squares of such pulls [row-blocks]."""
    covered: Tensor
    """Least share of the inputs within each range since it was moved [row-blocks]; 0 before a backward pass."""
    seen: Tensor
    """Number of passes of which the start of the ranges was made []."""

    def __init__(self, rule: RecipeRanges, blocks: int) -> None:
        super().__init__()
        self.rule = rule
        for name, value in (("asked", 0.0), ("size", 0.0), ("covered", 0.0)):
            self.register_buffer(name, torch.full((blocks,), value))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def _apply(self, fn: Change, recurse: bool = True) -> Self:
        with own_formats(self, [name for name, _ in self.named_buffers(recurse=False)]):
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @property
    def starts(self) -> bool:
        """True while the ranges are made of the deviations of what is seen."""
        start = self.rule.start
        return isinstance(start, DeviationStart) and int(self.seen) < int(start.passes)

    @torch.no_grad()
    def see(self, ranges: Tensor, parts: list[Tensor]) -> None:
        """Move ranges [row-blocks] to the running mean of the deviations of the inputs' parts, while they start."""
        start = self.rule.start
        assert isinstance(start, DeviationStart)
        found = torch.stack([part.float().std(correction=0) for part in parts]).mul_(float(start.deviations))
        before = int(self.seen)
        ranges.copy_((ranges * before + found.to(ranges)) / (before + 1) if before else found)
        ranges.clamp_(min=torch.finfo(torch.float32).tiny)
        self.seen.add_(1)

    def gradient(self, input_range: Tensor, block: int, pull: Tensor, covered: float) -> Tensor | None:
        """Gradient of a range for the optimiser [] (aihwkit ``InputRangeParameter``); None if it is moved by ``move``.

        pull: as of ``conversion.dac``. The gradient is relative: the pull times the range, plus decay times the range
        while at least ``covered`` of the inputs lie within.
        """
        rule, relative = self.rule.learning, pull * input_range
        if isinstance(rule, GradientRanges):
            decays = rule.decay > 0 and covered > rule.covered
            return relative + float(rule.decay) * input_range if decays else relative
        if isinstance(rule, BoundedRanges):
            before = float(self.covered[block])
            self.asked[block] += relative
            self.covered[block] = min(before, covered) if before else covered
        return None

    @torch.no_grad()
    def move(self, ranges: Tensor) -> None:
        """Move ranges [row-blocks] by what backward passes asked for since they were moved."""
        rule = self.rule.learning
        if not isinstance(rule, BoundedRanges) or not bool((self.covered > 0).any()):
            return
        self.size.mul_(SIZE_KEPT).add_((1 - SIZE_KEPT) * self.asked.square())
        step, usual = float(rule.step), self.size.sqrt()
        growth = torch.where(usual > 0, -self.asked / usual, torch.zeros_like(usual)).clamp_(0.0, 1.0).mul_(step)
        decay = (self.covered > float(rule.covered)).to(growth) * (step * float(rule.decay))
        moved = torch.where(self.covered > 0, growth - decay, torch.zeros_like(growth))
        ranges.mul_(moved.exp())
        self.asked.zero_()
        self.covered.zero_()


def is_parameter(rule: RecipeRanges) -> bool:
    """True if ranges are parameters that an optimiser moves."""
    return isinstance(rule.learning, GradientRanges)
