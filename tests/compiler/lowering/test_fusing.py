"""Layers that multiply one input become one."""

import torch
from torch import nn

import tilewright
from tilewright.compiler.network.names import joint_name


def test_joint_names():
    assert joint_name(["a.b.query", "a.b.key"]) == "a.b.query_key"
    assert joint_name(["q", "k"]) == "q_k"
    assert joint_name(["a.q.dense", "a.k.dense"]) == "a.q_dense_k_dense"


def test_layers_of_one_input_are_fused_only_if_every_use_shares_it():
    class Uses(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 4), nn.Linear(8, 6, bias=False), nn.Linear(8, 4)

        def forward(self, x, y):
            first = torch.cat([self.a(x), self.b(x), self.c(x)], -1)
            return first, torch.cat([self.a(y), self.b(y)], -1)

    model = Uses().eval()
    inputs = {"x": torch.randn(3, 8), "y": torch.randn(3, 8)}
    plan = tilewright.compile(model, example_inputs=inputs)
    assert [(layer.name, len(layer.uses)) for layer in plan.document.layers] == [("a_b", 2), ("c", 1)]
    outputs = tilewright.Session(plan, ideal=True)(inputs)
    for value, expected in zip(outputs.values(), model(**inputs), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
