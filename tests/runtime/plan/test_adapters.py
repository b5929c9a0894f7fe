"""Adapters beside plans: what fits, what is refused, what is saved; and folders of strangers."""

import json
import os
from hashlib import sha256

import pytest
import torch
from safetensors.torch import save_file

import tilewright
from tests.lora_adapters import WIDTH, Classifier, head, inputs, low_rank, write
from tests.narrowing import present


@pytest.fixture(scope="module")
def base():
    return tilewright.compile(Classifier().eval(), example_inputs=inputs())


@pytest.fixture
def saved(base, tmp_path):
    base.save(tmp_path / "plan")
    return tilewright.load(tmp_path / "plan")


@pytest.fixture
def pair():
    return low_rank("query", WIDTH, WIDTH)


def refusal(plan, folder, name="lora"):
    with pytest.raises(tilewright.InputError) as caught:
        plan.with_adapter(name, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


def test_its_record_says_what_it_is(base, tmp_path):
    tensors = low_rank("query", WIDTH, WIDTH) | head(7)
    plan = base.with_adapter("lora", write(tmp_path / "folder", tensors, base_model_name_or_path="bert"))
    (record,) = plan.document.adapters
    assert (record.name, record.source, record.base) == ("lora", "folder", "bert")
    (low,), (replaced,) = record.low_rank, record.replacements
    layer = plan.layer(low.layer)
    assert layer.parts[low.part].weight == "query.weight"
    assert (low.module, low.rank, low.alpha, low.scale) == ("query", 2, 4.0, 2.0)
    assert low.parameters == 2 * (WIDTH + WIDTH)
    assert (replaced.layer, replaced.outputs, replaced.has_bias) == ("classifier", 7, True)
    assert record.parameters == low.parameters + replaced.parameters == 2 * 2 * WIDTH + 7 * (WIDTH + 1)
    assert record.layers == [layer.name, "classifier"]
    beside, instead = record.decisions
    assert beside.rejected[0].figures[0].value == layer.inputs * layer.outputs
    assert instead.reason
    assert [d for d in plan.document.decisions_in_force if d in record.decisions] == record.decisions


def test_scales_and_ranks_by_module(base, tmp_path):
    tensors = low_rank("query", WIDTH, WIDTH, 2) | low_rank("key", WIDTH, WIDTH, 4) | low_rank("up", 40, WIDTH, 2)
    patterns = {"rank_pattern": {"k.*y": 4}, "alpha_pattern": {r"^up$": 3, "no.such": 5}}
    for rs, scales in ((False, (2.0, 1.0, 1.5)), (True, (4 / 2**0.5, 2.0, 3 / 2**0.5))):
        folder = write(tmp_path / f"rs-{rs}", tensors, use_rslora=rs, **patterns)
        (record,) = base.with_adapter("lora", folder).document.adapters
        assert [pair.module for pair in record.low_rank] == ["query", "key", "up"]
        assert [pair.scale for pair in record.low_rank] == pytest.approx(scales)


class Wrapped(torch.nn.Module):
    """A model inside another."""

    def __init__(self):
        super().__init__()
        self.model = Classifier()

    def forward(self, x):
        return self.model(x)


def test_a_first_word_may_be_missing_or_more(tmp_path, base, pair):
    inner = tilewright.compile(Wrapped().eval(), example_inputs=inputs())
    assert "model.first" in {layer.name for layer in inner.document.layers}
    with_word = write(tmp_path / "with", {f"model.{name}": tensor for name, tensor in (pair | head(3)).items()})
    without = write(tmp_path / "without", pair | head(3))
    hashes = {plan.with_adapter("lora", folder).document.adapters[0].sha256
              for plan in (base,) for folder in (with_word, without)}  # fmt: skip
    assert len(hashes) == 1
    for folder in (with_word, without):
        (record,) = inner.with_adapter("lora", folder).document.adapters
        assert record.low_rank[0].layer == "model.query_key_value"
    mixed = write(tmp_path / "mixed", {f"bert.{name}": tensor for name, tensor in pair.items()} | head(3))
    assert base.with_adapter("lora", mixed).document.adapters[0].layers == ["query_key_value", "classifier"]
    others = low_rank("up", 40, WIDTH)
    torn = {f"bert.{name}": t for name, t in pair.items()} | {f"roberta.{name}": t for name, t in others.items()}
    assert "no layer of the plan" in refusal(base, write(tmp_path / "torn", torn))


def test_types_of_numbers(base, tmp_path, pair):
    exact = base.with_adapter("lora", write(tmp_path / "float32", {k: t.half().float() for k, t in pair.items()}))
    for dtype in (torch.float16, torch.float64):
        folder = write(tmp_path / str(dtype), {key: tensor.half().to(dtype) for key, tensor in pair.items()})
        found = base.with_adapter("lora", folder)
        assert found.document.adapters[0].sha256 == exact.document.adapters[0].sha256


def test_the_base_keeps_its_file_bytes_and_hash(saved, tmp_path, pair):
    folder = tmp_path / "plan"
    weights = folder / "weights.safetensors"
    before, number, hashed = sha256(weights.read_bytes()).hexdigest(), weights.stat().st_ino, saved.sha256
    (folder / "notes.txt").write_text("mine")
    changed = saved.with_adapter("one", write(tmp_path / "one", pair)).with_adapter(
        "two", write(tmp_path / "two", head(7))
    )
    assert saved.adapters == []
    changed.save(folder, overwrite=True)
    assert sha256(weights.read_bytes()).hexdigest() == before
    assert weights.stat().st_ino == number  # it was not written again
    assert sorted(path.name for path in (folder / "adapters").iterdir()) == ["one.safetensors", "two.safetensors"]
    loaded = tilewright.load(folder)
    assert loaded.document == changed.document
    assert loaded.sha256 == hashed
    apart = {loaded.adapted(name).sha256 for name in (None, "one", "two")}
    assert len(apart) == 3
    assert loaded.adapted("one").adapted("two").sha256 == loaded.adapted("two").sha256
    loaded.without_adapter("one").save(folder, overwrite=True)
    assert [path.name for path in (folder / "adapters").iterdir()] == ["two.safetensors"]
    assert tilewright.load(folder).adapters == ["two"]
    assert (folder / "notes.txt").read_text() == "mine"
    elsewhere = tilewright.load(folder).without_adapter("two").save(tmp_path / "elsewhere")
    assert not (elsewhere / "adapters").exists()
    for name in ("plan.json", "weights.safetensors"):  # what is left is the plan as it was
        assert (elsewhere / name).read_bytes() == saved.save(tmp_path / "again", overwrite=True).joinpath(
            name
        ).read_bytes()


def test_where_files_have_no_second_name_they_are_copied(saved, tmp_path, pair, monkeypatch):
    def no_link(*_args, **_named):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_link)
    made = saved.with_adapter("one", write(tmp_path / "one", pair)).save(tmp_path / "new")
    assert tilewright.load(made).adapters == ["one"]
    assert (made / "weights.safetensors").read_bytes() == (tmp_path / "plan" / "weights.safetensors").read_bytes()


