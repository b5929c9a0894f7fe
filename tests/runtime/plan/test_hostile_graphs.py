"""A stranger's graph is refused in a sentence with its node's name, before it takes memory, time or the process."""

import json
import os
import resource
import shutil

import pytest
import torch

import tilewright
from tests.conftest import padded_batch
from tilewright.compiler.report.summary import summarise
from tilewright.runtime.execution import shape_run
from tilewright.runtime.execution.guarded_operators import check_shapes
from tilewright.runtime.measuring.operations import count_operations
from tilewright.runtime.plan.operator_arguments import Kind, parameters, read_arguments, result_kind
from tilewright.runtime.plan.operators import PYTHON
from tilewright.targets.errors import InputError

IDS = {"node": "input_ids"}
LEAST = -(2**63)


def call(name, target, *args, **kwargs):
    return {"name": name, "op": "call_function", "target": target, "args": list(args), "kwargs": kwargs}


def node(name):
    return {"node": name}


def filled(name, value, size=4):
    return call(name, "aten.full.default", [size], value, dtype={"dtype": "int64"})


ONES = call("x", "aten.ones.default", [2, 4, 3])
ONE = call("one", "aten.ones.default", [1])
FOUR = call("four", "aten.ones.default", [4])
SQUARES = [call("b0", "operator.mul", 3, 3)]
SQUARES += [call(f"b{i}", "operator.mul", node(f"b{i - 1}"), node(f"b{i - 1}")) for i in range(1, 46)]
NEST: list[object] = [1]
for _ in range(900):
    NEST = [NEST]


@pytest.fixture
def hostile(small_plan_folder, tmp_path):
    """A loader of the small plan with more nodes behind its inputs."""

    def load(*nodes, change=lambda _: None):
        folder = tmp_path / "plan"
        shutil.copytree(small_plan_folder, folder, dirs_exist_ok=True)
        content = json.loads((small_plan_folder / "plan.json").read_text())
        place = max(number for number, one in enumerate(content["graph"]) if one["op"] == "placeholder")
        content["graph"][place + 1 : place + 1] = nodes
        change(content)
        (folder / "plan.json").write_text(json.dumps(content))
        return tilewright.load(folder)

    return load


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (call("y", "aten.to.dtype", IDS, -1), "'dtype' is -1; it takes a type"),
        (call("y", "aten._safe_softmax.default", IDS, 0, -2), "'dtype' is -2"),
        (call("y", "aten.softmax.int", IDS, 0, **{"class": 1}), "no argument 'class'"),
        (call("y", "aten.softmax.int", IDS, 0, dim=1), "no argument 'dim'"),
        (call("y", "aten.softmax.int", IDS), "'dim' is missing"),
        (call("y", "aten.softmax.int", IDS, 0, None, 3), "4 arguments, allowed are 3"),
        (call("y", "aten.add.Tensor", IDS, NEST), "'other' is [[[["),
        (call("y", "aten.add.Tensor", IDS, "text"), "'other' is 'text'"),
        (call("y", "aten.add.Tensor", IDS, 2**63), "'other' is 9223372036854775808"),
        (call("y", "aten.add.Tensor", IDS, 10**400), "a number of 1329 bits"),
        (call("y", "aten.gelu.default", IDS, approximate="none\n"), "it takes text such as none, tanh"),
        (call("y", "aten.cat.default", [IDS, 3], 0.5), "'dim' is 0.5"),
        (call("y", "aten.full.default", [4], 1, dtype={"dtype": "qint8"}), "'dtype' is {'dtype': 'qint8'}"),
        (call("y", "operator.mul", "a" * 64, 2**31), "'value' is 'aaaa"),
        (call("y", "operator.mul", [0], 2**31), "'value' is [0]"),
        (call("y", "operator.mod", "%09d", 1), "'value' is '%09d'"),
        (call("y", "operator.mul", IDS, 2), "'value' is {'node': 'input_ids'}"),
        (call("y", "operator.mul", 2), "'other' is missing"),
        (call("y", "operator.getitem", IDS, 0), "'value' is {'node': 'input_ids'}"),
        (call("self", "aten.ones.default", [1]), "'self' is reserved"),
        ({"name": "y", "op": "call_module", "target": "on_tiles.pooler.dense", "args": [5, 0]}, "5 is not a node"),
        ({"name": "y", "op": "call_module", "target": "on_tiles.pooler.dense", "args": [IDS, True]}, "its use is True"),
        ({"name": "y", "op": "get_attr", "target": "embeddings", "args": [1]}, "takes no arguments"),
        (call("y", "aten.full.default", [2**20, 2**20], 0), "asks for 1099511627776 elements"),
    ],
)
def test_arguments_are_what_the_operators_schema_says(hostile, record, words):
    with pytest.raises(InputError) as error:
        hostile(record)
    assert f"node '{record['name']}'" in str(error.value) or "name 'self'" in str(error.value)
    assert words in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", sorted(PYTHON.keys() - {"operator.getitem"}))
