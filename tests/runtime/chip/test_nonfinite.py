"""NaN and infinity pass converters and units as they pass the model's products, and a session says where they arose."""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import digital, present
from tests.on_tiles import layer_on_tiles, read
from tests.variants import variant
from tilewright.runtime.chip.nonfinite import all_finite
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.runtime.units.matmul import UnitMatmul
from tilewright.targets.loading import load_target

NAN, INF = float("nan"), float("inf")
GENERATOR = torch.Generator().manual_seed(0)
WEIGHT, BIAS = torch.randn(12, 40, generator=GENERATOR), torch.arange(12.0)
X = torch.rand(6, 5, 40, generator=GENERATOR) * 2 - 1
BAD = [(1, 2, 7, NAN), (3, 0, 0, INF), (3, 4, 39, -INF)]
"""Sample, row, channel and what is there."""


def spoiled(x):
    x = x.clone()
    for *place, value in BAD:
        x[tuple(place)] = value
    return x


def on_tiles(target, scale=None):
    settings = {"splits": ([20, 20], [12]), "uses": [Use(0.8, SAMPLES_FIRST)]}
    calibration = X.reshape(-1, 40)
    return layer_on_tiles(WEIGHT, target, **settings, bias=BIAS, channel_scale=scale, calibration=calibration)


def same(one, other):
    return torch.equal(one.nan_to_num(7.0, 8.0, 9.0), other.nan_to_num(7.0, 8.0, 9.0))


def assert_apart(layer):
    """Rows with something not finite have the model's product, the others the same bits as if these were not there."""
    model, clean, outputs = nn.functional.linear(spoiled(X), WEIGHT, BIAS), layer(X), layer(spoiled(X))
    rows = torch.zeros(6, 5, dtype=torch.bool)
    rows[[1, 3, 3], [2, 0, 4]] = True
    assert torch.equal(outputs[~rows], clean[~rows])
    assert outputs[~rows].isfinite().all()
    assert same(outputs[rows], model[rows])
    assert not outputs[rows].isfinite().any()


@pytest.mark.parametrize(
    "target",
    [
        variant(),
        load_target("pcm-512-dynamic"),
        load_target("hermes-256"),
        load_target("ideal"),
        variant(drift_compensation="affine", tile__dac__bits=12),
        variant(tile__dac=None, tile__adc=None),
    ],
)
def test_tiles_read_what_is_finite_and_nothing_else(target):
    layer = on_tiles(target)
    layer.advance_to(3600.0)
    assert_apart(layer)
    assert_apart(on_tiles(target, scale=torch.logspace(-1, 1, 40)))


def test_what_a_sample_reads_does_not_depend_on_a_nan_in_another():
    together = read(on_tiles(variant()), spoiled(X), range(6))
    for sample in (0, 2, 5):
        assert torch.equal(read(on_tiles(variant()), X[sample : sample + 1], [sample])[0], together[sample])


@pytest.mark.parametrize("name", ["digital-int8", "digital-int4", "digital-fp16", "digital-bf16"])
def test_digital_units_too(name):
    assert_apart(DigitalUnitLinear(WEIGHT, BIAS, digital(name), [0.8]))
    assert_apart(DigitalUnitLinear(WEIGHT, BIAS, digital(name, {"weights": "int16", "inputs": "int16"}), [0.8]))


@pytest.mark.parametrize("operands", ["int4", "int8", "int16", "fp16", "bf16"])
@pytest.mark.parametrize("ranges", [[1.5], [1.5, 1.2, 1.3]])
def test_products_of_activations_keep_what_is_not_finite(operands, ranges):
    left, right = torch.randn(2, 3, 4, 8), torch.randn(2, 3, 8, 5)
    unit = UnitMatmul(operands, ranges, ranges)
    clean = unit(left, right)
    left[0, 1, 2, 3], left[1, 0, 0, 0], right[1, 2, 0, 4] = NAN, INF, -INF
    apart = torch.zeros(clean.shape, dtype=torch.bool)
    apart[0, 1, 2], apart[1, 0, 0], apart[1, 2, :, 4] = True, True, True
    found = unit(left, right)
    assert torch.equal(found[~apart], clean[~apart])
    assert same(found[apart], torch.matmul(left, right)[apart])
    assert not found[apart].isfinite().any()


