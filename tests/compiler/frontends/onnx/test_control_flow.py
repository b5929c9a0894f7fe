"""Loops and branches of ONNX models, written out where they depend on constants or sizes, against onnxruntime."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import tilewright
from tilewright.targets.errors import InputError

WIDE = 6


def constant(name, value):
    return numpy_helper.from_array(np.array(value), name)


def info(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes, kept=(), condition="go on", wide=WIDE):
    """Body of a loop over one state, h: its nodes give new_h, and what is kept of each step."""
    given = [info("i", [], TensorProto.INT64), info(condition, [], TensorProto.BOOL), info("h", ["batch", wide])]
    told = [node for node in nodes if "more" in node.output] or [helper.make_node("Identity", [condition], ["more"])]
    every = [*nodes, *(node for node in told if node not in nodes)]
    results = [info("more", [], TensorProto.BOOL), info("new_h", ["batch", wide]), *(info(one, None) for one in kept)]
    return helper.make_graph(every, "body", given, results)


def model(nodes, constants=(), inputs=(("x", ["batch", WIDE]),), outputs=("y",)):
    draws = np.random.default_rng(0)
    weights = [numpy_helper.from_array(draws.normal(size=(WIDE, WIDE)).astype(np.float32), "w")]
    graph = helper.make_graph(
        nodes, "loops", [info(*one) for one in inputs], [info(name, None) for name in outputs], [*weights, *constants]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def step():
    """A layer, and a function of its results."""
    return [helper.make_node("MatMul", ["h", "w"], ["product"]), helper.make_node("Tanh", ["product"], ["new_h"])]


COUNT, TRUE = constant("count", 4), constant("true", True)
KEEPING = [*step(), helper.make_node("Identity", ["product"], ["seen"])]
UNTIL = [
    *step(),
    helper.make_node("Less", ["i", "last"], ["more"]),
    helper.make_node("Cast", ["i"], ["number"], to=1),
    helper.make_node("Identity", ["number"], ["seen"]),
]
CASES = {
    "counted": ([helper.make_node("Loop", ["count", "true", "x"], ["y"], "loop", body=body(step()))], [COUNT, TRUE]),
    "counted, without a condition": (
        [helper.make_node("Loop", ["count", "", "x"], ["y"], "loop", body=body(step()))],
        [COUNT],
    ),
    "results of each step": (
        [helper.make_node("Loop", ["count", "true", "x"], ["y", "each"], "loop", body=body(KEEPING, ["seen"]))],
        [COUNT, TRUE],
    ),
    "until a condition of the step's number": (
        [helper.make_node("Loop", ["", "true", "x"], ["y", "each"], "loop", body=body(UNTIL, ["seen"]))],
        [TRUE, constant("last", 2)],
    ),
    "no steps": (
        [helper.make_node("Loop", ["count", "true", "x"], ["h"], "loop", body=body(step())),
         helper.make_node("MatMul", ["h", "w"], ["y"])],
        [constant("count", 0), TRUE],
    ),
    "as many steps as a size": (
        [helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Gather", ["shape", "one"], ["count"]),
         helper.make_node("Loop", ["count", "", "x"], ["y"], "loop", body=body(step()))],
        [constant("one", 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_loop_is_onnxruntimes(case):
    nodes, constants = CASES[case]
    outputs = ("y", "each") if any("each" in node.output for node in nodes) else ("y",)
    made = model(nodes, constants, outputs=outputs)
    plan = tilewright.compile(made)
    assert len(plan.document.layers) == 1  # all steps read the same devices
    runtime = onnxruntime.InferenceSession(made.SerializeToString())
    for batch in (1, 5):
        given = {"x": np.random.default_rng(batch).normal(size=(batch, WIDE)).astype(np.float32)}
        found = tilewright.Session(plan, ideal=True)(given)
        for ours, theirs in zip(found.values(), runtime.run(None, given), strict=True):
            assert ours.shape == theirs.shape
            assert np.abs(ours.numpy() - theirs).max() < 1e-5


def test_a_loop_in_a_loop():
    inner = helper.make_node("Loop", ["i", "", "h"], ["new_h"], "inner", body=helper.make_graph(
        [helper.make_node("Add", ["g", "x"], ["g2"]), helper.make_node("Identity", ["yes"], ["still"])], "inner_body",
        [info("j", [], TensorProto.INT64), info("yes", [], TensorProto.BOOL), info("g", ["batch", WIDE])],
        [info("still", [], TensorProto.BOOL), info("g2", ["batch", WIDE])],
    ))  # fmt: skip
    nodes = [
        helper.make_node("Loop", ["count", "", "x"], ["h_last"], "loop", body=body([inner])),
        helper.make_node("MatMul", ["h_last", "w"], ["y"]),
    ]
    made = model(nodes, [COUNT])
    given = {"x": np.ones((2, WIDE), np.float32)}
    (ours,) = tilewright.Session(tilewright.compile(made), ideal=True)(given).values()
    (theirs,) = onnxruntime.InferenceSession(made.SerializeToString()).run(None, given)
    assert np.abs(ours.numpy() - theirs).max() < 1e-5


def on_data():
    """A condition that depends on the data."""
    return [
        *step(),
        helper.make_node("ReduceSum", ["new_h"], ["sum"], keepdims=0),
        helper.make_node("Less", ["sum", "limit"], ["more"]),
    ]


WRONG = {
    "data": (
        [helper.make_node("Loop", ["count", "true", "x"], ["y"], "loop", body=body(on_data()))],
        [COUNT, TRUE, constant("limit", np.float32(1))],
        r"node 'loop' \(Loop\) depends on the data",
    ),
    "count": (
        [helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
         helper.make_node("Cast", ["largest"], ["many"], to=7),
         helper.make_node("Loop", ["many", "", "x"], ["y"], "loop", body=body(step()))],
        [],
        r"\(Loop\): how many steps it takes depends on the data",
    ),
    "forever": (
        [helper.make_node("Loop", ["", "", "x"], ["y"], "loop", body=body(step()))], [], "never ends",
    ),
    "bomb": (
        [helper.make_node("Loop", ["count", "", "x"], ["y"], "loop", body=body(step()))],
        [constant("count", 2**62)],
        r"becomes more than 16384 nodes",
    ),
    "nothing kept": (
        [helper.make_node("Loop", ["count", "", "x"], ["y", "each"], "loop", body=body(KEEPING, ["seen"]))],
        [constant("count", 0)],
        "keeps results of its steps, and has no steps",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_a_plan_cannot_hold_is_one_sentence(case):
    nodes, constants, said = WRONG[case]
    with pytest.raises(InputError, match=said):
        tilewright.compile(model(nodes, constants))
