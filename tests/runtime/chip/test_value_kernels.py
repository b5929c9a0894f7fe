"""Whole steps and the check for NaN and infinity: kernels make what torch makes, however a tensor lies in memory."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel_sets import forced, sets
from tilewright.runtime.chip.kernels import native, values

pytestmark = pytest.mark.skipif(native.kernels().name == native.TORCH, reason=native.kernels().why)


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))) * 3


def fused(samples=2, tokens=5, heads=3, width=7):
    """Queries of a fused projection: a third of each row, head by head."""
    return numbers(samples, tokens, 3 * heads * width)[..., : heads * width].view(samples, tokens, heads, width)


TENSORS = {
    "one": numbers(1),
    "vector": numbers(37),
    "matrix": numbers(9, 33),
    "transposed": numbers(9, 33).T,
    "four": numbers(2, 3, 5, 11),
    "heads": fused().transpose(1, 2),
    "heads of one sample": fused(samples=1).transpose(1, 2),
    "keys": fused().permute(0, 2, 3, 1),
    "empty": numbers(0, 4),
    "every other": numbers(8, 12)[:, ::2],
    "broadcast": numbers(1, 12).expand(8, 12),
    "scalar": numbers(1)[0],
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("kernels", sets())
@pytest.mark.parametrize("signed", [True, False])
def test_steps_are_torchs(name, kernels, signed):
    tensor, least = TENSORS[name], -7 if signed else 0
    with forced(kernels):
        made = values.whole_steps(tensor, 7 / 3.3, least, 7)
    if name in ("empty", "every other", "broadcast"):
        assert made is None
        return
    assert made is not None
    assert torch.equal(made, (tensor * (7 / 3.3)).round_().clamp_(least, 7))


@pytest.mark.parametrize("name", ["four", "heads", "heads of one sample", "keys"])
@pytest.mark.parametrize("kernels", sets())
def test_each_head_has_its_own_factor(name, kernels):
    tensor = TENSORS[name]
    factor = torch.tensor([0.5, 3.0, 20.0]).view(-1, 1, 1)
    with forced(kernels):
        made = values.whole_steps(tensor, factor, -127, 127)
    assert made is not None
    assert torch.equal(made, (tensor * factor).round_().clamp_(-127, 127))


@pytest.mark.parametrize("kernels", sets())
def test_each_row_has_its_own_factor(kernels):
    tensor, factor = numbers(9, 33), torch.arange(1, 10, dtype=torch.float32).unsqueeze(1)
    with forced(kernels):
        made = values.whole_steps(tensor, factor, -127, 127)
    assert made is not None
    assert torch.equal(made, (tensor * factor).round_().clamp_(-127, 127))


def test_many_numbers_are_shared_among_threads():
    tensor = numbers(4, 3, 64, 1024)
    factor = torch.tensor([0.5, 3.0, 20.0]).view(-1, 1, 1)
    made = values.whole_steps(tensor, factor, -127, 127)
    assert made is not None
    assert torch.equal(made, (tensor * factor).round_().clamp_(-127, 127))
    assert values.all_finite(tensor)
    tensor[3, 2, 63, 1023] = math.inf
    assert values.all_finite(tensor) is False


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from([name for name, tensor in TENSORS.items() if tensor.numel() and tensor.dim()]),
    bad=st.sampled_from([math.nan, math.inf, -math.inf, 3e38, 1e-45]),
    place=st.integers(0, 10_000),
    kernels=st.sampled_from(sets()),
)
def test_one_bad_number_is_found_wherever_it_is(name, bad, place, kernels):
    tensor = TENSORS[name].clone(memory_format=torch.preserve_format)
    inside = tuple(int(index) for index in torch.unravel_index(torch.tensor(place % tensor.numel()), tensor.shape))
    tensor[inside] = bad
    with forced(kernels):
        assert values.all_finite(tensor) in (math.isfinite(bad), None)


def test_what_lies_between_the_lines_is_not_looked_at():
    whole = numbers(4, 12)
    whole[:, 8:] = math.nan
    assert values.all_finite(whole[:, :8])


@pytest.mark.parametrize("tensor", [numbers(3).double(), numbers(3).to("meta"), numbers(3).requires_grad_()])
def test_other_tensors_are_left_to_torch(tensor):
    assert values.all_finite(tensor) is None
    assert values.whole_steps(tensor, 1.0, -1, 1) is None
