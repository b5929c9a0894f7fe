"""Size that counts samples, found by a trial: what the model says of a sample does not depend on those beside it.

Most models have samples first; torch's recurrent layers and attention have steps first, unless they are told. Shapes do
not tell these apart, so two samples are run together and one of them alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from tilewright.runtime.plan.records import BATCH, InputRecord, OutputRecord

CLOSE = 1e-3
"""Relative difference that counts as rounding."""
MOST_TOGETHER = 4
"""Largest number of copies of a sample, where the model takes no single one."""


@torch.inference_mode()
def sample_dimension(
    graph: nn.Module, inputs: Sequence[InputRecord], outputs: Sequence[OutputRecord], example: Mapping[str, Tensor],
    steps: Collection[str] = (), beside: Sequence[str] = (),
) -> str | None:  # fmt: skip
    """Name of the size that counts samples: "batch" as it is named, or the first other one; None if none does.

    steps: names of sizes that count the steps of loops. beside: of those that count what loops do side by side, which
    are samples where no trial can be run; without loops the name stays as it is where no trial says otherwise.
    """
    names = [size for record in inputs for size in record.shape if isinstance(size, str)]
    unknown: list[str] = []
    for name in dict.fromkeys([BATCH, *names]):
        if name in steps:
            continue
        found = _counts_samples(graph, inputs, outputs, example, name)
        if found:
            return name
        if found is None and name in (beside or [BATCH]):
            unknown.append(name)
    return next(iter(unknown), None if beside else BATCH)


def _counts_samples(
    graph: nn.Module, inputs: Sequence[InputRecord], outputs: Sequence[OutputRecord], example: Mapping[str, Tensor],
    name: str,
) -> bool | None:  # fmt: skip
    """True if a size counts samples; None if that cannot be tried."""
    axes = {record.name: record.shape.index(name) for record in inputs if record.shape.count(name) == 1}
    places = {place: record.shape.index(name) for place, record in enumerate(outputs) if record.shape.count(name) == 1}
    if not axes or not places or any(record.shape.count(name) > 1 for record in inputs):
        return None
    for copies in range(1, MOST_TOGETHER + 1):
        first = {
            key: torch.cat([value.narrow(axes[key], 0, 1)] * copies, axes[key]) if key in axes else value
            for key, value in example.items()
        }
        other = {key: _changed(value, axes[key]) if key in axes else value for key, value in first.items()}
        both = {key: torch.cat([first[key], other[key]], axes[key]) if key in axes else first[key] for key in first}
        found = None
        with suppress(Exception):  # sizes that the graph does not take
            found = [graph(*given.values()) for given in (both, first, other)]
        if found is not None and any(bool(found[1][place].count_nonzero()) for place in places):  # zeros tell nothing
            together, *alone = found
            return all(
                _are_halves(together[place], [one[place] for one in alone], axis) for place, axis in places.items()
            )
    return None


def _changed(value: Tensor, axis: int) -> Tensor:
    """Another sample of the same kind: the same numbers in another order."""
    others = [dimension for dimension in range(value.dim()) if dimension != axis and value.shape[dimension] > 1]
    return value.flip(others[-1]) if others else value


def _are_halves(together: Tensor, alone: Sequence[Tensor], axis: int) -> bool:
    """True if an output of two samples together is that of each alone, one behind the other."""
    wanted = torch.cat(list(alone), axis).double()
    if together.shape != wanted.shape:
        return False
    found = together.double()
    scale = float(wanted.nan_to_num(0.0, 0.0, 0.0).abs().max()) if wanted.numel() else 0.0
    return torch.allclose(found, wanted, rtol=0.0, atol=CLOSE * scale, equal_nan=True)
