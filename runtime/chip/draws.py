"""Random numbers that have names instead of an order.

A draw is named by (seed, repeat, layer, effect, ...): its generator is seeded with a hash of that name. So what one
layer draws does not depend on what was drawn before it, on batch size, or on threads, and a draw need not be stored:
it can be made again.

torch's generator keeps 32 bits of the 64 of the hash. So of n draws about n²/2³³ pairs are the same numbers: some
thirty among the half million draws of a large plan. Each draw has the law that it should; the two of such a pair, as a
rule of two layers or samples, are not independent of each other.

Uniform numbers are the same bits on every processor. torch makes normal ones with the instructions that a processor
has: without AVX2 two in five differ from those with it, by up to 2e-6. So the bits of a chip are those of one kind of
processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

GROUP = 16
"""Normal numbers that torch makes at once: only whole groups have a prefix that does not depend on the length."""


@dataclass(frozen=True)
class Draws:
    """The draws of one chip: repeat ``repeat`` of the Monte-Carlo run that ``seed`` names."""

    seed: int
    repeat: int

    def generator(self, *name: object) -> torch.Generator:
        """The generator of the draw of that name."""
        text = "\x1f".join(str(part) for part in (self.seed, self.repeat, *name))
        digest = blake2b(text.encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "little", signed=True))

    def normal(self, shape: Sequence[int] | torch.Size, *name: object) -> Tensor:
        """Standard normal float32 numbers of that shape."""
        return torch.empty(tuple(shape)).normal_(generator=self.generator(*name))

    def normal_per_sample(self, samples: Sequence[int], rows: int, columns: int, *name: object) -> Tensor:
        """Standard normal numbers [len(samples), rows, columns], each sample's named by its number.

        A sample's first rows are the same numbers however many rows follow, so padding does not change them.
        """
        whole = -(-columns // GROUP) * GROUP
        numbers = torch.empty(len(samples), rows, whole)
        for place, sample in enumerate(samples):
            numbers[place].normal_(generator=self.generator(*name, sample))
        return numbers[..., :columns]
