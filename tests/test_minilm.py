"""The main job on a real model: all-MiniLM-L6-v2 and sentence pairs with people's scores."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch
from scipy.stats import ttest_rel

import tilewright

PAIRS = Path(str(files("tilewright.compiler.samples").joinpath("sentence_pairs.tsv")))


@pytest.fixture(scope="module")
def plan(minilm_plan_folder):
    return tilewright.load(minilm_plan_folder)


def test_the_plan_is_the_expected_mapping(plan):
    document = plan.document
    # six layers of 3 + 1 + 3 + 3 tiles, and the pooler
    assert document.placement.tiles == 61 and document.placement.chips == 1
    assert len(document.layers) == 25 and len(document.matmuls) == 12
    assert {matmul.bits for matmul in document.matmuls} == {8}
    assert document.model.pooling == "mean" and document.model.parameters == 22_713_216
    assert {record.file for record in document.tokenizer} >= {"tokenizer.json", "tokenizer_config.json"}
    assert "sentences that come with tilewright" in document.calibration.source


def test_a_dropped_calibration_sentence_changes_nothing_but_ranges(plan, minilm_folder):
    other = tilewright.compile(minilm_folder, calibration=["A short text.", "Another one, a little longer."])
    assert other.document.calibration.source == "given texts"
    assert [layer.blocks for layer in other.document.layers] == [layer.blocks for layer in plan.document.layers]
    assert other.document.model.sha256 == plan.document.model.sha256


def test_accuracy_falls_without_compensation_and_recovers_with_it(plan):
    """Sixteen chips at one month on the sample pairs, the same chips with and without compensation.

    Paired one-sided t-tests at 99.9 % confidence: drift costs accuracy, and compensation gives part of it back.
    """
    with_it = tilewright.evaluate(plan, "stsb", PAIRS, times=["1s", "1mo"], repeats=16)
    without = tilewright.evaluate(plan, "stsb", PAIRS, times=["1mo"], repeats=16, drift_compensation=False)
    assert with_it.digital == without.digital > 80
    fresh, late, bare = with_it.points[0].values, with_it.points[1].values, without.points[0].values
    assert sum(fresh) / len(fresh) > with_it.digital - 15
    assert ttest_rel(fresh, bare, alternative="greater").pvalue < 1e-3
    assert ttest_rel(late, bare, alternative="greater").pvalue < 1e-3


def test_threads_and_batches_do_not_change_a_bit(plan):
    ids = torch.randint(1000, 20000, (5, 40), generator=torch.Generator().manual_seed(0))
    session, threads = tilewright.Session(plan, 1).advance_to("1w"), torch.get_num_threads()
    whole = session(input_ids=ids)
    try:
        torch.set_num_threads(1)
        session.advance_to("1w")
        parts = [session(input_ids=ids[:2]), session(input_ids=ids[2:3]), session(input_ids=ids[3:])]
    finally:
        torch.set_num_threads(threads)
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([part[name] for part in parts])), name
