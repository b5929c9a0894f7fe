"""Reports say what the plan says, in every format."""

import io

import pytest
import torch
from rich.console import Console
from torch import nn

import tilewright
from tilewright.compiler.cli.console import PIPED_WIDTH
from tilewright.compiler.report.markdown import markdown
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.terminal import print_report


def printed(report, width=PIPED_WIDTH):
    text = io.StringIO()
    print_report(report, Console(file=text, width=width, highlight=False))
    return text.getvalue()


def test_totals_are_sums_of_lines(small_plan):
    report = summarise(small_plan)
    assert report.tiles == sum(layer.tiles for layer in report.layers)
    assert report.parameters_on_tiles == sum(layer.inputs * layer.outputs for layer in report.layers)
    assert report.parameters_on_tiles + report.parameters_look_up + report.parameters_digital == report.parameters
    assert report.utilisation == pytest.approx(report.parameters_on_tiles / (report.tiles * 512 * 512))
    for layer in report.layers:
        assert layer.tiles == layer.block_rows * layer.block_columns
        assert layer.utilisation == pytest.approx(layer.inputs * layer.outputs / (layer.tiles * 512 * 512))


def test_parameters_are_the_models(small_plan, small_bert):
    assert summarise(small_plan).parameters == sum(parameter.numel() for parameter in small_bert.parameters())


def test_terminal_shows_every_layer_even_when_narrow(small_plan):
    report = summarise(small_plan)
    text = printed(report)
    assert f"{report.tiles} on 1 chip of 576" in text
    for layer in report.layers:
        assert layer.name in text
    assert "9" in printed(report, width=40)


def test_names_from_a_model_are_text_not_markup():
    class Sneaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            return self.inner(x)

    plan = tilewright.compile(Sneaky(), example_inputs=torch.ones(2, 3), name="[red]x[/red] [/]")
    assert "[red]x[/red] [/]" in printed(summarise(plan))


def test_notes_are_given(small_plan):
    assert any("automatic" in warning for warning in summarise(small_plan).warnings)
    plan = tilewright.compile(nn.ReLU(), example_inputs=torch.ones(2, 3))
    assert any("no layer" in warning for warning in summarise(plan).warnings)
    assert printed(summarise(plan))


def test_a_layer_that_no_range_suits_is_named():
    """One input in sixteen is a thousand times the others: no range serves both, a range of each vector's own does."""
    torch.manual_seed(0)
    x = torch.randn(64, 32)
    x[::16] *= 1000
    layer = nn.Linear(32, 16, bias=False)
    own = {"rule": "dynamic", "doublings": {"value": 2, "unit": "reading", "source": "test"}}
    static = summarise(tilewright.compile(layer, example_inputs=x))
    assert any("no input range suits all inputs of" in warning for warning in static.warnings)
    target = tilewright.load_target("pcm-512", {"tile.input_range": own})
    dynamic = summarise(tilewright.compile(layer, target, example_inputs=x))
    assert not any("no input range" in warning for warning in dynamic.warnings)


def test_what_saturates_is_told():
    """One input a hundred times the others: the range is cut. And weights, where the target asks for it."""
    torch.manual_seed(0)
    x = torch.randn(64, 32)
    x[0, 0] = 1000
    model = nn.Sequential(nn.Linear(32, 8))
    warnings = " ".join(summarise(tilewright.compile(model, "pcm-512", example_inputs=x)).warnings)
    assert "the largest inputs saturate in 1 layer (0)" in warnings
    assert "most in 0, to 1/" in warnings
    rule = {"rule": "deviations", "deviations": {"value": 2, "unit": "1", "source": "test"}}
    target = tilewright.load_target("pcm-512", {"tile.weight_clipping": rule})
    warnings = " ".join(summarise(tilewright.compile(model, target, example_inputs=torch.randn(64, 32))).warnings)
    assert "the largest weights are cut in 1 layer (0)" in warnings


def test_one_thing_is_named_as_one():
    report = summarise(tilewright.compile(nn.Linear(8, 4), example_inputs=torch.randn(4, 8)))
    assert "<summary>1 layer</summary>" in markdown(report)
    assert "(1 layer)" in printed(report)


def test_matrices_on_no_target_are_told():
    plan = tilewright.compile(nn.Conv2d(8, 8, 3, groups=8), example_inputs=torch.randn(4, 8, 9, 9))
    assert any("1 matrix is on no target (weight): " in warning and "depthwise" in warning
               for warning in summarise(plan).warnings)  # fmt: skip
