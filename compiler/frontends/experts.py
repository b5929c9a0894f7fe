"""Mixtures of experts of transformers: one operator while a model is traced, then layers of each expert apart.

The router stays digital. A matrix of an expert becomes a layer of its own, which reads the vectors that the router
sends to it and gives zeros for the others; results are summed with the router's weights, one expert after the other, so
that they do not depend on the batch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from tilewright.compiler.network.chosen_linear import CHOSEN_LINEAR
from tilewright.targets.errors import InputError

_modules: WeakValueDictionary[str, nn.Module] = WeakValueDictionary()
"""Modules of experts that are being traced, by what their operators call them."""
INTERFACE = "transformers.integrations.moe"


@torch.library.custom_op("tilewright::experts", mutates_args=())
def _experts(x: Tensor, index: Tensor, shares: Tensor, matrices: list[Tensor], module: str) -> Tensor:
    """All experts of a module, as one operator."""
    return apart(x, index, shares, matrices, module)


@_experts.register_fake
def _shape(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def apart(x: Tensor, index: Tensor, shares: Tensor, matrices: Sequence[Tensor], module: str) -> Tensor:
    """Sum over experts of what each makes of the vectors x [tokens, in] that are sent to it, times its share.

    index, shares: experts of each vector and their weights [tokens, experts a token]. matrices: of all experts, with
    the expert first. module: name of the module whose code joins them.
    """
    experts, total = _modules[module], None
    for number in range(len(matrices[0])):
        here = index == number
        made = _expert(experts, x, here.any(dim=-1), [one[number] for one in matrices])
        made = made * (shares * here).sum(dim=-1, keepdim=True)
        total = made if total is None else total + made
    assert total is not None
    return total.to(x.dtype)


def _expert(experts: Any, x: Tensor, chosen: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Outputs of one expert for the chosen vectors; zeros for the others."""
    given = iter(matrices)
    first, first_bias = next(given), next(given) if experts.has_bias else None
    last, last_bias = next(given), next(given) if experts.has_bias else None
    turned = experts.is_transposed
    inner = CHOSEN_LINEAR(x, first.transpose(0, 1) if turned else first, first_bias, chosen)
    inner = experts._apply_gate(inner) if experts.has_gate else experts.act_fn(inner)
    outputs: Tensor = CHOSEN_LINEAR(inner, last.transpose(0, 1) if turned else last, last_bias, chosen)
    return outputs


def _as_operator(experts: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """Forward of transformers' modules of experts while a model is traced."""
    if getattr(experts, "has_post_expert_norm", False):
        raise InputError(f"{type(experts).__name__} normalises what each expert gives, which is not supported yet")
    first = "gate_up_proj" if experts.has_gate else "up_proj"
    names = [first, *([f"{first}_bias"] if experts.has_bias else []), "down_proj"]
    names += ["down_proj_bias"] if experts.has_bias else []
    name = str(id(experts))
    _modules[name] = experts
    matrices = [getattr(experts, one) for one in names]
    made: Tensor = torch.ops.tilewright.experts(hidden_states, top_k_index, top_k_weights, matrices, name)
    return made


@contextmanager
def experts_whole() -> Iterator[None]:
    """Let torch.export take transformers' mixtures of experts as one operator each while the ``with`` block runs."""
    interface = getattr(sys.modules.get(INTERFACE), "ExpertsInterface", None)
    if interface is None:
        yield
        return
    with patch.object(interface, "get_interface", lambda *_: _as_operator):
        yield


APART = {torch.ops.tilewright.experts.default: apart}
"""Mixtures of experts written as products of chosen vectors."""
