"""Loops of a stranger's plan: what does not fit is refused when the plan is loaded, or before anything is made."""

import copy
import json

import pytest
import torch
from torch import nn

import tilewright
from tilewright.runtime.plan.plan_error import PlanError
from tilewright.targets.errors import InputError


class Steps(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = nn.GRU(4, 6, batch_first=True)

    def forward(self, x):
        return self.recurrent(x)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    plan = tilewright.compile(Steps().eval(), example_inputs=torch.randn(2, 3, 4), cache=False)
    return plan.save(tmp_path_factory.mktemp("plans") / "plan")


def changed(folder, tmp_path, change):
    """The plan with a change of its document, on disk again."""
    document = json.loads((folder / "plan.json").read_text())
    change(document)
    made = tmp_path / "plan"
    made.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.name != "plan.json":
            (made / file.name).write_bytes(file.read_bytes())
    (made / "plan.json").write_text(json.dumps(document))
    return made


def call_of(document):
    return next(node for node in document["graph"] if node["target"].startswith("in_loops."))


def more_states(document):
    document["loops"][0]["states"] = 2


def no_sequences(document):
    call_of(document)["args"][1] = []


def two_lists(document):
    call_of(document)["args"].pop()


def another_loop(document):
    call_of(document)["target"] = "in_loops.loop_7"


def two_of_a_name(document):
    document["loops"].append(copy.deepcopy(document["loops"][0]))


def loop_in_itself(document):
    body = document["loops"][0]["graph"]
    place = next(place for place, node in enumerate(body) if node["op"] == "call_module")
    body[place] = {**body[place], "target": "in_loops.loop_0"}


def nothing_out(document):
    document["loops"][0]["graph"][-1]["args"] = [[]]


def unknown_operator(document):
    node = next(node for node in document["loops"][0]["graph"] if node["op"] == "call_function")
    node["target"] = "aten.set_.source_Tensor"


def other_use(document):
    node = next(node for node in document["loops"][0]["graph"] if node["op"] == "call_module")
    node["args"][1] = 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (more_states, "hands on 2"),
        (no_sequences, "0 sequences"),
        (two_lists, "three lists of nodes"),
        (another_loop, "no 'in_loops.loop_7'"),
        (two_of_a_name, "two loops are named 'loop_0'"),
        (loop_in_itself, "no 'in_loops.loop_0'"),
        (nothing_out, "does not give its 1 states"),
        (unknown_operator, "set_"),
        (other_use, "are not the plan's"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_loops_that_do_not_fit_are_refused(folder, tmp_path, change, said):
    with pytest.raises((InputError, PlanError), match=said):
        tilewright.load(changed(folder, tmp_path, change))


def test_states_that_change_their_shape_are_refused_before_a_step(folder, tmp_path):
    def grow(document):
        graph = document["loops"][0]["graph"]
        output = graph[-1]
        state = output["args"][0][0]
        grown = {"name": "grown", "op": "call_function", "target": "aten.cat.default", "args": [[state, state], 0]}
        graph.insert(-1, {**grown, "kwargs": {}})
        output["args"][0][0] = {"node": "grown"}

    plan = tilewright.load(changed(folder, tmp_path, grow))
    with pytest.raises(InputError, match="hands on"):
        tilewright.Session(plan)(x=torch.randn(2, 3, 4))


def test_no_steps_are_one_sentence(folder):
    session = tilewright.Session(tilewright.load(folder))
    with pytest.raises(InputError, match="sequence"):
        session(x=torch.randn(2, 0, 4))
