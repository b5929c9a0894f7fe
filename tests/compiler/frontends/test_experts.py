"""Mixtures of experts: each expert's matrices are layers that read what the router sends them."""

import json
from functools import cache

import pytest
import torch
from torch import nn

import tilewright
from tests.families import build
from tilewright.runtime.measuring.operations import count_operations
from tilewright.targets.errors import InputError

TOKENS = {"input_ids": torch.randint(200, (5, 9), generator=torch.Generator().manual_seed(0))}
INPUTS = TOKENS | {"attention_mask": torch.ones(5, 9, dtype=torch.int64)}
SMALL = {"rows": 32, "columns": 32}


@cache
def model(name="Mixtral"):
    made = build(name)
    with torch.no_grad():
        for parameter in made.parameters():  # experts that matter
            if parameter.dim() > 1:
                parameter.mul_(8.0)
    return made


@pytest.fixture(scope="module")
def plan():
    return tilewright.compile(model(), example_inputs=INPUTS, calibration={k: v[:3] for k, v in INPUTS.items()})


def experts(plan):
    return [layer for layer in plan.document.layers if ".experts." in layer.name]


def test_each_matrix_of_each_expert_is_a_layer(plan):
    names = [
        f"model.layers.0.mlp.experts.{part}.{number}" for number in range(4) for part in ("gate_up_proj", "down_proj")
    ]
    assert [layer.name for layer in experts(plan)] == names
    assert {layer.parts[0].weight.rpartition(".")[2] for layer in experts(plan)} == {"gate_up_proj", "down_proj"}
    (router,) = [one for one in plan.document.weights_of_model if one.role == "router"]
    assert (router.name, router.place) == ("model.layers.0.mlp.gate.weight", "digital")
    assert "which experts a vector goes to" in router.reason


def test_shares_are_those_of_the_calibration(plan):
    shares = [use.share for layer in experts(plan) for use in layer.uses]
    assert shares[::2] == shares[1::2]  # both matrices of an expert
    assert sum(shares[::2]) == pytest.approx(2, abs=1e-4)  # two of four experts a token
    assert len(set(shares)) > 1
    assert all(use.share == 1 for layer in plan.document.layers if layer not in experts(plan) for use in layer.uses)


def test_a_run_counts_what_experts_read(plan):
    found = count_operations(plan, {"batch": 3, "sequence": 40})
    read = [found.vectors[layer.name] for layer in experts(plan)]
    assert sum(read[::2]) == pytest.approx(2 * 3 * 40, abs=2)
    dense = sum(layer.inputs * layer.outputs for layer in experts(plan)) * 3 * 40
    assert sum(found.layers[layer.name] for layer in experts(plan)) == pytest.approx(dense / 2, rel=0.02)


def test_the_router_sends_real_vectors(plan):
    """Plans in full precision are the model: each token goes to the experts that its router chose."""
    with torch.no_grad():
        wanted = model()(**INPUTS).logits
    (found,) = tilewright.Session(plan, ideal=True)(INPUTS).values()
    assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("options", [{}, {"layer_by_layer": True}], ids=["at once", "layer by layer"])
def test_a_sample_has_the_same_bits_in_any_batch(plan, options):
    session = tilewright.Session(plan, seed=3, **options).advance_to("1d")
    (together,) = session.run(INPUTS).values()
    for first, stop in ((0, 1), (1, 4), (4, 5)):
        some = {name: value[first:stop] for name, value in INPUTS.items()}
        (apart,) = session.run(some, samples=range(first, stop)).values()
        assert torch.equal(apart, together[first:stop])


def test_an_expert_reads_its_own_vectors_alone(plan):
    """A vector that is not sent to an expert is none of its reads: not even its noise is drawn."""
    session = tilewright.Session(plan, seed=0)
    layer = session.module.get_submodule(f"on_tiles.{experts(plan)[0].name}")
    x, chosen = torch.randn(6, 64), torch.tensor([True, False, True, False, False, True])
    found, every = layer(x, 0, chosen), layer(x, 0)
    assert torch.equal(found[chosen], every[chosen])
    assert not found[~chosen].any()
    assert not layer(x, 0, torch.zeros(6, dtype=torch.bool)).any()
    with pytest.raises(InputError, match=r"vectors of shape \[6\] are chosen by \[5\] booleans"):
        layer(x, 0, chosen[:5])


