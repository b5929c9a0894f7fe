"""Products of two activations are named products on a unit, and products with constants layers, however written."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import tilewright
from tilewright.runtime.measuring.operations import count_operations

FLOATING = ("mm", "mv", "dot", "matmul", "einsum", "linear", "inner")
"""Endings of the names of operators that multiply tensors."""

PRODUCTS = {
    "matmul": lambda q, k: q @ k.mT,
    "bmm": lambda q, k: torch.bmm(q, k.mT),
    "baddbmm of BLOOM": lambda q, k: torch.baddbmm(q.new_zeros(q.shape[0], 1, 1), q, k.mT, beta=1.0, alpha=0.5),
    "baddbmm": lambda q, k: torch.baddbmm(q[:, :, :1], q, k.mT, beta=2.0, alpha=0.5),
    "baddbmm without its offset": lambda q, k: torch.baddbmm(q.new_full((1, 1, 1), torch.nan), q, k.mT, beta=0),
    "addmm": lambda q, k: torch.addmm(q[0, :, :1], q[0], k[0].t(), beta=0.5, alpha=2),
    "addbmm": lambda q, k: torch.addbmm(q[0, :, :1], q, k.mT, beta=0.5, alpha=2),
    "addmv": lambda q, k: torch.addmv(q[0, :, 0], q[0], k[0, 0], beta=0.5, alpha=2),
    "mm": lambda q, k: torch.mm(q[0], k[0].t()),
    "mv": lambda q, k: torch.mv(q[0], k[0, 0]),
    "dot": lambda q, k: torch.dot(q[0, 0], k[0, 0]),
    "linear": lambda q, k: functional.linear(q, k[0]),
    "linear with a computed bias": lambda q, k: functional.linear(q, k[0], k[0, :, 0]),
    "linear of a vector": lambda q, k: functional.linear(q, k[0, 0]),
    "linear on one": lambda q, k: functional.linear(q[0, 0], k[0]),
    "a vector on the left": lambda q, k: q[0, 0] @ k.mT,
    "a vector on the right": lambda q, k: q @ k[0, 0],
    "inner": torch.inner,
    "tensordot": lambda q, k: torch.tensordot(q, k, dims=([0, 2], [0, 2])),
    "einsum": lambda q, k: torch.einsum("bic,bjc->bij", q, k),
    "einsum of vectors": lambda q, k: torch.einsum("i,i->", q[0, 0], k[0, 0]),
    "linalg.matmul": lambda q, k: torch.linalg.matmul(q, k.mT),
}
ELEMENTWISE = {
    "product and sum": lambda q, k: (q.unsqueeze(2) * k.unsqueeze(1)).sum(-1),
    "vecdot": torch.linalg.vecdot,
    "outer": lambda q, k: torch.outer(q[0, 0], k[0, 0]),
}


class Products(nn.Module):
    """Every way at once: one compilation."""

    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(12, 16), nn.Linear(12, 16)

    def forward(self, x):
        q, k = self.q(x), self.k(x)
        return [way(q, k) for way in (PRODUCTS | ELEMENTWISE).values()]


@pytest.fixture(scope="module")
def products():
    torch.manual_seed(0)
    model = Products().eval()
    return model, tilewright.compile(model, example_inputs={"x": torch.randn(3, 5, 12)})


def test_every_product_of_two_activations_has_a_name_and_a_unit(products):
    _, plan = products
    assert len(plan.document.layers) == 1  # both layers read x
    assert [(m.kind, m.operands) for m in plan.document.matmuls] == [("product", "int8")] * len(PRODUCTS)
    assert [node.target for node in plan.document.graph if node.target.split(".")[-2:][0].endswith(FLOATING)] == []


def test_they_are_the_models_at_other_sizes(products):
    model, plan = products
    x = torch.randn(2, 7, 12)
    found = tilewright.Session(plan, ideal=True)(x=x).values()
    for name, output, expected in zip(PRODUCTS | ELEMENTWISE, found, model(x), strict=True):
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5, msg=name)
    on_chip = list(tilewright.Session(plan)(x=x).values())
    assert [output.shape for output in on_chip] == [output.shape for output in model(x)]


def test_they_are_counted(products):
    """Products of q and k, [b, s, 16]: results times the 16 that are summed over, 32 where the batch is too."""
    batch, length = 2, 7
    counts = count_operations(products[1], {"batch": batch, "sequence": length}).matmuls
    whole, one = batch * length * length * 16, length * length * 16
    expected = {
        "addmm": one, "mm": one, "mv": length * 16, "addmv": length * 16, "dot": 16,
        "einsum of vectors": 16, "linear on one": length * 16, "linear of a vector": batch * length * 16,
        "a vector on the left": batch * length * 16, "a vector on the right": batch * length * 16,
        "inner": batch * batch * one,
    }  # fmt: skip
    for name, found in zip(PRODUCTS, counts.values(), strict=True):
        assert found == expected.get(name, whole), name


def test_a_chain_is_a_product_of_two_and_another():
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(12, 12)

        def forward(self, x):
            q = self.q(x)
            return torch.linalg.multi_dot([q, x.t(), q])

    model, x = Chain(), torch.randn(5, 12)
    plan = tilewright.compile(model, example_inputs={"x": x})
    assert len(plan.document.matmuls) == 2
    torch.testing.assert_close(tilewright.Session(plan, ideal=True)(x=x)["output"], model(x), rtol=1e-4, atol=1e-4)


class Constants(nn.Module):
    """Products with a constant operand and factors: alpha joins the weights, beta the bias."""

    def __init__(self):
        super().__init__()
        self.matrix, self.bias = nn.Parameter(torch.randn(12, 6)), nn.Parameter(torch.randn(6))
        self.left, self.stack = nn.Parameter(torch.randn(5, 5)), nn.Parameter(torch.randn(3, 12, 6))
        self.vector = nn.Parameter(torch.randn(12))

    def forward(self, x):
        return [
            torch.addmm(self.bias, x[0], self.matrix, beta=0.5, alpha=2.0),
            torch.addmm(x[0, :, :1], self.left, x[0], beta=2.0, alpha=0.5),
            torch.baddbmm(self.bias, x, self.stack, beta=1.0, alpha=3.0),
            torch.addmm(self.bias, x[0], self.matrix, beta=0, alpha=1.0),
            torch.addmv(self.bias, self.matrix.t(), x[0, 0], alpha=2.0),
            x @ self.vector,
            functional.linear(x, self.vector),
            torch.inner(x, self.matrix.t()),
            functional.linear(self.left, x[0].t()),
        ]


def test_products_with_constants_and_factors_are_layers():
    torch.manual_seed(0)
    model, x = Constants().eval(), torch.randn(3, 5, 12)
    plan = tilewright.compile(model, example_inputs={"x": x})
    assert plan.document.matmuls == []
    assert {weight.place for weight in plan.document.weights_of_model if weight.name != "bias"} == {"analog"}
    assert [node.target for node in plan.document.graph if node.target.split(".")[-2:][0].endswith(FLOATING)] == []
    for output, expected in zip(tilewright.Session(plan, ideal=True)(x=x).values(), model(x), strict=True):
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)
    # factors are in the weights and the bias: nothing is multiplied behind the layers
    assert not [node for node in plan.document.graph if node.target == "aten.mul.Tensor" and node.args[1] in (3.0, 0.5)]


def test_both_products_of_blooms_attention_are_on_units(tmp_path):
    from transformers import BloomConfig, BloomModel

    torch.manual_seed(0)
    model = BloomModel(BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2)).eval()
    model.save_pretrained(tmp_path)
    ids = torch.randint(3, 50, (2, 8))
    plan = tilewright.compile(tmp_path)
    assert [m.name.rpartition(".")[2] for m in plan.document.matmuls] == ["scores", "context"]
    assert count_operations(plan, {"sequence": 8}).attention_share > 0
    found = tilewright.Session(plan, ideal=True)(input_ids=ids)["last_hidden_state"]
    torch.testing.assert_close(found, model(ids).last_hidden_state, rtol=1e-4, atol=1e-4)
