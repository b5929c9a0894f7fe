"""A large set of inputs through a session, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.nonfinite_origin import NonfiniteOrigin


def run_in_batches(session: Executable, inputs: Mapping[str, Tensor], batch_size: int) -> dict[str, Tensor]:
    """The outputs for all samples, in their order. Samples are numbered from 0: the batch size does not matter.

    inputs: complete and checked, see ``prepare_inputs``. A plan whose batch is fixed runs them at once.
    """
    parts = [session.run(batch, samples=samples) for batch, samples in _batches(session, inputs, batch_size)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if len(parts) > 1 else parts[0]


def find_nonfinite(session: Executable, inputs: Mapping[str, Tensor], batch_size: int) -> NonfiniteOrigin | None:
    """Origin of the first NaN or infinity of ``run_in_batches``, see ``Executable.find_nonfinite``."""
    found = (session.find_nonfinite(batch, samples=samples) for batch, samples in _batches(session, inputs, batch_size))
    return next((origin for origin in found if origin is not None), None)


def _batches(
    session: Executable, inputs: Mapping[str, Tensor], batch_size: int
) -> Iterator[tuple[Mapping[str, Tensor], range | None]]:
    """Batches: inputs of some samples, and these samples' numbers; everything and None where the batch is fixed."""
    batched = {record.name for record in session.plan.document.inputs if record.counts_samples}
    outputs_batched = all(record.counts_samples for record in session.plan.document.outputs)
    if not batched or not outputs_batched:
        yield inputs, None
        return
    count = inputs[next(iter(batched))].shape[0]
    for start in range(0, count, batch_size):
        stop = min(start + batch_size, count)
        batch = {name: value[start:stop] if name in batched else value for name, value in inputs.items()}
        yield batch, range(start, stop)
