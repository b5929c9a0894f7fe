"""The operators that a plan's graph may call: pure functions of tensors and sizes, and nothing else.

Loading a plan from a stranger is safe because of this list: what is not on it is refused by name.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from tilewright.targets.errors import InputError, nearest

ELEMENTWISE = """
    abs.default add.Scalar add.Tensor bitwise_and.Scalar bitwise_and.Tensor bitwise_not.default bitwise_or.Tensor
    ceil.default clamp.Tensor clamp.default clamp_max.default clamp_min.default clone.default cos.default
    cumsum.default div.Scalar div.Tensor div.Tensor_mode elu.default eq.Scalar eq.Tensor erf.default exp.default
    floor.default floor_divide.default fmod.Scalar fmod.Tensor ge.Scalar ge.Tensor gelu.default gt.Scalar gt.Tensor
    hardsigmoid.default hardswish.default isinf.default isnan.default le.Scalar le.Tensor leaky_relu.default
    log.default log1p.default logical_and.default logical_not.default logical_or.default logical_xor.default
    lt.Scalar lt.Tensor masked_fill.Scalar masked_fill.Tensor maximum.default minimum.default mish.default
    mul.Scalar mul.Tensor ne.Scalar ne.Tensor neg.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor
    reciprocal.default relu.default relu6.default remainder.Scalar remainder.Tensor round.default rsqrt.default
    rsub.Scalar rsub.Tensor sgn.default sigmoid.default sign.default silu.default sin.default softplus.default
    sqrt.default square.default sub.Scalar sub.Tensor tanh.default tril.default triu.default where.ScalarOther
    where.ScalarSelf where.self where.Scalar __and__.Scalar __and__.Tensor __or__.Tensor __xor__.Tensor
    _to_copy.default to.dtype to.dtype_layout to.device type_as.default lift_fresh_copy.default
"""
SHAPE = """
    as_strided.default cat.default chunk.default diagonal.default expand.default expand_as.default
    flatten.using_ints flip.default movedim.int numpy_T.default pad.default constant_pad_nd.default permute.default
    repeat.default repeat_interleave.self_int reshape.default roll.default select.int slice.Tensor split.Tensor
    split_with_sizes.default split.sizes squeeze.default squeeze.dim squeeze.dims stack.default sym_size.int
    t.default tile.default transpose.int unbind.int unflatten.int unfold.default unsqueeze.default view.default
    _unsafe_view.default
"""
LOOKUP = """
    embedding.default gather.default index.Tensor index_select.default masked_select.default scatter.src
    scatter.value slice_scatter.default select_scatter.default index_put.default
"""
REDUCTION = """
    all.default all.dim amax.default amin.default any.default any.dim argmax.default argmin.default max.default
    max.dim max.other mean.default mean.dim min.default min.dim min.other norm.ScalarOpt_dim
    linalg_vector_norm.default prod.default std.correction sum.default sum.dim_IntList topk.default var.correction
    var_mean.correction sort.default
"""
CREATION = """
    arange.default arange.start arange.start_step full.default full_like.default new_full.default new_ones.default
    new_zeros.default ones.default ones_like.default scalar_tensor.default zeros.default zeros_like.default
"""
NETWORK = """
    _native_batch_norm_legit_no_training.default _safe_softmax.default _softmax.default adaptive_avg_pool1d.default
    adaptive_avg_pool2d.default addmm.default avg_pool1d.default avg_pool2d.default baddbmm.default
    batch_norm.default bilinear.default bmm.default conv1d.default conv2d.default convolution.default einsum.default
    glu.default group_norm.default instance_norm.default layer_norm.default linear.default log_softmax.int
    matmul.default max_pool1d.default max_pool2d.default mm.default native_layer_norm.default prelu.default
    rms_norm.default softmax.int upsample_bilinear2d.vec upsample_nearest2d.vec upsample_bilinear2d.default
    upsample_nearest2d.default
"""
ATEN = frozenset(" ".join([ELEMENTWISE, SHAPE, LOOKUP, REDUCTION, CREATION, NETWORK]).split())

PYTHON: dict[str, Callable[..., Any]] = {
    **{f"operator.{f.__name__}": f for f in (operator.add, operator.sub, operator.mul, operator.floordiv)},
    **{f"operator.{f.__name__}": f for f in (operator.truediv, operator.mod, operator.neg, operator.getitem)},
    **{f"operator.{f.__name__}": f for f in (operator.eq, operator.ne, operator.lt, operator.le)},
    **{f"operator.{f.__name__}": f for f in (operator.gt, operator.ge)},
    "math.sqrt": math.sqrt,
    "torch.sym_max": torch.sym_max,
    "torch.sym_min": torch.sym_min,
    "torch.sym_float": torch.sym_float,
    "torch.sym_int": torch.sym_int,
    "torch.sym_sqrt": torch._sym_sqrt,  # type: ignore[attr-defined]
}
"""Arithmetic on sizes, and taking one of several results."""


@cache
def allowed_functions() -> dict[str, Any]:
    """Every allowed operator by the name it has in a plan."""
    functions: dict[str, Any] = dict(PYTHON)
    for name in sorted(ATEN):
        packet, overload = name.split(".")
        found = getattr(getattr(torch.ops.aten, packet, None), overload, None)
        if found is not None:  # an overload that this torch does not have cannot be called by a plan either
            functions[f"aten.{name}"] = found
    return functions


@cache
def _names() -> dict[Any, str]:
    return {function: name for name, function in allowed_functions().items()}


def function_name(function: Any) -> str | None:
    """The name of an allowed operator; None for any other function."""
    try:
        return _names().get(function)
    except TypeError:
        return None


def allowed_function(name: str) -> Any:
    """The operator of that name. Raises ``InputError`` for any name that is not on the list."""
    functions = allowed_functions()
    if name not in functions:
        raise InputError(f"operator {name!r} is not one that a plan may call; {nearest(name, functions)}")
    return functions[name]
