"""Adapters of peft on a prepared network: the base is frozen, and a plan takes what was trained."""

import pytest
import torch

import tilewright
from tests.conftest import padded_batch, small_bert_config
from tilewright.targets.errors import InputError

peft = pytest.importorskip("peft", reason="adapters are trained with peft")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A base model's folder, its adapter's, and the network that was trained."""
    from transformers import BertForSequenceClassification

    folder = tmp_path_factory.mktemp("adapters")
    torch.manual_seed(0)
    model = BertForSequenceClassification(small_bert_config()).eval()
    model.save_pretrained(folder / "base")
    batch = padded_batch(4, 12)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tilewright.prepare(model, "pcm-512", example_inputs=batch, leave=["classifier"])
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["query", "value"], modules_to_save=["classifier"])
    wrapped = peft.get_peft_model(model, config).train()
    optimizer = torch.optim.AdamW([one for one in wrapped.parameters() if one.requires_grad], 1e-2)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = wrapped(**batch, labels=torch.tensor([0, 1, 0, 1])).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    wrapped.save_pretrained(folder / "adapter")
    return folder, wrapped, before, losses


def test_the_base_keeps_its_bits(trained):
    _, wrapped, before, losses = trained
    held = wrapped.get_base_model().state_dict()
    for name, tensor in before.items():
        module, _, last = name.rpartition(".")
        places = (name, f"{module}.base_layer.{last}", f"{module}.original_module.{last}")
        (found,) = [held[place] for place in places if place in held]
        assert torch.equal(found, tensor)
    assert losses[-1] < losses[0]


def test_a_plan_of_the_base_takes_the_adapter(trained):
    folder, wrapped, *_ = trained
    plan = tilewright.compile(folder / "base", adapters={"task": folder / "adapter"})
    batch = padded_batch(4, 12)
    wanted = tilewright.restore(wrapped).eval()(**batch).logits
    found = tilewright.Session(plan, adapter="task", ideal=True)(**batch)["logits"]
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(tilewright.Session(plan, ideal=True)(**batch)["logits"], wanted, atol=1e-2)


def test_a_layer_that_is_not_there_cannot_be_left():
    from transformers import BertModel

    with pytest.raises(InputError, match=r"no preparation is asked for 'head', which matches no layer"):
        tilewright.prepare(BertModel(small_bert_config()), example_inputs=padded_batch(2, 8), leave=["head"])
