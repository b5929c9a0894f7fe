"""ONNX's recurrent operators in all their options, against onnxruntime, at several lengths and batches."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

import tilewright
from tilewright.compiler import driver
from tilewright.targets.errors import InputError

WIDE, HIDDEN = 5, 6
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def model(kind, *, direction="forward", bias=True, lengths=False, start=False, peepholes=False, **attributes):
    """A model of one operator, with its inputs' shapes by name for a number of steps and samples."""
    directions, draws = 2 if direction == "bidirectional" else 1, np.random.default_rng(0)
    states = ["hidden", "cell"] if kind == "LSTM" else ["hidden"]
    shapes: dict[str, tuple[int, ...]] = {"W": (GATES[kind] * HIDDEN, WIDE), "R": (GATES[kind] * HIDDEN, HIDDEN)}
    shapes |= {"B": (2 * GATES[kind] * HIDDEN,)} if bias else {}
    shapes |= {"P": (3 * HIDDEN,)} if peepholes else {}
    weights = {name: draws.normal(size=(directions, *shape)).astype(np.float32) for name, shape in shapes.items()}
    first = attributes.get("layout", 0)
    given = ["x", "W", "R", "B" if bias else "", "lengths" if lengths else ""]
    given += [name if start else "" for name in states] + (["P"] if peepholes else [])
    inputs: dict[str, Any] = {"x": ["batch", "steps", WIDE] if first else ["steps", "batch", WIDE]}
    inputs |= {"lengths": ["batch"]} if lengths else {}
    inputs |= {
        name: ["batch", directions, HIDDEN] if first else [directions, "batch", HIDDEN] for name in states if start
    }
    results = ["y", *(f"last_{name}" for name in states)]
    node = helper.make_node(kind, given, results, name="node", hidden_size=HIDDEN, direction=direction, **attributes)
    graph = helper.make_graph(
        [node], "recurrent",
        [
            helper.make_tensor_value_info(name, TensorProto.INT32 if name == "lengths" else TensorProto.FLOAT, shape)
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), inputs


def drawn(inputs, steps, batch, seed=0):
    draws, sizes = np.random.default_rng(seed), {"steps": steps, "batch": batch}
    found = {}
    for name, shape in inputs.items():
        wanted = [sizes.get(size, size) for size in shape]
        if name == "lengths":
            found[name] = draws.integers(1, steps + 1, size=wanted).astype(np.int32)
        else:
            found[name] = draws.normal(size=wanted).astype(np.float32)
    return found


def name_of(case):
    return ", ".join([case[0], *(f"{key}={value}" for key, value in case[1].items())])


BOTH = {"direction": "bidirectional"}
CASES: list[tuple[str, dict[str, Any]]] = [
    *((kind, {"direction": direction}) for kind in GATES for direction in ("forward", "reverse", "bidirectional")),
    *((kind, {**BOTH, "bias": False, "start": True}) for kind in GATES),
    *((kind, {**BOTH, "lengths": True}) for kind in GATES),
    *((kind, {"clip": 0.5}) for kind in GATES),
    ("GRU", {**BOTH, "linear_before_reset": 1}),
    ("GRU", {"linear_before_reset": 1, "bias": False, "lengths": True}),
    ("LSTM", {**BOTH, "peepholes": True}),
    ("LSTM", {"input_forget": 1}),
    ("LSTM", {
        "activations": ["HardSigmoid", "Softsign", "ScaledTanh"], "activation_alpha": [0.3, 0.7],
        "activation_beta": [0.4, 0.9],
    }),
    ("RNN", {"activations": ["Elu"], "activation_alpha": [0.2]}),
    ("RNN", {"activations": ["Affine"], "activation_alpha": [0.2], "activation_beta": [0.1]}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_recurrent_operators_are_onnxruntimes(case):
    kind, options = case
    made, inputs = model(kind, **options)
    runtime = onnxruntime.InferenceSession(made.SerializeToString())
    plan = tilewright.compile(made, "ideal", example_inputs=drawn(inputs, 4, 3), cache=False)
    assert plan.document.inputs[0].shape[:2] == ["sequence", "batch"]
    session = tilewright.Session(plan)
    for steps, batch in ((4, 3), (7, 2), (1, 1)):
        given = drawn(inputs, steps, batch, seed=steps)
        for wanted, found in zip(runtime.run(None, given), session(given).values(), strict=True):
            assert np.abs(wanted - found.numpy()).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


def test_batches_first_by_its_layout():
    """onnxruntime has no such layout: the same numbers with steps first."""
    made, inputs = model("GRU", direction="bidirectional", start=True, layout=1)
    turned, _ = model("GRU", direction="bidirectional", start=True)
    runtime = onnxruntime.InferenceSession(turned.SerializeToString())
    plan = tilewright.compile(made, "ideal", example_inputs=drawn(inputs, 4, 3), cache=False)
    given = drawn(inputs, 6, 2)
    y, last = runtime.run(None, {name: np.ascontiguousarray(value.swapaxes(0, 1)) for name, value in given.items()})
    found = tilewright.Session(plan)(given)
    assert np.abs(y.transpose(2, 0, 1, 3) - found["y"].numpy()).max() < 1e-5
    assert np.abs(last.swapaxes(0, 1) - found["last_hidden"].numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activations": ["Sigmoids", "Tanh", "Tanh"]}, "did you mean 'sigmoid'"),
        ({"activations": ["Sigmoid"]}, "it takes 3"),
        ({"direction": "sideways"}, "direction is"),
    ],
)
def test_what_is_wrong_is_one_sentence(changes, said):
    made, inputs = model("LSTM", **changes)
    with pytest.raises(InputError, match=said):
        tilewright.compile(made, "ideal", example_inputs=drawn(inputs, 4, 3), cache=False)


def test_a_nan_among_the_weights_is_refused():
    made, inputs = model("LSTM")
    (weights,) = [one for one in made.graph.initializer if one.name == "R"]
    values = numpy_helper.to_array(weights).copy()
    values[0, 0, 0] = np.nan
    weights.CopyFrom(numpy_helper.from_array(values, "R"))
    with pytest.raises(InputError, match="NaN"):
        tilewright.compile(made, "ideal", example_inputs=drawn(inputs, 4, 3), cache=False)


@pytest.mark.parametrize("per_channel", [False, True], ids=("by matrix", "by gate"))
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_quantised_weights_become_the_numbers_they_stand_for(tmp_path, direction, per_channel):
    made, inputs = model("LSTM", direction=direction, start=True)
    onnx.save(made, tmp_path / "full.onnx")
    quantize_dynamic(
        tmp_path / "full.onnx", tmp_path / "int8.onnx", op_types_to_quantize=["LSTM"], per_channel=per_channel
    )
    assert [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node] == ["DynamicQuantizeLSTM"]
    plan = tilewright.compile(tmp_path / "int8.onnx")
    assert any("2 stored tensors were dequantised" in note for note in plan.document.notes)
    given = drawn(inputs, 7, 3)
    found = tilewright.Session(plan, ideal=True)(given)
    exact = onnxruntime.InferenceSession(tmp_path / "full.onnx").run(None, given)
    for ours, full in zip(found.values(), exact, strict=True):
        # onnxruntime rounds inputs too, and its sums saturate on processors without VNNI: it is up to 1.1 off
        assert 0 < np.abs(ours.numpy() - full).max() < 0.05


def test_a_kept_network_is_the_same_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))
    onnx.save(model("LSTM", direction="bidirectional")[0], tmp_path / "model.onnx")
    texts = []
    for _ in range(2):
        plan = tilewright.compile(tmp_path / "model.onnx")
        texts.append((plan.save(tmp_path / "plan", overwrite=True) / "plan.json").read_text())
        monkeypatch.setattr(driver, "trace", None)  # the second time it is read
    assert texts[0] == texts[1]
