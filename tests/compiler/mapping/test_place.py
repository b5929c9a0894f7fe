"""Blocks on the tiles of chips."""

import pytest
import torch

import tilewright
from tests.networks import stack
from tests.variants import variant
from tilewright.runtime.plan.blocks import positions_of


def test_bert_base_needs_the_published_number_of_tiles():
    """38 tiles a layer with Q, K, V fused, 40 apart; 486 in all apart, with pooler and classifier (Rasch 2023)."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=100)  # BERT-base otherwise; the vocabulary is not on tiles
    with torch.device("meta"):  # places need shapes alone
        model = BertForSequenceClassification(config).eval()
    example = {"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    plan = tilewright.compile(model, example_inputs=example)
    document = plan.document
    per_layer = [0] * 12
    for layer in document.layers:
        if ".layer." in layer.name:
            per_layer[int(layer.name.split(".layer.")[1].split(".")[0])] += layer.tile_count
    assert per_layer == [38] * 12
    assert document.placement.tiles == 12 * 38 + 4 + 2
    assert document.placement.chips == 1
    fusions = [decision for decision in document.decisions if decision.made_by == "fuse_shared_inputs"]
    saved = [fusion.rejected[0].figures[0].value - fusion.figures[0].value for fusion in fusions]
    assert saved == [2.0] * 12
    assert document.placement.tiles + sum(saved) == 486
    apart = (12 * 12 * 768 * 768 + 768 * 768 + 768 * 2) / (486 * 512 * 512)
    assert apart == pytest.approx(0.671, abs=0.001)


def small_chip(tiles):
    return variant(chip__mesh_rows=1, chip__mesh_columns=tiles)


def test_what_does_not_fit_takes_more_chips_and_layers_stay_whole():
    model = stack(600, 600, 600, 600)  # 4 tiles each
    plan = tilewright.compile(model, small_chip(6), example_inputs=torch.randn(2, 600))
    assert plan.document.placement.chips == 3
    assert [{place.chip for place in positions_of(layer, plan.document.chip)} for layer in plan.document.layers] == [
        {0},
        {1},
        {2},
    ]
    decision = next(d for d in plan.document.decisions if d.made_by == "place")
    assert decision.rejected[0].figures[0].value == 2
    plan = tilewright.compile(model, small_chip(3), example_inputs=torch.randn(2, 600))
    assert plan.document.placement.chips == 4  # larger than a chip: every tile is used
    exact = tilewright.Session(plan, ideal=True)(input=torch.ones(1, 600))["output"]
    torch.testing.assert_close(exact, model(torch.ones(1, 600)), rtol=1e-4, atol=1e-4)
