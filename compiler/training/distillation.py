"""Distillation: the loss by which a network learns from the digital one that it began as."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from tilewright.targets.spec.recipe import Distillation


def distilled(loss: Tensor, student: Tensor, teacher: Tensor, rule: Distillation) -> Tensor:
    """Loss (1 - share) · loss + share · T² · KL(teacher ‖ student) [], of logits over the temperature T.

    student, teacher: logits [samples, ..., classes]. One number a sample, or vectors of length 1, are compared by the
    mean squared difference, without a temperature. (Hinton 2015; analog-foundation-models has the same with T = 1.)
    """
    share = float(rule.share)
    if not share:
        return loss
    if student.dim() < 2 or student.shape[-1] == 1:
        learned = functional.mse_loss(student, teacher)
    else:
        temperature = float(rule.temperature)
        wanted = functional.log_softmax(teacher.float().flatten(0, -2) / temperature, dim=-1)
        found = functional.log_softmax(student.float().flatten(0, -2) / temperature, dim=-1)
        learned = functional.kl_div(found, wanted, reduction="batchmean", log_target=True) * temperature**2
    return (1 - share) * loss + share * learned