@pytest.mark.parametrize("target", ["digital-int8", "pcm-512-dynamic", "ideal"])
def test_on_other_targets(target):
    plan = tilewright.compile(model(), target, example_inputs=INPUTS)
    (found,) = tilewright.Session(plan, seed=0)(INPUTS).values()
    with torch.no_grad():
        wanted = model()(**INPUTS).logits
    error = float((found - wanted).norm() / wanted.norm())
    assert error < (1e-4 if target == "ideal" else 0.7), error


class Sparse(nn.Module):
    """A router that never sends anything to the last of its experts."""

    def __init__(self):
        super().__init__()
        self.block = model("Qwen3-MoE").model.layers[0].mlp

    def forward(self, x):
        found = self.block(x)
        return found[0] if isinstance(found, tuple) else found


def test_an_expert_that_no_sample_reaches_is_seen_on_all_vectors():
    network = Sparse().eval()
    before = network.block.gate.weight.data.clone()
    try:
        x = torch.rand(4, 6, 64) + 0.1
        network.block.gate.weight.data[3] = -5.0  # all inputs are positive
        plan = tilewright.compile(network, example_inputs=x)
        unreached = [layer for layer in experts(plan) if layer.uses[0].share == 0]
        assert {"3"} <= {layer.name.rpartition(".")[2] for layer in unreached} < {"0", "1", "2", "3"}
        assert all(0 < layer.option.uses[0].input_range < 1e3 for layer in unreached)
        said = [one for one in plan.document.decisions if one.made_by == "observe"]
        assert [one.subject for one in said] == [layer.name for layer in unreached]
        assert "no calibration sample was sent to it" in said[0].reason
        (found,) = tilewright.Session(plan)(-x).values()  # now all are sent there
        assert found.isfinite().all()
    finally:
        network.block.gate.weight.data = before


def test_neuron_norms_rank_experts(plan):
    found = tilewright.measure_sensitivity(plan, ["neuron-norm"], repeats=1)
    figures = found.of("neuron-norm")
    for layer in experts(plan):
        kind, number = layer.name.split(".")[-2:]
        matrix = getattr(model().model.layers[0].mlp.experts, kind)[int(number)]
        assert figures[layer.name, layer.target] == pytest.approx(float(matrix.detach().norm(dim=1).max()), rel=1e-5)


def changed(plan, tmp_path, change):
    """The plan with another third argument of its first expert's call."""
    folder = plan.save(tmp_path / "plan", overwrite=True)
    document = json.loads((folder / "plan.json").read_text())
    call = next(node for node in document["graph"] if ".experts." in node["target"])
    change(call, document)
    (folder / "plan.json").write_text(json.dumps(document))
    return folder


def of_other_vectors(call, document):
    call["args"][2] = {"node": next(one["name"] for one in document["graph"] if one["op"] == "placeholder")}


WRONG = {
    "numbers": (lambda call, _: call["args"].__setitem__(2, 1), "is not a node|reads"),
    "four": (lambda call, _: call["args"].append(call["args"][2]), "has 4 arguments; it takes x, use, chosen"),
    "inputs": (of_other_vectors, "vectors chosen by torch.int64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_chooses_vectors_is_checked(plan, tmp_path, case):
    change, said = WRONG[case]
    folder = changed(plan, tmp_path, change)
    with pytest.raises(InputError, match=said):
        tilewright.Session(tilewright.load(folder), ideal=True)(INPUTS)


def test_a_prepared_mixture_is_refused():
    with pytest.raises(InputError, match="cannot be prepared"):
        tilewright.prepare(build("Mixtral"), "pcm-512", example_inputs=INPUTS)
