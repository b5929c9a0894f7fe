"""A plan's graph is decoded and compiled once for all its sessions, which share nothing else."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn

import tilewright
from tilewright.runtime.execution import checked_graph
from tilewright.runtime.plan.graph import build_module

X = (torch.linspace(-1, 1, 48).reshape(3, 16),)


@pytest.fixture
def plan():
    return tilewright.compile(nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)), example_inputs=X)


def test_the_second_session_builds_nothing(plan, monkeypatch):
    built = []

    def build(*args):
        built.append(args)
        return build_module(*args)

    monkeypatch.setattr(checked_graph, "build_module", build)
    x = X[0]
    first, second = tilewright.Session(plan), tilewright.Session(plan, seed=1)
    assert len(built) == 1
    (mine,), (others,) = first(x).values(), second(x).values()
    assert not torch.equal(mine, others)  # another chip
    assert torch.equal(next(iter(tilewright.Session(plan)(x).values())), mine)


def test_a_plan_keeps_no_chip(plan):
    session = tilewright.Session(plan)
    layer = weakref.ref(next(iter(session._on_tiles.values())))
    del session
    gc.collect()
    assert layer() is None


def test_another_graph_is_compiled_anew(plan):
    x = X[0]
    ideal = next(iter(tilewright.Session(plan, ideal=True)(x).values()))
    nodes = list(plan.document.graph)
    relu = next(place for place, node in enumerate(nodes) if "relu" in node.target)
    nodes[relu] = nodes[relu].model_copy(update={"target": "aten.neg.default"})
    plan.document = plan.document.model_copy(update={"graph": nodes})
    assert not torch.equal(next(iter(tilewright.Session(plan, ideal=True)(x).values())), ideal)


def test_copies_begin_without_it(plan):
    tilewright.Session(plan)
    assert plan.graph_code._made
    for other in (copy.deepcopy(plan.graph_code), pickle.loads(pickle.dumps(plan.graph_code))):
        assert not other._made
