"""Bad ONNX gives one sentence: named kinds of damage; tests/fuzz/onnx_mutants.py has random ones."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from typer.testing import CliRunner

import tilewright
from tests.onnx_models import Perceptron, export, model_of, trained_looking
from tilewright.compiler.cli.app import app
from tilewright.targets.errors import InputError


@pytest.fixture(scope="module")
def perceptron(tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    return export(trained_looking(Perceptron()), (torch.randn(3, 20),), path, opset=17)


def refusal(model):
    with pytest.raises(InputError) as error:
        tilewright.compile(model)
    assert "\n" not in str(error.value)
    return str(error.value)


def simple(nodes, constants=None, shape=("n", 4), opset=17):
    return model_of(nodes, {"x": (TensorProto.FLOAT, list(shape))}, {"y": (TensorProto.FLOAT, None)}, constants, opset)


def test_the_command_line_says_one_sentence(perceptron, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(perceptron.read_bytes()[:-40])
    result = CliRunner().invoke(app, ["compile", str(path), "-o", str(tmp_path / "plan")])
    assert isinstance(result.exception, InputError)
    assert "cut off" in str(result.exception)
    assert not (tmp_path / "plan").exists()


def test_what_is_no_model(tmp_path):
    assert "there is no ONNX file" in refusal(tmp_path / "nothing.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert "holds no graph" in refusal(tmp_path / "empty.onnx")
    (tmp_path / "text.onnx").write_text("this is not a model, not at all")
    assert "not an ONNX model" in refusal(tmp_path / "text.onnx")


def test_cycles():
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Relu", ["b"], ["y"])]  # fmt: skip
    assert "topologically sorted" in refusal(simple(nodes))


@pytest.mark.parametrize("opset", [0, 500])
def test_unknown_opsets(opset):
    assert f"has opset {opset}; 11 to" in refusal(simple([helper.make_node("Relu", ["x"], ["y"])], opset=opset))


def test_older_opsets_are_converted():
    plan = tilewright.compile(simple([helper.make_node("Relu", ["x"], ["y"])], opset=9))
    assert "converted from opset 9 to 11" in plan.document.notes


def test_wrong_shapes_name_the_node():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "dense")]
    assert "node 'dense' (MatMul)" in refusal(simple(nodes, {"w": np.ones((5, 3), np.float32)}))


def test_unknown_operators_name_the_nearest():
    text = refusal(simple([helper.make_node("Sofmax", ["x"], ["y"], "last")]))
    assert "operator Sofmax (node 'last')" in text
    assert "did you mean 'Softmax'" in text
    text = refusal(simple([helper.make_node("FusedThing", ["x"], ["y"], "odd", domain="com.example")]))
    assert "com.example.FusedThing" in text


def test_data_that_do_not_fit_their_shape():
    model = simple([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((4, 3), np.float32)})
    model.graph.initializer[0].dims[0] = 2**40
    assert "w" in refusal(model)


def test_sizes_are_checked_before_memory_is_taken():
    text = refusal(simple([helper.make_node("Relu", ["x"], ["y"])], shape=(2**20, 2**20)))
    assert "elements, allowed are 1 to" in text
    many = {"sizes": np.array([2**15, 2**16], np.int64)}
    nodes = [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), helper.make_node("Expand", ["s", "sizes"], ["y"])]
    assert "makes a tensor of" in refusal(simple(nodes, many))


def test_a_branch_that_depends_on_data_is_refused():
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["out"])], "b", [],
                               [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)])  # fmt: skip
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Greater", ["m", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], "choice", then_branch=branch, else_branch=branch),
    ]
    assert "node 'choice' (If) depends on the data" in refusal(simple(nodes, {"zero": np.array(0, np.float32)}))