def test_large_numbers_are_finite():
    """Large numbers saturate, as a converter does: their sum alone is infinite."""
    assert all_finite(torch.full((4, 4), 3e38))
    assert not all_finite(torch.tensor([1.0, NAN]))
    assert not all_finite(torch.tensor([INF, -INF]))
    assert all_finite(torch.empty(0, 4))
    assert on_tiles(variant())(torch.full((6, 5, 40), 3e38)).isfinite().all()


class Network(nn.Module):
    """A logarithm before a layer on tiles, and a softmax that masks may leave with nothing."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x, mask):
        scores = (x @ x.mT).masked_fill(mask[:, None] == 0, -INF).softmax(-1)
        return self.last(torch.log(x + 4)), scores @ self.first(x)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    inputs = {"x": torch.rand(3, 5, 16), "mask": torch.ones(3, 5, dtype=torch.long)}
    model = Network().eval()
    return model, tilewright.compile(model, example_inputs=inputs), inputs


def test_a_chip_shows_what_the_model_shows(network):
    model, plan, inputs = network
    x, mask = inputs["x"].clone(), inputs["mask"].clone()
    x[0, 1, 3], mask[1] = -5.0, 0
    expected = model(x, mask)
    for ideal in (False, True):
        found = tilewright.Session(plan, ideal=ideal)(x=x, mask=mask).values()
        assert all(torch.equal(a.isnan(), b.isnan()) for a, b in zip(found, expected, strict=True))
    assert expected[0].isnan().any()
    assert expected[1].isnan().any()


def test_a_session_says_where_the_first_arose(network):
    _, plan, inputs = network
    session = tilewright.Session(plan)
    first = session.run(inputs, samples=[0, 1, 2])
    hidden = {**inputs, "mask": torch.tensor([[1, 1, 0, 0, 0]] * 3)}
    assert session.find_nonfinite(inputs) is None
    assert session.find_nonfinite(hidden) is None, "infinities of a mask reach no output"

    found = present(session.find_nonfinite({**inputs, "x": inputs["x"] - 6}))
    assert (found.node, found.kind) == ("log", "NaN")
    assert "operator aten.log" in found.source
    assert found.count == found.size == 3 * 5 * 16
    assert set(found.outputs.values()) == {3 * 5 * 4}
    assert "the first NaN arises in operator aten.log.default (node 'log': 240 of its 240" in found.sentence

    nothing = {**inputs, "mask": torch.tensor([[1] * 5, [0] * 5, [1] * 5])}
    found = present(session.find_nonfinite(nothing))
    assert "softmax" in found.source
    assert found.kind == "NaN"
    assert found.infinities_from == "masked_fill"

    given = inputs["x"].clone()
    given[0, 0, 0] = INF
    found = present(session.find_nonfinite({**inputs, "x": given}))
    assert (found.source, found.kind, found.count) == ("input 'x'", "infinity", 1) or found.infinities_from == "x"
    assert torch.equal(session(inputs)["output_0"], first["output_0"]), "looking counts no sample as read"


def test_the_command_says_it_in_one_line(network, tmp_path, monkeypatch):
    import json

    import numpy as np
    from typer.testing import CliRunner

    from tilewright.compiler.cli.app import app

    _, plan, inputs = network
    monkeypatch.chdir(tmp_path)
    plan.save("plan")
    arrays = {name: value.numpy() for name, value in inputs.items()}
    for name, offset in (("good", 0.0), ("bad", np.array([0, 0, 9.0], np.float32).reshape(3, 1, 1))):
        np.savez(f"{name}.npz", **{**arrays, "x": arrays["x"] - offset})
    run = ["run", "plan", "-o", "out.npz", "--force", "--batch-size", "2", "--inputs"]
    good, bad = (CliRunner().invoke(app, [*run, f"{name}.npz"]) for name in ("good", "bad"))
    assert good.exit_code == bad.exit_code == 0
    assert "NaN" not in good.stderr
    (line,) = [line for line in bad.stderr.splitlines() if "NaN" in line]
    assert "hold 20 NaNs and infinities: the first NaN arises in operator aten.log.default (node 'log'" in line
    report = json.loads(CliRunner().invoke(app, [*run, "bad.npz", "--json"]).stdout)
    assert report["nonfinite"] == 20
    assert report["nonfinite_origin"]["node"] == "log"
    assert [line["nonfinite"] for line in report["outputs"]] == [20, 0]
    assert 0 < report["outputs"][0]["relative_error"] < 1
    assert json.loads(CliRunner().invoke(app, [*run, "good.npz", "--json"]).stdout)["nonfinite_origin"] is None