def test_arithmetic_on_sizes_takes_its_numbers(name):
    numbers, kind = parameters(PYTHON[name]), result_kind(PYTHON[name])
    args, _ = read_arguments("node", PYTHON[name], [4] * len(numbers), {}, {})
    assert isinstance(PYTHON[name](*args), bool | int | float)
    assert kind is Kind.NUMBER


def test_values_are_not_taken_for_sizes(hostile):
    assert hostile(call("y", "aten.full.default", [2, 2], torch.finfo(torch.float32).min))


UNBOUNDED = {
    "squares": SQUARES,
    "unbind": [call("a", "aten.ones.default", [2**27]), call("b", "aten.unbind.int", node("a"))],
    "split": [call("a", "aten.ones.default", [2**27]), call("b", "aten.split.Tensor", node("a"), 1)],
    "chunk": [call("a", "aten.ones.default", [2, 0]), call("b", "aten.chunk.default", node("a"), 2**40, 1)],
    "dimensions": [call("a", "aten.ones.default", [1] * 65)],
}
"""Graphs that reports refuse too: running on shapes takes memory and time for it."""


@pytest.mark.parametrize("case", UNBOUNDED)
def test_what_a_run_on_shapes_would_take_is_bounded(hostile, case):
    plan = hostile(*UNBOUNDED[case])
    for look in (count_operations, summarise, lambda plan: tilewright.Session(plan, ideal=True)(padded_batch(2, 5))):
        with pytest.raises(InputError, match="cannot run on these inputs"):
            look(plan)


