"""The operators that a plan's graph may call: pure functions of tensors and sizes, and nothing else.

Loading a plan from a stranger is safe because of this list: what is not on it is refused by name.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from tilewright.targets.errors import InputError, nearest

ELEMENTWISE = """
    __and__.Scalar __and__.Tensor __or__.Tensor __xor__.Tensor _to_copy.default abs.default acos.default
    acosh.default add.Scalar add.Tensor addcdiv.default addcmul.default asin.default asinh.default atan.default
    atan2.default atanh.default bitwise_and.Scalar bitwise_and.Tensor bitwise_left_shift.Tensor
    bitwise_not.default bitwise_or.Tensor bitwise_right_shift.Tensor bitwise_xor.Scalar bitwise_xor.Tensor
    ceil.default celu.default clamp.Tensor clamp.default clamp_max.Tensor clamp_max.default clamp_min.Tensor
    clamp_min.default clone.default cos.default cosh.default cumprod.default cumsum.default diff.default div.Scalar
    div.Tensor div.Tensor_mode elu.default eq.Scalar eq.Tensor erf.default erfc.default exp.default
    expm1.default floor.default floor_divide.default fmod.Scalar fmod.Tensor frac.default ge.Scalar ge.Tensor
    gelu.default gt.Scalar gt.Tensor hardshrink.default hardsigmoid.default hardswish.default hardtanh.default
    isinf.default isnan.default le.Scalar le.Tensor leaky_relu.default lerp.Scalar lerp.Tensor
    lift_fresh_copy.default log.default log10.default log1p.default log2.default log_sigmoid.default
    logaddexp.default logical_and.default logical_not.default logical_or.default logical_xor.default lt.Scalar
    lt.Tensor masked_fill.Scalar masked_fill.Tensor maximum.default minimum.default mish.default mul.Scalar
    mul.Tensor nan_to_num.default ne.Scalar ne.Tensor neg.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor
    reciprocal.default relu.default relu6.default remainder.Scalar remainder.Tensor round.decimals round.default
    rsqrt.default rsub.Scalar rsub.Tensor selu.default sgn.default sigmoid.default sign.default silu.default
    sin.default sinh.default softplus.default softshrink.default sqrt.default square.default sub.Scalar
    sub.Tensor tan.default tanh.default threshold.default to.device to.dtype to.dtype_layout tril.default
    triu.default trunc.default type_as.default where.Scalar where.ScalarOther where.ScalarSelf where.self
"""
SHAPE = """
    _unsafe_view.default alias.default as_strided.default broadcast_to.default cat.default
    channel_shuffle.default chunk.default col2im.default constant_pad_nd.default diagonal.default expand.default
    expand_as.default flatten.using_ints flip.default im2col.default meshgrid.default meshgrid.indexing
    movedim.int narrow.default numpy_T.default pad.default permute.default pixel_shuffle.default
    pixel_unshuffle.default reflection_pad1d.default reflection_pad2d.default repeat.default
    repeat_interleave.self_int replication_pad1d.default replication_pad2d.default reshape.default roll.default
    rot90.default select.int slice.Tensor split.Tensor split.sizes split_with_sizes.default squeeze.default
    squeeze.dim squeeze.dims stack.default sym_size.int t.default tile.default transpose.int unbind.int
    unflatten.int unfold.default unsafe_split.Tensor unsqueeze.default view.default
"""
LOOKUP = """
    bucketize.Tensor embedding.default gather.default index.Tensor index_add.default index_put.default
    index_select.default masked_select.default one_hot.default scatter.reduce scatter.src scatter.value
    scatter_add.default scatter_reduce.two select_scatter.default slice_scatter.default take_along_dim.default
"""
REDUCTION = """
    all.default all.dim all.dims amax.default amin.default any.default any.dim any.dims argmax.default
    argmin.default argsort.default sort.stable cummax.default dot.default linalg_vector_norm.default logsumexp.default
    max.default max.dim max.other mean.default mean.dim min.default min.dim min.other mv.default norm.Scalar
    norm.ScalarOpt_dim prod.default prod.dim_int sort.default std.correction std.dim sum.default sum.dim_IntList
    topk.default var.correction var.dim var_mean.correction var_mean.dim
"""
CREATION = """
    arange.default arange.start arange.start_step eye.default eye.m full.default full_like.default
    linspace.default new_full.default new_ones.default new_zeros.default ones.default ones_like.default
    scalar_tensor.default zeros.default zeros_like.default
"""
NETWORK = """
    _log_softmax.default _native_batch_norm_legit_no_training.default _safe_softmax.default _softmax.default
    _upsample_bilinear2d_aa.vec _upsample_nearest_exact1d.vec _upsample_nearest_exact2d.vec
    _upsample_nearest_exact3d.vec adaptive_avg_pool1d.default adaptive_avg_pool2d.default
    adaptive_avg_pool3d.default addmm.default avg_pool1d.default avg_pool2d.default avg_pool3d.default
    baddbmm.default batch_norm.default bilinear.default bmm.default conv1d.default conv1d.padding conv2d.default
    conv2d.padding conv3d.default conv3d.padding conv_transpose1d.default conv_transpose2d.input
    conv_transpose3d.input convolution.default cosine_similarity.default einsum.default glu.default
    grid_sampler.default group_norm.default instance_norm.default layer_norm.default linear.default
    log_softmax.int matmul.default max_pool1d.default max_pool1d_with_indices.default max_pool2d.default
    max_pool2d_with_indices.default max_pool3d.default max_pool3d_with_indices.default mm.default
    native_group_norm.default native_layer_norm.default prelu.default rms_norm.default softmax.int
    upsample_bicubic2d.default upsample_bicubic2d.vec upsample_bilinear2d.default upsample_bilinear2d.vec
    upsample_linear1d.default upsample_linear1d.vec upsample_nearest1d.default upsample_nearest1d.vec
    upsample_nearest2d.default upsample_nearest2d.vec upsample_nearest3d.default upsample_nearest3d.vec
    upsample_trilinear3d.default upsample_trilinear3d.vec
"""
ATEN = frozenset(" ".join([ELEMENTWISE, SHAPE, LOOKUP, REDUCTION, CREATION, NETWORK]).split())

PYTHON: dict[str, Callable[..., Any]] = {
    **{f"operator.{f.__name__}": f for f in (operator.add, operator.sub, operator.mul, operator.floordiv)},
    **{f"operator.{f.__name__}": f for f in (operator.truediv, operator.mod, operator.neg, operator.getitem)},
    **{f"operator.{f.__name__}": f for f in (operator.eq, operator.ne, operator.lt, operator.le)},
    **{f"operator.{f.__name__}": f for f in (operator.gt, operator.ge)},
    **{f"math.{f.__name__}": f for f in (math.sqrt, math.ceil, math.floor, math.trunc)},
    "torch.sym_max": torch.sym_max,
    "torch.sym_min": torch.sym_min,
    "torch.sym_float": torch.sym_float,
    "torch.sym_int": torch.sym_int,
    "torch.sym_sqrt": torch._sym_sqrt,  # type: ignore[attr-defined]
}
"""Functions of Python: arithmetic on sizes, and taking one of several results."""


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


def arguments_of(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a call of an ATen operator by their names, with defaults filled in."""
    found = {}
    for place, argument in enumerate(function._schema.arguments):
        found[argument.name] = args[place] if place < len(args) else kwargs.get(argument.name, argument.default_value)
    return found
