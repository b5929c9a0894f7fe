"""One table says what is shown of layers; its keys are those of JSON, CSV and Python, and stay."""

import copy
import pickle
from collections import Counter

import pytest

from tilewright.compiler.report.column import Cell, Column, Format, shown_in
from tilewright.compiler.report.layer_table import LAYERS
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.tables import ASSIGNMENTS, COSTS, MATMULS, PLANS, WEIGHTS

OF_LAYERS = {
    "name", "parts", "inputs", "outputs", "block_rows", "block_columns", "tiles", "utilisation", "target",
    "programming", "devices_per_weight", "drift_compensation", "clip_deviations", "uses", "input_ranges",
    "channel_scale", "first_tile", "energy_nj", "energy_share", "latency_ns", "predicted_loss", "sensitivities",
    "range_error", "reason", "decisions",
}  # fmt: skip
IN_CSV = [
    "name", "inputs", "outputs", "target", "programming", "blocks", "tiles", "utilisation", "uses", "largest_range",
    "clip_deviations", "range_error", "sensitivity", "energy_nj", "energy_share", "latency_ns", "reason",
]  # fmt: skip


@pytest.mark.parametrize("table", [LAYERS, MATMULS, WEIGHTS, COSTS, ASSIGNMENTS, PLANS])
def test_a_key_is_once_in_a_format(table):
    for format in Format:
        assert max(Counter(column.key for column in shown_in(table, format)).values(), default=1) == 1
    assert all(column.formats for column in table)


def test_keys_that_programs_read_stay():
    assert {column.key for column in shown_in(LAYERS, Format.JSON)} >= OF_LAYERS
    assert [column.key for column in shown_in(LAYERS, Format.CSV)][: len(IN_CSV)] == IN_CSV


def test_layers_have_what_json_has_as_attributes(small_plan):
    report = summarise(small_plan)
    for layer, line in zip(report.layers, report.to_json()["layers"], strict=True):
        assert {key: getattr(layer, key) for key in line} == line
        assert set(line) <= set(dir(layer))
        assert layer.record in small_plan.document.layers
    assert copy.deepcopy(report.layers[0]) == pickle.loads(pickle.dumps(report.layers[0])) == report.layers[0]
    with pytest.raises(AttributeError, match="no 'blurb'"):
        _ = report.layers[0].blurb


def test_text_follows_from_the_unit():
    def text(value, unit):
        return Column("key", Format.PAGE, lambda thing: thing, unit=unit).cell(value)

    assert text(1234.5678, "nJ") == Cell("1234.5678", "1.23 µJ", True)
    assert text(0.123456, "%").text == "12.3%"
    assert text(0.123456, "1").text == "0.123"
    assert text(25_000, "") == Cell("25000", "25000", True)
    assert text("word", None) == Cell("word", "word", False)
    assert text(None, "nJ") == Cell("", "", True)
