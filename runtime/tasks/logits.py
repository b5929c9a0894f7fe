"""Logits of a plan: how many classes its model tells apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError

LOGITS = "logits"
OF_TEXTS = ("batch", "classes")
OF_TOKENS = ("batch", "sequence", "classes")


def number_of_logits(plan: Plan, shape: Sequence[str] = OF_TEXTS) -> int:
    """Number of logits of each text, or of each token.

    shape: what the dimensions of the logits count, ``OF_TEXTS`` or ``OF_TOKENS``. Raises ``InputError`` if the plan
    gives no logits, or logits of another shape.
    """
    outputs = {record.name: record.shape for record in plan.document.outputs}
    if LOGITS not in outputs:
        raise InputError(f"the task needs a model that gives {LOGITS}; the plan has {', '.join(outputs)}")
    found = outputs[LOGITS]
    if len(found) != len(shape) or not isinstance(found[-1], int):
        raise InputError(
            f"the task needs logits of shape [{', '.join(shape)}]; the plan's are [{', '.join(map(str, found))}]"
        )
    return found[-1]


def class_loss(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """Cross-entropy [] of logits [samples, classes] with the numbers of the right classes, in nats."""
    return functional.cross_entropy(logits.float(), torch.tensor(list(classes), device=logits.device))
