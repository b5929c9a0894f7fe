"""run(): many samples on many chips, as the command runs them."""

import numpy as np
import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import present
from tilewright.runtime.execution.run import as_arrays

X = torch.randn(7, 20, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    return tilewright.compile(nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 4)).eval(), example_inputs=X)


def test_each_chip_is_the_sessions(plan):
    steps = []
    found = tilewright.run(
        plan, {"input": X}, time="1d", seed=3, repeats=2, batch_size=3, on_chip=lambda *step: steps.append(step)
    )
    (name,) = found.outputs
    assert found.outputs[name].shape == (2, 7, 4)
    assert found.reference[name].shape == (7, 4)
    for repeat in range(2):
        expected = tilewright.Session(plan, 3, repeat=repeat).advance_to("1d")(X)[name]
        assert np.array_equal(found.outputs[name][repeat], expected.numpy())
    assert steps == [(0, 2, "chip 0"), (1, 2, "chip 1")]
    assert 0 < found.relative_error(name) < 0.5
    assert found.nonfinite == 0
    assert found.nonfinite_origin is None
    written = found.to_json()
    assert written["chip"] == {"seed": 3, "repeats": 2, "time": "1d", "seconds_since_programming": 86400.0}
    assert written["outputs"][0]["shape"] == [2, 7, 4]


def test_ideal_is_the_reference(plan):
    found = tilewright.run(plan, {"input": X.numpy()}, ideal=True)
    (name,) = found.outputs
    assert np.array_equal(found.outputs[name][0], found.reference[name])
    assert found.relative_error(name) == 0
    assert np.array_equal(found.reference[name], tilewright.Session(plan, ideal=True)(X)[name].numpy())
    assert found.to_json()["chip"] is None


def test_outputs_are_saved_with_the_chips_first_where_they_are_several(plan, tmp_path):
    one, two = (tilewright.run(plan, {"input": X}, repeats=repeats) for repeats in (1, 2))
    (name,) = one.outputs
    with np.load(one.save(tmp_path / "one.npz")) as written:
        assert np.array_equal(written[name], one.outputs[name][0])
    with np.load(two.save(str(tmp_path / "two.npz"))) as written:
        assert np.array_equal(written[name], two.outputs[name])
    with pytest.raises(tilewright.InputError, match="exists already"):
        two.save(tmp_path / "one.npz")
    two.save(tmp_path / "one.npz", overwrite=True)


def test_where_a_nan_arises_is_said(plan):
    broken = X.clone()
    broken[2, 3] = torch.nan
    found = tilewright.run(plan, {"input": broken}, ideal=True)
    assert found.nonfinite == 4
    assert present(found.nonfinite_origin).kind == "NaN"
    assert found.to_json()["nonfinite_origin"]["source"] == "input 'input'"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"repeats": 0}, "repeats is 0"), ({"batch_size": 0}, "batch size is 0"), ({"time": "1x"}, "one of the units"),
     ({"seed": 2**64}, "seed is"), ({"seed": np.int64(0)}, r"seed is np.int64\(0\), allowed is a whole number, -9"),
     ({"conductances": "int8"}, "conductances are kept as 'int8'")],
)  # fmt: skip
def test_wrong_options_are_one_sentence(plan, options, words):
    with pytest.raises(tilewright.InputError, match=words):
        tilewright.run(plan, {"input": X}, **options)


def test_outputs_that_numpy_has_no_type_for_are_float32():
    made = as_arrays({"y": torch.tensor([0.5], dtype=torch.bfloat16), "n": torch.tensor([3])})
    assert made["y"].dtype == np.float32
    assert made["y"] == 0.5
    assert made["n"].dtype == np.int64
