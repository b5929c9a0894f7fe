"""Random numbers that have names instead of an order.

A draw is named by (seed, repeat, layer, effect, ...): a hash of that name is the key of a counter-based generator, and
a number's place in the draw is the counter. So what one layer draws does not depend on what was drawn before it, on
batch size, threads or the processor, and a draw need not be stored: any part of it can be made again. A name's hash has
64 bits: of the half million draws of a large plan two share one with a chance of 1 in 10⁸.

What a name stands for has a version, ``targets/draws_version.py``, to be raised with any change of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import prod

import torch
from torch import Tensor

from tilewright.runtime.chip import normal_law
from tilewright.runtime.chip.kernels import native
from tilewright.runtime.chip.philox import random_words


@dataclass(frozen=True)
class Draws:
    """The draws of one chip: repeat ``repeat`` of the Monte-Carlo run that ``seed`` names."""

    seed: int
    repeat: int

    def key(self, *name: object) -> int:
        """Key of the draw of that name, 64 bits."""
        text = "\x1f".join(str(part) for part in (self.seed, self.repeat, *name))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")

    def normal(self, shape: Sequence[int] | torch.Size, *name: object) -> Tensor:
        """Standard normal float32 numbers of that shape, of 32 bits each."""
        *lines, width = shape
        key, places = self.key(*name), _lines(prod(lines))
        made = native.normal_numbers(key, places, width, fine=True)
        if made is None:
            made = normal_law.fine(random_words(key, places, -(-width // normal_law.FINE_IN_BLOCK)))[:, :width]
        return made.reshape(tuple(shape))

    def uniform(self, shape: Sequence[int] | torch.Size, *name: object) -> Tensor:
        """Uniform float32 numbers in [0, 1) of that shape, multiples of 2^-24."""
        *lines, width = shape
        words = random_words(self.key(*name), _lines(prod(lines)), -(-width // 4))
        return normal_law.uniform(words)[:, :width].reshape(tuple(shape))

    def read_noise(self, places: Tensor, columns: int, *name: object) -> Tensor:
        """Standard normal float32 numbers [rows, columns] of a read, of 16 bits each.

        places: row within its sample, and the sample's number in two words, of each row [rows, 3] (``places_of``). So a
        sample's numbers do not depend on the samples beside it, and its first rows not on how many follow.
        """
        key = self.key(*name)
        made = native.normal_numbers(key, places, columns, fine=False)
        if made is None:
            made = normal_law.coarse(random_words(key, places, -(-columns // normal_law.COARSE_IN_BLOCK)))[:, :columns]
        return made


def _lines(count: int) -> Tensor:
    """Places of the lines of a tensor [count, 3]: numbered from 0."""
    places = torch.zeros(count, 3, dtype=torch.int64)
    places[:, 0] = torch.arange(count)
    return places


def places_of(samples: Sequence[int], before: int, after: int, step: int = 0) -> Tensor:
    """Places [before · samples · after, 3] of the rows of an input [before, samples, after]; see ``read_noise``.

    step: of a loop, whose rows follow those of the steps before it, as if the steps were one input.
    """
    return _places_of(tuple(samples), before, after, step)


@lru_cache(maxsize=64)  # the layers of a run ask for the same ones
def _places_of(samples: tuple[int, ...], before: int, after: int, step: int) -> Tensor:
    first = step * before * after
    rows = torch.arange(first, first + before * after).view(before, 1, after).expand(-1, len(samples), -1)
    numbers = torch.tensor(samples, dtype=torch.int64).view(1, -1, 1).expand_as(rows)
    return torch.stack((rows, numbers & 0xFFFFFFFF, (numbers >> 32) & 0xFFFFFFFF), dim=-1).reshape(-1, 3)
