"""Shapes that are known: the same sizes, strides and memory as torch's own kernels for shapes give."""

import torch

from tilewright.runtime.execution.known_shapes import KnownShapes

aten = torch.ops.aten
X = torch.empty(2, 3, 4, device="meta")
CALLS = [
    (aten.add.Tensor, (X, X), {}),
    (aten.add.Tensor, (X.transpose(1, 2), X.transpose(1, 2)), {}),
    (aten.mul.Tensor, (X, 2), {}),
    (aten.mul.Tensor, (X, True), {}),
    (aten.cat.default, ([X, X], 1), {}),
    (aten.sum.dim_IntList, (X, [1]), {"keepdim": True}),
    (aten.view.default, (X, [6, 4]), {}),
    (aten.expand.default, (X[:1], [5, 3, 4]), {}),
    (aten.split.Tensor, (X, 2, 2), {}),
]


def test_what_is_known_is_what_torch_gives():
    known = KnownShapes()
    for target, args, kwargs in CALLS * 2:
        expected = target(*args, **kwargs)
        found = known.result(target, args, kwargs, lambda: target(*args, **kwargs))  # noqa: B023
        for one, other in zip(*(x if isinstance(x, list) else [x] for x in (found, expected)), strict=True):
            assert (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
            assert one.untyped_storage().nbytes() == other.untyped_storage().nbytes()


def test_views_share_memory_each_time():
    known = KnownShapes()
    for _ in range(2):
        view = known.result(aten.view.default, (X, [6, 4]), {}, lambda: aten.view.default(X, [6, 4]))
        assert view.untyped_storage()._cdata == X.untyped_storage()._cdata


def test_a_number_and_a_truth_are_not_the_same_call():
    known, made = KnownShapes(), []

    def result(value):
        def multiplied():
            made.append(value)
            return X.int() * value

        return known.result(aten.mul.Tensor, (X.int(), value), {}, multiplied)

    assert [result(value).dtype for value in (1, True, 1.0, 1)] == [
        torch.int32,
        torch.int32,
        torch.float32,
        torch.int32,
    ]
    assert made == [1, True, 1.0]
