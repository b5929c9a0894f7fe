"""Sessions with adapters: the chip knows nothing of them, and the sum is the merged matrix's."""

import hashlib
import threading
from copy import deepcopy
from typing import Any

import pytest
import torch

import tilewright
from tests.lora_adapters import CLASSES, Classifier, beside_all, head, inputs, low_rank, merged, write
from tilewright.runtime.chip.analog_linear import AnalogLinear

SCALE = 4 / 2
OTHER = 5
ADAPTERS = {
    "zero": beside_all(zero=True),
    "one": beside_all(seed=1),
    "two": beside_all(seed=2),
    "head": {**low_rank("value", 24, 24), **head(OTHER)},
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """The plan with adapters: B zero, two others, and one with a classifier of more classes."""
    folder = tmp_path_factory.mktemp("adapters")
    found = tilewright.compile(Classifier().eval(), example_inputs=inputs())
    assert any(layer.has_factors for layer in found.document.layers)  # or nothing here would test them
    for name, tensors in ADAPTERS.items():
        found = found.with_adapter(name, write(folder / name, tensors))
    return found


def conductances(session):
    """Hash of what is programmed and read on all tiles of a session."""
    digest = hashlib.sha256()
    for name, module in session.module.named_modules():
        if isinstance(module, AnalogLinear):
            digest.update(name.removesuffix(".base").encode())
            for key, tensor in sorted(module.named_buffers()):
                digest.update(key.encode() + tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("settings", [{}, {"ideal": True}, {"layer_by_layer": True}], ids=str)
def test_b_of_zero_gives_the_bits_of_the_plan_without_adapter(plan, settings):
    x = inputs()
    for time in ("0s", "1mo"):
        exact = tilewright.Session(plan, seed=2, **settings).advance_to(time)(x=x)["logits"]
        found = tilewright.Session(plan, seed=2, adapter="zero", **settings).advance_to(time)(x=x)["logits"]
        assert torch.equal(found, exact)


def test_two_adapters_read_the_same_conductances(plan):
    sessions = [tilewright.Session(plan, seed=1, adapter=name).advance_to("1d") for name in (None, "one", "two")]
    hashes = {conductances(session) for session in sessions}
    assert len(hashes) == 1
    assert conductances(tilewright.Session(plan, seed=2, adapter="one").advance_to("1d")) not in hashes
    outputs = [session(x=inputs())["logits"] for session in sessions]
    assert not torch.allclose(outputs[1], outputs[2])


@pytest.mark.parametrize("name", ["one", "two", "head"])
def test_the_reference_is_the_merged_network(plan, name):
    with torch.no_grad():
        wanted, base = merged(ADAPTERS[name], SCALE)(inputs())["logits"], Classifier()(inputs())["logits"]
    found = tilewright.Session(plan, ideal=True, adapter=name)(x=inputs())["logits"]
    assert float((found - wanted).norm() / wanted.norm()) < 1e-5
    assert wanted.shape != base.shape or float((base - wanted).norm() / wanted.norm()) > 0.01


def test_a_chip_is_nearer_to_its_merged_network_than_to_the_base(plan, tmp_path):
    """The adapter is at the end, where it drives no later layer out of its range."""
    late = {name: tensor for name, tensor in beside_all(seed=1).items() if "classifier" in name}
    with torch.no_grad():
        wanted, base = merged(late, SCALE)(inputs())["logits"], Classifier()(inputs())["logits"]
    chosen = plan.with_adapter("late", write(tmp_path / "late", late)).adapted("late")
    for seed in range(3):
        found = tilewright.Session(chosen, seed=seed)(x=inputs())["logits"]
        assert float((found - wanted).norm()) < 0.7 * float((found - base).norm())


def test_the_adapter_is_changed_on_one_chip(plan):
    x, session = inputs(), tilewright.Session(plan, seed=3).advance_to("1h")
    apart = {name: tilewright.Session(plan, seed=3, adapter=name).advance_to("1h")(x=x)["logits"]
             for name in (None, *plan.adapters)}  # fmt: skip
    before = conductances(session)
    for name in (*plan.adapters, None, "two"):
        session.use_adapter(name).advance_to("1h")  # which counts samples from 0
        assert torch.equal(session(x=x)["logits"], apart[name])
    assert conductances(session) == before
    assert session.plan.adapter == "two"
    views = {name: session.with_adapter(name) for name in apart}
    assert all(torch.equal(view(x=x)["logits"], apart[name]) for name, view in views.items())
    shared = [dict(view.module.named_buffers()) for view in (views["one"], views["two"])]
    same = [name for name in shared[0] if name.startswith("on_tiles.query_key_value.base.row_blocks.")]
    assert same
    assert all(shared[0][name].data_ptr() == shared[1][name].data_ptr() for name in same)
    assert torch.equal(session.at("1mo")(x=x)["logits"],
                       tilewright.Session(plan, seed=3, adapter="two").advance_to("1mo")(x=x)["logits"])  # fmt: skip
    later = tilewright.Session(plan, seed=3, adapter="one").advance_to("1mo")
    session.advance_to("1mo")
    assert torch.equal(session.use_adapter("one")(x=x)["logits"], later(x=x)["logits"])


def test_a_replaced_layer_is_digital_and_may_have_more_outputs(plan):
    chosen = plan.adapted("head")
    assert chosen.document.outputs[0].shape == ["batch", OTHER]
    assert chosen.document.model.classes is None
    assert plan.document.outputs[0].shape == ["batch", CLASSES]
    assert tilewright.Session(plan, adapter="head")(x=inputs())["logits"].shape == (6, OTHER)
    assert tilewright.run(plan, {"x": inputs()}, adapter="head").outputs["logits"].shape == (1, 6, OTHER)
    assert chosen.adapted(None) is plan


def test_results_do_not_depend_on_the_batch(plan):
    x = inputs(32)
    runs = [tilewright.run(plan, {"x": x}, adapter="one", batch_size=size, seed=1) for size in (5, 32)]
    assert (runs[0].outputs["logits"] == runs[1].outputs["logits"]).all()


def test_all_runs_take_adapters(plan):
    x, adapter = inputs(), "one"
    exact = tilewright.Session(plan, seed=0, adapter=adapter).advance_to("1s")(x=x)["logits"]
    ran = tilewright.run(plan, {"x": x}, adapter=adapter)
    assert (ran.outputs["logits"][0] == exact.numpy()).all()
    assert ran.to_json()["adapter"] == adapter
    chosen = tilewright.run(plan.adapted(adapter), {"x": x})
    assert (chosen.outputs["logits"][0] == exact.numpy()).all()
    given: dict[str, Any] = {"inputs": {"x": x}, "repeats": 1}
    found = [tilewright.measure_sensitivity(plan, adapter=name, **given).figures for name in (None, adapter)]
    assert found[0] != found[1]


def test_threads_change_the_adapter_between_runs(plan):
    session, x = tilewright.Session(plan, ideal=True), inputs()
    wanted = {name: tilewright.Session(plan, ideal=True, adapter=name)(x=x)["logits"] for name in ("one", "two")}
    found = []

    def work(name):
        for _ in range(10):
            session.use_adapter(name)
            found.append(session(x=x)["logits"])

    threads = [threading.Thread(target=work, args=(name,)) for name in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(any(torch.equal(one, other) for other in wanted.values()) for one in found)


def test_convolutions_have_adapters(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(100, 3)
    ).eval()
    images = torch.randn(2, 2, 5, 5)
    a, b = torch.randn(2, 2, 3, 3), torch.randn(4, 2, 1, 1)
    folder = write(tmp_path / "lora", {"0.lora_A.weight": a, "0.lora_B.weight": b})
    plan = tilewright.compile(network, example_inputs=images).with_adapter("lora", folder)
    network = deepcopy(network)  # the plan holds the other's weights
    with torch.no_grad():
        base = network(images)
        network.get_parameter("0.weight").add_(SCALE * torch.einsum("or,rckl->ockl", b[:, :, 0, 0], a))
        wanted = network(images)
    found = tilewright.Session(plan, ideal=True, adapter="lora")(input=images)["output"]
    assert float((found - wanted).norm() / wanted.norm()) < 1e-5
    assert float((base - wanted).norm() / wanted.norm()) > 0.1


def test_matrices_that_are_stored_transposed(tmp_path):
    class Transposed(torch.nn.Module):
        """GPT-2's Conv1D: a weight of [inputs, outputs]; this one is square, so that a mistake has no other shape."""

        def __init__(self):
            super().__init__()
            self.weight, self.bias = torch.nn.Parameter(torch.randn(8, 8)), torch.nn.Parameter(torch.randn(8))

        def forward(self, x):
            return torch.addmm(self.bias, x, self.weight)

    network, x = torch.nn.Sequential(Transposed(), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval(), torch.randn(4, 8)
    own, pair = torch.randn(8, 8), low_rank("0", 8, 8)
    plan = tilewright.compile(network, example_inputs=x)
    plan = plan.with_adapter("own", write(tmp_path / "own", {"0.weight": own, "0.bias": torch.zeros(8)}))
    plan = plan.with_adapter("pair", write(tmp_path / "pair", pair, fan_in_fan_out=True))
    with torch.no_grad():
        product = pair["0.lora_B.weight"] @ pair["0.lora_A.weight"]
        wanted = [network[2](torch.relu(hidden)) for hidden in (x @ own, network[0](x) + SCALE * x @ product.T)]
    for name, logits in zip(("own", "pair"), wanted, strict=True):
        found = tilewright.Session(plan, ideal=True, adapter=name)(input=x)["output"]
        assert float((found - logits).norm() / logits.norm()) < 1e-5


def test_unknown_adapters_are_named(plan):
    for refused in (
        lambda: tilewright.Session(plan, adapter="tow"),
        lambda: tilewright.Session(plan).use_adapter("tow"),
        lambda: tilewright.run(plan, {"x": inputs()}, adapter="tow"),
        lambda: tilewright.estimate_cost(plan, adapter="tow"),
    ):
        with pytest.raises(tilewright.InputError, match="no adapter 'tow'; did you mean 'two'"):
            refused()


def test_peft_and_the_plan_agree(tmp_path):
    """A real adapter of the library, with ranks and scales of its own, on a fused BERT."""
    peft = pytest.importorskip("peft")
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(vocab_size=200, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=128, max_position_embeddings=64)  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "base")
    lora = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value", "dense"], task_type="SEQ_CLS",
                           rank_pattern={r"layer\.0\.output.dense": 2}, alpha_pattern={"query": 3},
                           use_rslora=True)  # fmt: skip
    tuned = peft.get_peft_model(model, lora).eval()
    with torch.no_grad():
        for name, tensor in tuned.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                tensor.normal_(0, 0.1)
    tuned.save_pretrained(tmp_path / "lora")
    plan = tilewright.compile(tmp_path / "base", adapters={"lora": tmp_path / "lora"})
    ids = torch.randint(1, 200, (3, 16))
    with torch.no_grad():
        wanted = tuned(input_ids=ids).logits
    found = tilewright.Session(plan, ideal=True, adapter="lora")(input_ids=ids)["logits"]
    base = tilewright.Session(plan, ideal=True)(input_ids=ids)["logits"]
    assert float((found - wanted).norm() / wanted.norm()) < 1e-5
    assert float((base - wanted).norm() / wanted.norm()) > 0.1
    (record,) = plan.document.adapters
    trained = sum(tensor.numel() for name, tensor in tuned.named_parameters() if tensor.requires_grad)
    assert record.parameters == trained
