"""Input ranges, channel scales and clips beside weights: what is read, and what is refused."""

import pytest
import torch
from torch import nn

from tilewright.compiler.network.trained_layers import (
    clipped,
    matrices_of,
    trained_layers,
    trained_layers_of,
    weight_clips,
)
from tilewright.targets.errors import InputError

RANGES = torch.tensor([0.75, 0.5, 0.25])


def read(**tensors):
    return trained_layers({f"a.{name}": value for name, value in tensors.items()}, {"a.weight": 10}).get("a.weight")


def test_slices_are_equal_the_larger_first():
    found = read(input_range=RANGES)
    assert found.input_ranges == (0.75, 0.5, 0.25)
    assert found.slices == (4, 3, 3)
    assert found.input_range == 0.75
    expected = torch.tensor([1.0] * 4 + [0.5 / 0.75] * 3 + [0.25 / 0.75] * 3)
    assert torch.equal(found.whole_scale, expected)


def test_slices_of_other_sizes_are_told():
    assert read(input_range=RANGES, row_splits=torch.tensor([8, 1, 1])).slices == (8, 1, 1)


@pytest.mark.parametrize("shape", [[], [1]])
def test_one_range(shape):
    found = read(input_range=torch.full(shape, 0.75))
    assert found.input_ranges == (0.75,)
    assert found.whole_scale is None


def test_ranges_are_in_units_of_the_channel_scale():
    scale = torch.arange(1.0, 11.0)
    found = read(input_range=RANGES, channel_scale=scale)
    assert torch.equal(found.channel_scale, scale)
    assert found.whole_scale[9] == scale[9] * torch.tensor(0.25 / 0.75)
    assert read(input_range=RANGES[:1], channel_scale=torch.ones(10)).whole_scale is None


def test_the_same_law():
    scale = torch.arange(1.0, 11.0)
    one = read(input_range=RANGES, channel_scale=scale)
    assert one.is_law_of(read(input_range=RANGES.clone(), channel_scale=scale.clone()))
    assert not one.is_law_of(read(input_range=RANGES))
    assert not one.is_law_of(read(input_range=RANGES * 2, channel_scale=scale))


def test_a_range_that_data_never_moved():
    assert read(input_range=RANGES, input_range_update_idx=torch.zeros(3)).never_updated
    assert not read(input_range=RANGES, input_range_update_idx=torch.tensor([0.0, 1, 1])).never_updated
    assert not read(input_range=RANGES).never_updated


NONSENSE = [
    ({"input_range": torch.tensor([0.75, -1.0])}, r"a\.input_range holds -1; it must be finite and above zero"),
    ({"input_range": torch.tensor(float("nan"))}, "a.input_range holds nan"),
    ({"input_range": torch.tensor([0.0])}, "a.input_range holds 0"),
    ({"input_range": torch.empty(0)}, "a.input_range is empty"),
    ({"input_range": torch.ones(3, dtype=torch.complex64)}, "holds complex numbers"),
    ({"input_range": torch.ones(11)}, r"has shape \[11\]; allowed are one range, or one for each slice of its 10 inp"),
    ({"input_range": torch.ones(2, 2)}, r"has shape \[2, 2\]"),
    ({"input_range": RANGES, "channel_scale": torch.ones(9)}, r"channel_scale has shape \[9\]; it must be \[10\]"),
    ({"input_range": RANGES, "channel_scale": -torch.ones(10)}, "channel_scale holds -1"),
    ({"input_range": RANGES, "row_splits": torch.tensor([5, 5])}, "does not split 10 inputs into 3 slices"),
    ({"input_range": RANGES, "row_splits": torch.tensor([4, 4, 4])}, "does not split 10 inputs into 3 slices"),
    ({"input_range": RANGES, "row_splits": torch.tensor([4.5, 4.5, 1])}, "does not split 10 inputs"),
    ({"input_range": RANGES, "row_splits": torch.tensor([11, -2, 1])}, "does not split 10 inputs"),
]


@pytest.mark.parametrize(("tensors", "words"), NONSENSE)
def test_nonsense_is_refused(tensors, words):
    with pytest.raises(InputError, match=words):
        read(**tensors)


def test_matrices_of_every_kind():
    from transformers.pytorch_utils import Conv1D

    module = nn.ModuleDict(
        {"line": nn.Linear(6, 2), "image": nn.Conv2d(3, 4, 2), "gpt": Conv1D(8, 6), "table": nn.Embedding(9, 6)}
    )
    assert matrices_of(module) == {"line.weight": (2, 6), "image.weight": (4, 12), "gpt.weight": (8, 6)}


def test_tied_weights_have_the_first_name():
    module = nn.ModuleDict({"table": nn.Embedding(9, 6), "head": nn.Linear(6, 9)})
    module["head"].weight = module["table"].weight
    module["head"].input_range = nn.Parameter(torch.tensor([0.5]))
    assert trained_layers_of(module)["table.weight"].input_ranges == (0.5,)


def test_clips_are_of_a_slice_and_an_output():
    weight = torch.tensor([[1.0, -2, 3, -4], [0.1, 0.2, 0.3, 0.4]])
    clip = torch.tensor([[1.5, 1.0], [2.0, 0.35]])
    expected = torch.tensor([[1.0, -1.5, 2, -2], [0.1, 0.2, 0.3, 0.35]])
    assert torch.equal(clipped(weight, clip), expected)
    tensors = {"a.learnable_weight_clip": clip, "a.input_range": torch.ones(2)}
    assert torch.equal(weight_clips(tensors, {"a.weight": (2, 4)})["a.weight"], clip)


@pytest.mark.parametrize("clip", [torch.ones(1, 2), torch.ones(2), torch.ones(2, 3), -torch.ones(2, 2)])
def test_clips_that_are_none(clip):
    with pytest.raises(InputError, match="learnable_weight_clip"):
        weight_clips({"a.learnable_weight_clip": clip, "a.input_range": torch.ones(2)}, {"a.weight": (2, 4)})
