"""Plans in memory: on another chip, and the name that measurements are kept by."""

from dataclasses import replace

import pytest
import torch

import tilewright
from tests.variants import with_layers, with_option
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_chip


def test_a_plan_on_a_chip_without_an_effect(small_plan):
    quiet = small_plan.on(load_chip("pcm-512", {"tile.short_term_read_noise": 0, "tile.output_noise": 0}))
    ids = {"input_ids": torch.tensor([[5, 6, 7]])}
    noisy, silent = (tilewright.Session(plan, 1)(ids)["last_hidden_state"] for plan in (small_plan, quiet))
    assert not torch.equal(noisy, silent)
    again = tilewright.Session(quiet, 1)
    assert torch.equal(again(ids)["last_hidden_state"], again(ids)["last_hidden_state"]), "reads have no noise left"
    assert small_plan.document.chip == load_chip("pcm-512"), "the plan is as it was"


@pytest.mark.parametrize(
    ("chip", "words"),
    [
        ("hermes-256", "does not fit the chip hermes-256: .*'pcm-512' is not on the chip"),
        ("digital-int8", "does not fit the chip digital-int8"),
    ],
)
def test_a_chip_that_the_plan_does_not_fit(small_plan, chip, words):
    with pytest.raises(InputError, match=words):
        small_plan.on(load_chip(chip))


def test_the_name_of_a_plan_is_of_what_it_does(small_plan):
    layer = small_plan.document.layers[0]
    said = with_layers(small_plan, [
        one.model_copy(update={"reason": "another", "predicted_loss": 1.0}) for one in small_plan.document.layers
    ])  # fmt: skip
    assert said.sha256 == small_plan.sha256
    document = small_plan.document.model_copy(update={"notes": ["x"], "decisions": [], "tilewright_version": "0"})
    assert replace(small_plan, document=document).sha256 == small_plan.sha256
    assert with_option(small_plan, layer.name, clip_deviations=2.0).sha256 != small_plan.sha256
    assert with_option(small_plan, layer.name, input_ranges=[1.5]).sha256 != small_plan.sha256
