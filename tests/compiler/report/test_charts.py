"""Charts: nothing leaves its chart, and no figure lies on a line or on another figure."""

import re
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewright
from tests.narrowing import present
from tilewright.compiler.engineering import engineering, figure_text
from tilewright.compiler.report.column import Format, shown_in
from tilewright.compiler.report.html import report_page
from tilewright.compiler.report.html.accuracy_chart import accuracy_chart
from tilewright.compiler.report.html.charts import LETTER, Bar, bar_chart
from tilewright.compiler.report.layer_table import LAYERS

TIMES = [("1s", 1.0), ("2s", 2.0), ("3s", 3.0), ("1h", 3600.0), ("1d", 86400.0), ("1mo", 2592000.0), ("1y", 3.2e7)]


def parsed(svg):
    root = ElementTree.fromstring(str(svg))
    _, _, width, height = map(float, present(root.get("viewBox")).split())
    return root, width, height


def number(element, key):
    return float(element.get(key))


def spans(texts):
    """(left, right, baseline) of each text, at the width that the charts leave for a letter."""
    for text in texts:
        length, x = LETTER * len(text.text), number(text, "x")
        left = {"middle": x - length / 2, "end": x - length}.get(text.get("text-anchor"), x)
        yield left, left + length, number(text, "y")


@pytest.mark.parametrize("text", ["39%", "144.9 µJ, attention 38.9%", "0.382 on a-target-with-a-long-name-int8"])
def test_the_figure_of_the_longest_bar_is_inside(text):
    root, width, _ = parsed(bar_chart("energy", [Bar("layer", [(3.0, "tile"), (1.0, "digital")], text),
                                                 Bar("other", [(1.0, "tile")], "1")]))  # fmt: skip
    assert all(right <= width for _, right, _ in spans(root.findall("text")) if right > 0)
    assert all(number(bar, "width") > 0 for bar in root.findall("rect"))


@settings(max_examples=60, deadline=None)
@given(
    digital=st.one_of(st.floats(-100, 100), st.just(float("nan"))),
    means=st.lists(st.one_of(st.floats(-100, 100), st.just(float("nan"))), min_size=0, max_size=7),
    error=st.one_of(st.none(), st.floats(0, 50), st.just(float("nan"))),
    arms=st.one_of(st.none(), st.tuples(st.floats(0, 90), st.floats(0, 90)), st.just((0.0, float("inf")))),
    iso=st.one_of(st.none(), st.floats(-100, 100)),
)
def test_accuracy_stays_inside_its_chart(digital, means, error, arms, iso):
    points = [
        {"time": time, "seconds": seconds, "mean": mean, "standard_error": error}
        | ({} if arms is None else {"over_both": {"low": mean - arms[0], "high": mean + arms[1]}})
        for (time, seconds), mean in zip(TIMES, means, strict=False)
    ]
    evaluation = {"metric": "m", "repeats": 5, "digital": digital, "points": points, "iso": 0.995, "iso_figure": iso}
    root, width, height = parsed(accuracy_chart(evaluation))
    lines = root.findall("line")
    for line in lines:
        assert 0 <= number(line, "y1") <= height
        assert 0 <= number(line, "y2") <= height
    for dot in root.findall("circle"):
        assert 0 <= number(dot, "cx") <= width
        assert 0 <= number(dot, "cy") <= height
    texts = list(spans(root.findall("text")))
    assert all(left >= 0 and right <= width and 0 < y <= height for left, right, y in texts)
    for place, (left, right, y) in enumerate(texts):
        assert not any(left < r and l < right and abs(y - b) < 13 for l, r, b in texts[place + 1 :])  # noqa: E741
        for line in lines:  # no line runs through a figure
            ends = sorted((number(line, "y1"), number(line, "y2")))
            beside = right <= number(line, "x1") or left >= number(line, "x2")
            assert beside or ends[1] < y - 13 or ends[0] > y + 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(999.7e-6, "1 mJ"), (0.0009994, "999 µJ"), (1.0, "1 J"), (-0.9996, "-1 J"), (1e-15, "0.001 pJ")],
)
def test_numbers_are_rounded_before_their_prefix_is_chosen(value, shown):
    assert engineering(value, "J") == shown


def test_a_figure_has_one_unit_wherever_it_stands():
    assert figure_text(144_900.0, "nJ") == "144.9 µJ"
    assert figure_text(0.123456, "1") == "0.1235"
    assert figure_text(60.0, "tile") == "60"
    assert figure_text(float("nan"), "nJ") == "unknown"


@pytest.fixture(scope="module")
def plan():
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    return tilewright.compile(model, "pcm-512-mixed", example_inputs=torch.randn(8, 16))


def section(page, start, end):
    return present(re.search(f"{start}.*?{end}", page, re.DOTALL))[0]


def test_an_assignments_figures_are_written_as_costs_are(plan):
    found = tilewright.measure_sensitivity(plan, ["weight-error"], inputs={"input": torch.randn(8, 16)}, repeats=1)
    page = report_page(tilewright.summarise(tilewright.assign(plan, found, budgets={"energy": "1mJ"}).plan))
    table = section(page, "<h3>How targets were chosen</h3>", "</table>")
    assert re.search(r">[\d.]+ [nµm]J<", table)
    assert re.search(r">[\d.]+ [nµm]?s<", table)


def test_errors_of_ranges_are_in_per_cent_everywhere(plan):
    page = report_page(tilewright.summarise(plan))
    assert re.search(r">\d+\.\d% on ", section(page, '<section id="calibration"', "</section>"))
    place = [column.key for column in shown_in(LAYERS, Format.PAGE)].index("range_error")
    row = re.findall(r"<td[^>]*>([^<]*)</td>", section(page, "<tbody>", "</tbody>"))
    assert re.fullmatch(r"\d+\.\d%", row[place])