def test_a_changed_file_of_weights_is_written_from_memory(saved, tmp_path, pair):
    changed = saved.with_adapter("one", write(tmp_path / "one", pair))
    x = inputs()
    exact = tilewright.Session(changed, ideal=True)(x=x)["logits"]
    (tmp_path / "plan" / "weights.safetensors").unlink()
    again = tilewright.load(changed.save(tmp_path / "new"))
    assert torch.equal(tilewright.Session(again, ideal=True)(x=x)["logits"], exact)


def test_a_chosen_adapter_is_not_saved(saved, tmp_path):
    chosen = saved.with_adapter("one", write(tmp_path / "one", head(7))).adapted("one")
    chosen.save(tmp_path / "new")
    loaded = tilewright.load(tmp_path / "new")
    assert loaded.adapter is None
    assert loaded.document.outputs == saved.document.outputs
    moved = chosen.on(chosen.document.chip)
    assert moved.adapter == "one"


def test_replacing_and_removing(base, tmp_path, pair):
    one, two = write(tmp_path / "one", pair), write(tmp_path / "two", head(7))
    plan = base.with_adapter("lora", one)
    assert "has an adapter 'lora' already" in refusal(plan, two)
    replaced = plan.with_adapter("lora", two, replace=True)
    assert [record.source for record in replaced.document.adapters] == ["two"]
    assert set(replaced.tensors) - set(base.tensors) == {"on_tiles.classifier.adapter_lora.0_weight",
                                                         "on_tiles.classifier.adapter_lora.0_bias"}  # fmt: skip
    assert replaced.without_adapter("lora").document == base.document
    with pytest.raises(tilewright.InputError, match="no adapter 'lor'"):
        plan.without_adapter("lor")
    assert "cannot tell apart" in refusal(plan, one, "LORA")
    for name in ("", "../x", "a b", "x" * 65, "a/b", "-a"):
        assert "is not letters" in refusal(base, one, name)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'; only LORA"),
        ({"peft_type": None}, "peft_type is None"),
        ({"use_dora": True}, "DoRA (use_dora) is not supported"),
        ({"bias": "all"}, "bias is 'all'; only none"),
        ({"lora_bias": True}, "a bias of LoRA (lora_bias)"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights is 'pissa_niter_16'"),
        ({"init_lora_weights": "olora"}, "changes the base's weights"),
        ({"init_lora_weights": 2}, "init_lora_weights is 2"),
        ({"trainable_token_indices": [1]}, "an adapter of single tokens"),
        ({"layer_replication": [[0, 4]]}, "'layer_replication', which is"),
        ({"target_parameters": ["x"]}, "'target_parameters', which is"),
        ({"use_qalora": True}, "'use_qalora'"),
        ({"invented": 3}, "'invented', which is 3, is not supported"),
        ({"r": 3}, "has rank 2, the adapter's configuration says 3"),
        ({"r": "2"}, "not a whole number from 1"),
        ({"r": True}, "not a whole number from 1"),
        ({"r": 10**400}, "not a whole number from 1"),
        ({"lora_alpha": "4"}, "alpha of 'query' is '4', not a number"),
        ({"lora_alpha": 10**400}, "not a number"),
        ({"use_rslora": 1.5}, "use_rslora is 1.5"),
        ({"rank_pattern": [1]}, "not a mapping"),
        ({"rank_pattern": {"(a+)+$": 1}}, "has the pattern '(a+)+$'"),
        ({"rank_pattern": {".*.*.*.*": 1}}, "has the pattern"),
        ({"rank_pattern": {"query|key": 1}}, "has the pattern"),
        ({"rank_pattern": {"a" * 300: 1}}, "has the pattern"),
    ],
    ids=str,
)  # fmt: skip
def test_configurations_that_are_not_supported_are_named(base, tmp_path, pair, config, said):
    assert said in refusal(base, write(tmp_path / "lora", pair, **config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("query.lora_A.weight"), "has no lora_A for 'query'"),
        (lambda t: t.pop("query.lora_B.weight"), "has no lora_B for 'query'"),
        (lambda t: t.update({"query.lora_A.weight": torch.zeros(2, WIDTH + 1)}), "its layer takes [rank, 24]"),
        (lambda t: t.update({"query.lora_B.weight": torch.zeros(WIDTH + 1, 2)}), "its layer takes [rank, 24]"),
        (lambda t: t.update({"query.lora_B.weight": torch.zeros(WIDTH, 3)}), "do not multiply"),
        (lambda t: t.update({"query.lora_A.weight": torch.zeros(2)}), "do not multiply"),
        (lambda t: t.update({"query.lora_A.weight": torch.zeros(2, 6, 2, 2),
                             "query.lora_B.weight": torch.zeros(WIDTH, 2, 1, 1)}), "its layer takes [rank, 24]"),
        (lambda t: t["query.lora_A.weight"].fill_(float("nan")), "holds NaN or infinity"),
        (lambda t: t["query.lora_B.weight"].fill_(float("inf")), "holds NaN or infinity"),
        (lambda t: t.update({"query.lora_B.weight": torch.full((WIDTH, 2), 1e300, dtype=torch.float64)}), "infinity"),
        (lambda t: t.update({"query.lora_A.weight": torch.zeros(2, WIDTH, dtype=torch.int8)}), "is torch.int8"),
        (lambda t: t.update({"query.lora_A.weight": torch.zeros(0, WIDTH)}), "is empty"),
        (lambda t: t.update(low_rank("quarry", WIDTH, WIDTH)), "which is no layer of the plan; did you mean 'query"),
        (lambda t: t.update(low_rank("norm", WIDTH, WIDTH)), "'norm', which is no layer"),
        (lambda t: t.update({"norm.weight": torch.ones(WIDTH)}), "'norm', which is no layer"),
        (lambda t: t.update({"query.weight": torch.ones(WIDTH, WIDTH)}), "both LoRA and a matrix of its own"),
        (lambda t: t.update({"key.bias": torch.ones(WIDTH)}), "a bias and no weight for 'key'"),
        (lambda t: t.update({"key.weight": torch.ones(WIDTH + 1, WIDTH)}), "only a layer that gives an output"),
        (lambda t: t.update({"down.weight": torch.ones(WIDTH + 1, 40)}), "only a layer that gives an output"),
        (lambda t: t.update({"classifier.weight": torch.ones(3, WIDTH + 1)}), "has shape [3, 25], the model's has"),
        (lambda t: t.update({"classifier.weight": torch.ones(3)}), "the model's has [3, 24]"),
        (lambda t: t.update(head(3) | {"classifier.bias": torch.ones(4)}), "the bias of 'classifier' has shape [4]"),
        (lambda t: t.update({"query.lora_magnitude_vector.weight": torch.ones(WIDTH)}), "DoRA is not supported"),
        (lambda t: t.update({"words.lora_embedding_A": torch.ones(2, 9)}), "LoRA on an embedding is not supported"),
        (lambda t: t.update({"query.lora_B.bias": torch.ones(WIDTH)}), "a bias of LoRA is not supported"),
        (lambda t: t.update({"query.lora_C.weight": torch.ones(WIDTH)}), "'query.lora_C', which is no layer"),
        (lambda t: t.update({"key.input_range": torch.ones(1)}), "is not named as"),
        (lambda t: t.update({"weight": torch.ones(1)}), "is not named as"),
        (lambda t: t.update({"../../key.weight": torch.ones(1)}), "is not named as"),
        (lambda t: t.update({"k" * 600 + ".weight": torch.ones(1)}), "is not named as"),
        (dict.clear, "has no tensors"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_named(base, tmp_path, pair, change, said):
    change(pair)
    assert said in refusal(base, write(tmp_path / "lora", pair))


def test_names_without_what_peft_writes_before_them(base, tmp_path, pair):
    folder = write(tmp_path / "lora", pair)
    save_file(pair, folder / "adapter_model.safetensors")
    assert "is not named as base_model.model.MODULE" in refusal(base, folder)


def test_folders_that_hold_no_adapter(base, tmp_path, pair):
    assert "there is no adapter folder" in refusal(base, tmp_path / "nowhere")
    folder = write(tmp_path / "lora", pair)
    content = (folder / "adapter_model.safetensors").read_bytes()
    for bad in (b"", content[:20], content[:-4], (2**63).to_bytes(8, "little") + content[8:],
                content.replace(b"[2,24]", b"[9,24]")):  # fmt: skip
        (folder / "adapter_model.safetensors").write_bytes(bad)
        assert "damaged or missing" in refusal(base, folder)
    (folder / "adapter_model.safetensors").unlink()
    assert "there is no file of an adapter" in refusal(base, folder)
    (folder / "adapter_model.bin").write_bytes(b"\x80\x02.")
    assert "is a pickle" in refusal(base, folder)
    for text, said in (("[]", "not a JSON object"), ("{", "not readable JSON"), ("[" * 10**5, "not readable JSON"),
                       ("1" * (2**20 + 1), "allowed are")):  # fmt: skip
        (folder / "adapter_config.json").write_text(text)
        assert said in refusal(base, folder)
    (folder / "adapter_config.json").unlink()
    assert "there is no configuration of an adapter" in refusal(base, folder)
    os.mkfifo(folder / "adapter_config.json")
    assert "named pipe" in refusal(base, folder)


def test_what_was_folded_into_a_matrix_is_said(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).eval()
    plan = tilewright.compile(network, example_inputs=torch.randn(1, 2, 5, 5))
    folder = write(
        tmp_path / "lora", {"0.lora_A.weight": torch.ones(2, 2, 3, 3), "0.lora_B.weight": torch.ones(4, 2, 1, 1)}
    )
    assert "was folded into it" in refusal(plan, folder)


def test_a_plan_of_a_config_alone_takes_none(tmp_path):
    with torch.device("meta"):
        network = torch.nn.Linear(8, 8).eval()
    plan = tilewright.compile(network, example_inputs=torch.zeros(2, 8))
    assert "has no weights to run" in refusal(plan, tmp_path)


WEIGHT = "on_tiles.classifier.adapter_lora.0_weight"


def first(content):
    return content["adapters"][0]


def edited(plan_folder, change):
    """Sentence of loading a plan whose JSON was changed."""
    path = plan_folder / "plan.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(tilewright.InputError) as caught:
        tilewright.load(plan_folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: first(c).update(name="../x"), "adapters.0.name"),
        (lambda c: first(c)["weights"].update(file="../lora.safetensors"), "does not stay inside"),
        (lambda c: first(c)["weights"].update(bytes=3), "it is damaged"),
        (lambda c: first(c)["weights"].update(sha256="0" * 64), "does not have the SHA-256"),
        (lambda c: first(c)["low_rank"][0].update(layer="nowhere"), "is not in the plan"),
        (lambda c: first(c)["low_rank"][0].update(part=9), "is not in the plan"),
        (lambda c: first(c)["low_rank"].append(first(c)["low_rank"][0]), "two adapters in one"),
        (lambda c: first(c)["low_rank"][0].update(rank=3), "not float32 of"),
        (lambda c: first(c)["low_rank"][0].update(parameters=3), "parameters"),
        (lambda c: first(c)["low_rank"][0].update(scale=float("nan")), "scale"),
        (lambda c: first(c)["low_rank"].clear(), "has another tensor than its layers need"),
        (lambda c: first(c)["replacements"][0].update(layer="down"), "another number of outputs"),
        (lambda c: first(c)["tensors"].pop("on_tiles.classifier.adapter_lora.0_bias"), "has another tensor"),
        (lambda c: first(c)["tensors"].update({"on_tiles.up.weight": first(c)["tensors"][WEIGHT]}), "is there already"),
        (lambda c: c["adapters"].append(first(c)), "there already"),
        (lambda c: c["layers"][1]["parts"][0].update(stored=None), "no adapter fits it"),
        (lambda c: c["layers"][0].update(has_factors=True), "there is no tensor"),
        (lambda c: first(c).update(sha256="x"), "sha256"),
        (lambda c: first(c).update(more=1), "more is not a known key"),
    ],
)  # fmt: skip
def test_plans_of_strangers_are_checked(saved, tmp_path, pair, change, said):
    folder = write(tmp_path / "lora", pair | head(7))
    made = saved.with_adapter("lora", folder).save(tmp_path / "made")
    assert present(tilewright.load(made).layer("query_key_value")).parts[0].stored == "outputs first"
    assert said in edited(made, change)