TOO_LARGE = {
    "cat": [call("b0", "aten.ones.default", [2**20])]
    + [call(f"b{i}", "aten.cat.default", [node(f"b{i - 1}")] * 64) for i in range(1, 4)],
    "outer": [
        call("a", "aten.ones.default", [2**18, 1]), call("b", "aten.ones.default", [1, 2**18]),
        call("c", "aten.mul.Tensor", node("a"), node("b")),
    ],
    "one_hot": [call("a", "aten.one_hot.default", IDS, 2**27)],
    "unfold": [
        call("a", "aten.ones.default", [2**24]), call("b", "aten.unfold.default", node("a"), 0, 2**12, 1),
        call("c", "aten.clone.default", node("b")),
    ],
    "many": [call(f"b{i}", "aten.ones.default", [2**27]) for i in range(16)]
    + [call("c", "aten.stack.default", [node(f"b{i}") for i in range(16)])],
    "masked": [
        call("a", "aten.ones.default", [2**10, 1]), call("b", "aten.ones.default", [1, 2**10]),
        call("m", "aten.eq.Scalar", node("b"), 1), call("c", "aten.masked_select.default", node("a"), node("m")),
        call("d", "aten.unsqueeze.default", node("c"), 1), call("e", "aten.mul.Tensor", node("d"), node("b")),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", TOO_LARGE)
def test_a_run_that_would_not_fit_is_refused_before_it_is_made(hostile, case):
    session = tilewright.Session(hostile(*TOO_LARGE[case]), ideal=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    with pytest.raises(InputError, match="GiB there, allowed are"):
        session(padded_batch(2, 5))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18


def test_honest_logits_and_images_fit(small_plan):
    limit = shape_run.memory_limit(small_plan, [torch.empty(64, 128, dtype=torch.long)])
    assert limit > 64 * 128 * 4 * 64 * 3  # hidden states of this small network


def test_sizes_are_looked_at_once(small_plan, monkeypatch):
    """A run on sizes that were run before costs nothing more, in other sessions too."""
    looked = []
    monkeypatch.setattr(shape_run.ShapeRun, "run", lambda _, *inputs: looked.append([x.shape for x in inputs]))
    for length in (13, 13, 14):
        tilewright.Session(small_plan, ideal=True)(padded_batch(1, length))
    assert len(looked) == 2


NORM = ("aten._native_batch_norm_legit_no_training.default", 0.1, 1e-5)
KILLERS = {
    "batch norm": [ONES, ONE, FOUR, call("y", NORM[0], node("x"), node("four"), node("four"), node("one"),
                                         node("four"), *NORM[1:])],
    "group norm": [ONES, call("y", "aten.native_group_norm.default", node("x"), None, None, 10**6, 4, 3000, 2, 1e-5)],
    "divided": [filled("a", LEAST), filled("b", -1),
                call("y", "aten.div.Tensor_mode", node("a"), node("b"), rounding_mode="trunc")],
    "divided by a number": [filled("a", LEAST), call("y", "aten.div.Tensor_mode", node("a"), -1,
                                                     rounding_mode="trunc")],
    "floor divided": [filled("a", LEAST), filled("b", -1), call("y", "aten.floor_divide.default", node("a"),
                                                                node("b"))],
    "averaged": [call("a", "aten.full.default", [1, 1, 4, 4], LEAST, dtype={"dtype": "int64"}),
                 call("y", "aten.avg_pool2d.default", node("a"), [1, 1], [1, 1], [0, 0], False, True, -1)],
    "by zero": [filled("a", 4), filled("b", 0), call("y", "aten.div.Tensor_mode", node("a"), node("b"),
                                                     rounding_mode="trunc")],
    "outside": [filled("a", 4), call("y", "aten.as_strided.default", node("a"), [4], [1], 1000)],
    "beyond": [ONES, filled("i", 5), call("y", "aten.index_select.default", node("x"), 1, node("i"))],
    "mask of another shape": [ONES, call("m", "aten.ones.default", [7], dtype={"dtype": "bool"}),
                              call("y", "aten.masked_select.default", node("x"), node("m"))],
    "types": [call("y", "aten.gather.default", IDS, 0, 1)],
}  # fmt: skip
"""Graphs of which the first of them end a process that runs them unguarded; y is the node at fault."""


@pytest.mark.parametrize("case", KILLERS)
def test_what_would_end_the_process_or_fail_names_its_node(hostile, case):
    plan = hostile(*KILLERS[case])
    session = tilewright.Session(plan, ideal=True)
    child = os.fork()
    if child == 0:  # where it is not guarded, this one dies
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            session(padded_batch(2, 5))
        except InputError as error:
            os._exit(0 if str(error).startswith(f"node 'y' ({KILLERS[case][-1]['target']}) cannot run") else 3)
        os._exit(4)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("operator", "args"),
    [
        (torch.ops.aten.masked_select.default, (5, torch.ones(2, dtype=torch.bool))),
        (torch.ops.aten.index.Tensor, (torch.ones(2, 3), [None, 1])),
        (torch.ops.aten.index.Tensor, (1, [torch.ones(2, dtype=torch.bool)])),
        (torch.ops.aten._native_batch_norm_legit_no_training.default, (3, None, None, torch.ones(3), 3, *NORM[1:])),
        (torch.ops.aten.native_group_norm.default, (3, None, None, 1, 4, 3, 2, 1e-5)),
    ],
)
def test_numbers_are_not_taken_for_tensors(operator, args):
    with pytest.raises(InputError, match="not a tensor"):
        check_shapes(operator, args, {})


def test_remainders_of_the_least_number_end_no_process():
    least, minus_one = torch.full((70,), LEAST), torch.full((70,), -1)
    for function in (torch.ops.aten.remainder.Tensor, torch.ops.aten.fmod.Tensor):
        assert not function(least, minus_one).any()


def test_an_id_beyond_the_embedding_is_a_sentence(small_plan):
    inputs = padded_batch(2, 5)
    inputs["input_ids"][0, 0] = 10**6
    with pytest.raises(
        InputError, match=r"node '\w+' \(aten.embedding.default\) cannot run on these inputs: index out"
    ):
        tilewright.Session(small_plan, ideal=True)(inputs)


def test_a_bug_of_ours_keeps_its_traceback(small_plan, monkeypatch):
    session = tilewright.Session(small_plan, ideal=True)
    monkeypatch.setattr(session.module.get_submodule("on_tiles.pooler.dense"), "forward", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session(padded_batch(2, 5))


@pytest.mark.parametrize("name", ["torch", "self", "inputs", "inf", "device", "input"])
def test_inputs_may_have_any_name(hostile, name):
    def rename(content):
        content["inputs"][0]["name"] = name
        next(one for one in content["graph"] if one["op"] == "placeholder")["target"] = name

    inputs = padded_batch(2, 5)
    inputs[name] = inputs.pop("input_ids")
    assert tilewright.Session(hostile(change=rename), ideal=True)(inputs)["pooler_output"].isfinite().all()


def test_more_nodes_than_any_network_has(hostile):
    many = [call(f"q{i}", "aten.neg.default", IDS) for i in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tilewright.runtime.plan.graph.MOST_NODES", 2)
        with pytest.raises(InputError, match="more than 2 nodes"):
            hostile(*many)
