"""A large set of inputs through a session, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilewright.runtime.session import Session


def run_in_batches(session: Session, inputs: Mapping[str, Tensor], batch_size: int) -> dict[str, Tensor]:
    """The outputs for all samples, in their order. Samples are numbered from 0: the batch size does not matter.

    inputs: complete and checked, see ``prepare_inputs``. A plan whose batch is fixed runs them at once.
    """
    batched = {record.name for record in session.plan.document.inputs if record.shape and record.shape[0] == "batch"}
    outputs_batched = all(record.shape and record.shape[0] == "batch" for record in session.plan.document.outputs)
    if not batched or not outputs_batched:
        return session.run(inputs)
    count = inputs[next(iter(batched))].shape[0]
    parts: list[dict[str, Tensor]] = []
    for start in range(0, count, batch_size):
        stop = min(start + batch_size, count)
        batch = {name: value[start:stop] if name in batched else value for name, value in inputs.items()}
        parts.append(session.run(batch, samples=range(start, stop)))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
