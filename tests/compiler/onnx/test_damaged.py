"""Bad ONNX gives one sentence: named kinds of damage, and five hundred random ones."""

import random

import numpy as np
import onnx
import pytest
import torch
from onnx import AttributeProto, TensorProto, helper
from typer.testing import CliRunner

import tilewright
from tests.onnx_models import Perceptron, export, model_of, tensorflow_style, trained_looking
from tilewright.compiler.cli.app import app
from tilewright.targets.errors import InputError

MUTANTS = 500
NUMBERS = (-7, -1, 0, 1, 3, 5, 10**6, 2**31, 2**40)
OPERATORS = (
    "Relu", "Conv", "Foo", "MatMul", "Reshape", "Slice", "Gather", "Concat", "Softmax", "Expand", "Loop", "If", "Range",
    "Tile", "Pad", "ConstantOfShape", "Resize", "Split", "Where",
)  # fmt: skip


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
    assert isinstance(result.exception, InputError) and "cut off" in str(result.exception)
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
    assert "operator Sofmax (node 'last')" in text and "did you mean 'Softmax'" in text
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


def mutate(model, choose):
    """One to three random changes of nodes, constants, attributes, inputs, outputs or the opset."""
    mutant = onnx.ModelProto()
    mutant.CopyFrom(model)
    for _ in range(choose.choice((1, 1, 1, 2, 3))):
        change = choose.choice((change_node, change_constant, change_attribute, change_edges))
        if mutant.graph.node:
            change(mutant, choose)
    return mutant


def change_node(model, choose):
    nodes = model.graph.node
    node = choose.choice(nodes)
    kind = choose.randrange(4)
    if kind == 0:
        node.op_type = choose.choice(OPERATORS)
    elif kind == 1:
        nodes.remove(node)
    elif kind == 2 and node.input:
        everything = [t.name for t in model.graph.initializer] + [out for other in nodes for out in other.output]
        node.input[choose.randrange(len(node.input))] = choose.choice(["nothing", "", *everything])
    elif len(nodes) > 1:
        one, other = choose.sample(range(len(nodes)), 2)
        kept = onnx.NodeProto()
        kept.CopyFrom(nodes[one])
        nodes[one].CopyFrom(nodes[other])
        nodes[other].CopyFrom(kept)


def change_constant(model, choose):
    if not model.graph.initializer:
        return
    tensor = choose.choice(model.graph.initializer)
    kind = choose.randrange(4)
    if kind == 0 and tensor.dims:
        tensor.dims[choose.randrange(len(tensor.dims))] = choose.choice(NUMBERS)
    elif kind == 1:
        tensor.raw_data = tensor.raw_data[: choose.randrange(len(tensor.raw_data) + 1)]
    elif kind == 2:
        tensor.data_type = choose.choice((0, 1, 2, 6, 7, 8, 9, 10, 11, 14, 99))
    elif tensor.raw_data:
        data = bytearray(tensor.raw_data)
        for _ in range(choose.randrange(1, 8)):
            data[choose.randrange(len(data))] = choose.randrange(256)
        tensor.raw_data = bytes(data)


def change_attribute(model, choose):
    found = [(node, attribute) for node in model.graph.node for attribute in node.attribute]
    if not found:
        return
    node, attribute = choose.choice(found)
    if choose.random() < 0.2:
        node.attribute.remove(attribute)
    elif attribute.type == AttributeProto.INT:
        attribute.i = choose.choice(NUMBERS)
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[choose.randrange(len(attribute.ints))] = choose.choice(NUMBERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = choose.choice((float("nan"), 0.0, -1.0, 1e30))
    elif attribute.type == AttributeProto.STRING:
        attribute.s = b"nonsense"
    elif attribute.type == AttributeProto.TENSOR:
        attribute.t.raw_data = attribute.t.raw_data[:-1]


def change_edges(model, choose):
    graph, kind = model.graph, choose.randrange(4)
    if kind == 0 and graph.input:
        sizes = choose.choice(graph.input).type.tensor_type.shape.dim
        if sizes:
            size = choose.choice(sizes)
            size.Clear()
            size.dim_value = choose.choice(NUMBERS)
    elif kind == 1 and graph.input:
        choose.choice(graph.input).type.tensor_type.elem_type = choose.choice((0, 1, 6, 7, 8, 9, 10, 11, 14, 99))
    elif kind == 2 and graph.output:
        choose.choice(graph.output).name = choose.choice(["nowhere", *(out for n in graph.node for out in n.output)])
    else:
        model.opset_import[0].version = choose.choice((-3, 0, 1, 5, 9, 12, 18, 27, 500))


def damage(content, choose):
    """Bytes that were cut off or overwritten."""
    data = bytearray(content)
    if choose.random() < 0.5:
        return bytes(data[: choose.randrange(len(data))])
    for _ in range(choose.randrange(1, 20)):
        data[choose.randrange(len(data))] = choose.randrange(256)
    return bytes(data)


def test_five_hundred_mutants_compile_or_are_refused(perceptron, tmp_path):
    sources = [tensorflow_style(), onnx.load(perceptron)]
    outcomes = {"compiled": 0, "refused": 0}
    for seed in range(MUTANTS):
        choose = random.Random(seed)
        model = choose.choice(sources)
        if choose.random() < 0.2:
            source = tmp_path / "mutant.onnx"
            source.write_bytes(damage(model.SerializeToString(), choose))
        else:
            source = mutate(model, choose)
        try:
            tilewright.compile(source, target="ideal")
            outcomes["compiled"] += 1
        except InputError as error:
            assert str(error) and "\n" not in str(error), seed
            outcomes["refused"] += 1
    assert outcomes["compiled"] >= 20 and outcomes["refused"] >= 300, outcomes
