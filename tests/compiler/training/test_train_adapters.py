"""train(adapter=True): an adapter beside a frozen base, whose bits and ranges a chip of all tasks keeps."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, BertModel
from typer.testing import CliRunner

import tilewright
from tests.compiler.training import trainings
from tilewright.compiler.cli.app import app
from tilewright.compiler.training.adapters import AdapterParts, for_adapters, with_adapter
from tilewright.compiler.training.conditions import PassCounter
from tilewright.targets.errors import InputError

pytest.importorskip("peft", reason="adapters are trained with peft")


def trained(base, data, output, plan, **changes):
    return trainings.trained(base, data, output, **({"learning_rate": 1e-2, "adapter_of": plan} | changes))


def weights(folder):
    return load_file(folder / "adapter_model.safetensors")


def test_a_plan_of_the_base_takes_what_was_trained(base, data, plan, tmp_path):
    made = trained(base, data, tmp_path / "sst2", plan, repeats=1, times=("1s",))
    assert made.evaluation is not None
    assert made.evaluation.adapter == "adapter"
    assert any("nothing is distilled" in note for note in made.notes)
    plan = plan.with_adapter("sst2", tmp_path / "sst2")
    record = plan.adapted("sst2").adapter_record
    assert {one.layer for one in record.replacements} == {"classifier"}
    on_tiles = {layer.name for layer in plan.document.layers if layer.target == "pcm-512"} - {"classifier"}
    assert {one.layer for one in record.low_rank} == on_tiles
    assert {one.rank for one in record.low_rank} == {8}
    found = tilewright.evaluate(plan, "glue/sst2", data, times=("1s",), repeats=1, adapter="sst2")
    assert found.points[0].mean == made.evaluation.points[0].mean
    assert json.loads((tmp_path / "sst2" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)


def test_a_plan_of_another_base_refuses_it(base, data, plan, tmp_path):
    trained(base, data, tmp_path / "sst2", plan, repeats=0, steps=1)
    model = BertForSequenceClassification.from_pretrained(base)
    with torch.no_grad():
        model.classifier.weight.mul_(2)  # the adapter has one of its own
    model.save_pretrained(tmp_path / "other")
    tilewright.compile(tmp_path / "other").with_adapter("sst2", tmp_path / "sst2")
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight.mul_(2)
    model.save_pretrained(tmp_path / "other")
    other = tilewright.compile(tmp_path / "other")
    with pytest.raises(InputError, match=r"another base: 'bert\.encoder\.layer\.0\.output\.dense\.weight' is not that"):
        other.with_adapter("sst2", tmp_path / "sst2")
    tilewright.compile(base, "pcm-512-dynamic").with_adapter("sst2", tmp_path / "sst2")  # another chip of the same base


def test_the_base_and_its_ranges_stay(base, plan):
    model = BertForSequenceClassification.from_pretrained(base)
    batch = {"input_ids": torch.arange(24).view(2, 12) % 60 + 1, "attention_mask": torch.ones(2, 12, dtype=torch.int64)}
    parts, recipe = AdapterParts.of(model, plan), for_adapters(tilewright.load_recipe("device-noise"))
    assert (parts.replaced, parts.left) == (["classifier"], ["classifier"])
    tilewright.prepare(model, plan=plan, leave=parts.left)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if not name.endswith("passes")}
    wrapped = with_adapter(model, parts, recipe, base, seed=0).train()
    optimizer = torch.optim.SGD([one for one in wrapped.parameters() if one.requires_grad], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        wrapped(**batch, labels=torch.tensor([0, 1])).loss.backward()
        optimizer.step()
    after = {name.replace(".base_layer", "").replace(".original_module", ""): tensor
             for name, tensor in wrapped.get_base_model().state_dict().items()}  # fmt: skip
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert any(name.endswith("input_range") for name in before)
    (counter,) = [part for part in model.modules() if isinstance(part, PassCounter)]
    assert int(counter.passes) == 3


def test_the_command_line_trains_an_adapter_by_the_recipe(base, data, plan, tmp_path):
    out = tmp_path / "out"
    plan.save(tmp_path / "plan")
    arguments = ["train", str(base), "--task", "glue/sst2", "--data", str(data), "-o", str(out)]
    arguments += ["--adapter-of", str(tmp_path / "plan")]
    short = ["--steps", "2", "--batch-size", "4", "--repeats", "0", "--set-recipe", "adapter.rank=3"]
    said = CliRunner().invoke(app, [*arguments, *short])
    assert said.exit_code == 0, said.output
    assert f"trained an adapter of {base} on glue/sst2 by device-noise: 2 steps on" in " ".join(said.stdout.split())
    assert {len(tensor) for name, tensor in weights(out).items() if "lora_A" in name} == {3}


def test_digitally_an_adapter_is_a_control(base, data, plan, tmp_path):
    made = trained(base, data, tmp_path / "out", plan, steps=2, recipe="digital")
    assert made.steps == 2
    assert any("lora_B" in name for name in weights(tmp_path / "out"))


def test_a_base_of_other_classes_is_taken(small_model, data, tmp_path):
    base, _ = small_model(BertForSequenceClassification, ("red", "green", "blue"))
    plan = tilewright.compile(base)
    trained(base, data, tmp_path / "out", plan, steps=1)
    plan = plan.with_adapter("sst2", tmp_path / "out")
    assert tilewright.evaluate(plan, "glue/sst2", data, times=("1s",), repeats=1, adapter="sst2").digital >= 0


def test_what_has_no_adapter_is_refused(small_model, base, data, plan, tmp_path):
    encoder, _ = small_model(BertModel, 2)
    with pytest.raises(InputError, match="has no head that an adapter could replace"):
        trained(encoder, data, tmp_path / "out", plan)
    silent = tilewright.load_recipe("device-noise").model_copy(update={"adapter": None})
    with pytest.raises(InputError, match="says nothing of adapters"):
        trained(base, data, tmp_path / "out", plan, recipe=silent)
    with pytest.raises(InputError, match="no layer of this network on tiles that an adapter can be beside"):
        trained(base, data, tmp_path / "out", tilewright.compile(base, "digital-int8"), recipe="digital")
    with pytest.raises(InputError, match="target is 'pcm-512', and an adapter is trained for the chips of its plan"):
        trained(base, data, tmp_path / "out", plan, target="pcm-512")
    other, _ = small_model(BertForSequenceClassification, ("a", "b"), 5)
    with pytest.raises(InputError, match="are not those of the plan"):
        trained(other, data, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()
