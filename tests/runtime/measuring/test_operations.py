"""Multiplications of a plan, against what one can count by hand."""

import pytest
import torch

import tilewright
from tests.conftest import small_bert_config
from tilewright.runtime.measuring.operations import count_operations
from tilewright.targets.errors import InputError


@pytest.mark.parametrize(("batch", "sequence"), [(1, 8), (3, 8), (1, 32), (2, 64)])
def test_a_bert_is_counted_as_by_hand(small_plan, batch, sequence):
    """A layer has 4 h² + 2 h f products a token, attention 2 h S a token; the pooler runs once a sample."""
    config = small_bert_config()
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    found = count_operations(small_plan, {"batch": batch, "sequence": sequence})
    tokens = batch * sequence
    assert found.on_tiles == tokens * layers * (4 * hidden**2 + 2 * hidden * inner) + batch * hidden**2
    assert found.on_attention_units == tokens * layers * 2 * hidden * sequence
    assert found.on_digital_units == 0
    assert found.total == found.on_tiles + found.on_attention_units
    assert found.vectors["pooler.dense"] == batch
    assert found.vectors["encoder.layer.0.output.dense"] == tokens


def test_attention_grows_with_the_square_of_the_length(small_plan):
    shares = [count_operations(small_plan, {"sequence": length}).attention_share for length in (8, 16, 32, 64)]
    assert shares == sorted(shares)
    attention = [count_operations(small_plan, {"sequence": length}).on_attention_units for length in (8, 16)]
    assert attention[1] == 4 * attention[0]


def test_uses_add_up_and_digital_units_are_apart():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.last = torch.nn.Linear(8, 8), torch.nn.Linear(8, 4)

        def forward(self, x):
            return self.last(self.twice(torch.relu(self.twice(x))))

    plan = tilewright.compile(
        Network(), "pcm-512-mixed", example_inputs=torch.randn(4, 8), assign={"last": "digital-int8"}
    )
    found = count_operations(plan, {"batch": 5})
    assert found.layers == {"twice": 5 * 2 * 64, "last": 5 * 32}
    assert (found.on_tiles, found.on_digital_units) == (640, 160)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"sequenc": 8}, "did you mean 'sequence'"),
        ({"sequence": 0}, "sequence is 0, allowed is 1 to"),
        ({"sequence": 10**6}, "allowed is 1 to 64"),
    ],
)
def test_wrong_sizes_are_one_sentence(small_plan, sizes, words):
    with pytest.raises(InputError, match=words):
        count_operations(small_plan, sizes)
