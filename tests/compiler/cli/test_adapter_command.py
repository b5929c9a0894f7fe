"""Adapters on the command line: made with a plan, added, listed, removed, chosen; and what tells of them."""

import json

import numpy as np
import pytest

import tilewright
from tests.compiler.cli.test_cli import run, sentence
from tests.lora_adapters import Classifier, beside_all, head, inputs, low_rank, write
from tilewright.compiler.cli.settings import parse_adapters

__all__ = ["run"]


@pytest.fixture(scope="module")
def base():
    return tilewright.compile(Classifier().eval(), example_inputs=inputs())


@pytest.fixture
def folders(base, tmp_path):
    """A plan, and folders of adapters."""
    base.save(tmp_path / "plan")
    write(tmp_path / "lora_one", beside_all(seed=1))
    write(tmp_path / "two", low_rank("value", 24, 24) | head(5))
    return tmp_path


def names(run, plan="plan"):
    code, out, _ = run("adapter", "list", plan, "--json")
    assert code == 0
    return [record["name"] for record in json.loads(out)]


def test_add_list_remove(run, folders):
    before = (folders / "plan" / "plan.json").read_bytes()
    code, out, _ = run("adapter", "add", "plan", "lora_one")
    assert code == 0
    assert out.startswith("1 adapter added to plan")
    code, out, _ = run("adapter", "add", "plan", "two/", "--name", "second", "--json")
    assert code == 0
    (record,) = json.loads(out)
    assert (record["name"], record["source"], record["ranks"], record["replaced"]) == (
        "second",
        "two",
        [2],
        ["classifier"],
    )
    assert record["parameters"] == 2 * 48 + 5 * 25
    code, out, _ = run("adapter", "list", "plan")
    assert out.startswith("2 adapters in plan")
    assert all(word in out for word in ("lora_one", "second", "classifier", "221"))
    assert names(run) == ["lora_one", "second"]
    assert "already" in sentence(*run("adapter", "add", "plan", "two", "--name", "second"))
    assert run("adapter", "add", "plan", "lora_one", "--name", "second", "--replace")[0] == 0
    assert run("adapter", "remove", "plan", "second", "-o", "other")[0] == 0
    assert (names(run), names(run, "other")) == (["lora_one", "second"], ["lora_one"])
    assert "exists" in sentence(*run("adapter", "remove", "plan", "second", "-o", "other"))
    assert run("adapter", "remove", "plan", "second", "-o", "other", "--force")[0] == 0
    for name in ("second", "lora_one"):
        assert run("adapter", "remove", "plan", name)[0] == 0
    assert (folders / "plan" / "plan.json").read_bytes() == before
    assert "no adapter 'second'" in sentence(*run("adapter", "remove", "plan", "second"))
    assert "no adapter folder" in sentence(*run("adapter", "add", "plan", "nowhere"))
    assert "no plan folder" in sentence(*run("adapter", "list", "nowhere"))


def test_compile_takes_adapters(run, small_bert_folder, tmp_path):
    module = "encoder.layer.1.attention.self.value"
    size = json.loads((small_bert_folder / "config.json").read_text())["hidden_size"]
    write(tmp_path / "lora", low_rank(f"bert.{module}", size, size))
    model = str(small_bert_folder)
    assert run("compile", model, "-o", "plan", "--adapter", "lora", "--adapter", "again=lora")[0] == 0
    assert names(run) == ["lora", "again"]
    assert tilewright.load("plan").document.adapters[0].layers == ["encoder.layer.1.attention.self.query_key_value"]
    assert "two adapters named 'lora'" in sentence(*run("compile", model, "-o", "x", *["--adapter", "lora"] * 2))
    assert "no adapter folder" in sentence(*run("compile", model, "-o", "x", "--adapter", "lost=nowhere"))
    assert "config_only" in sentence(*run("compile", model, "-o", "x", "--config-only", "--adapter", "lora"))
    assert not (tmp_path / "x").exists()


def test_how_adapters_are_named():
    assert {name: str(path) for name, path in parse_adapters(["a/lora_sst2/", "b=c/d"]).items()} == {
        "lora_sst2": "a/lora_sst2",
        "b": "c/d",
    }
    for wrong in ("=x", "x=", ""):
        with pytest.raises(tilewright.InputError, match="is not NAME=FOLDER"):
            parse_adapters([wrong])


def test_commands_choose_adapters(run, folders):
    assert run("adapter", "add", "plan", "lora_one", "--name", "one")[0] == 0
    assert run("adapter", "add", "plan", "two")[0] == 0
    np.savez(folders / "x.npz", x=inputs().numpy())
    outputs = {}
    for name in ("", "one", "two"):
        chosen = ("--adapter", name) if name else ()
        code, out, _ = run("run", "plan", "--inputs", "x.npz", "-o", f"out{name}.npz", "--json", *chosen)
        assert code == 0
        assert json.loads(out)["adapter"] == (name or None)
        outputs[name] = np.load(f"out{name}.npz")["logits"]
    assert outputs["one"].shape == (6, 3)
    assert outputs["two"].shape == (6, 5)
    assert not (outputs["one"] == outputs[""]).all()
    session = tilewright.Session(tilewright.load("plan"), adapter="one").advance_to("1s")
    assert (session(x=inputs())["logits"].numpy() == outputs["one"]).all()
    sums = [json.loads(run("operations", "plan", "--json", *chosen)[1])[0] for chosen in ((), ("--adapter", "one"))]
    assert (sums[0]["on_adapters"], sums[0]["adapters"]) == (0, {})
    assert sums[1]["total"] - sums[0]["total"] == sums[1]["on_adapters"] > 0
    assert "of the adapter" in run("operations", "plan", "--adapter", "one")[1]
    costs = [json.loads(run("cost", "plan", "--json", *chosen)[1])[0] for chosen in ((), ("--adapter", "one"))]
    assert costs[1]["components"]["adapters"] == pytest.approx(costs[1]["energy_nj"] - costs[0]["energy_nj"])
    assert "(adapter)" in run("cost", "plan", "--adapter", "one", "--layers")[1]
    for command in (("cost", "plan"), ("operations", "plan"), ("sensitivity", "plan"), ("evaluate", "plan"),
                    ("run", "plan", "--inputs", "x.npz", "-o", "y.npz")):  # fmt: skip
        assert "no adapter 'on'" in sentence(*run(*command, "--adapter", "on"))


def test_reports_tell_of_adapters(run, folders):
    base = run("report", "plan")[1]
    assert "adapter" not in base
    run("adapter", "add", "plan", "two", "-o", "new")
    out = run("report", "new")[1]
    assert "adapter      two: rank 2 beside 1 layer; digital in place of classifier; 221 parameters" in out
    report = json.loads(run("report", "new", "--json")[1])
    assert report["adapters"][0]["layers"] == ["query_key_value", "classifier"]
    assert next(d["choice"] for d in report["decisions"] if d["subject"] == "adapter two").startswith("digital layers")
    assert "two (221 parameters)" in run("report", "new", "--format", "markdown")[1]
    assert run("report", "new", "-o", "page.html")[0] == 0
    assert "two (221 parameters)" in (folders / "page.html").read_text()
    told = run("explain", "new", "value")[1]
    assert "The adapter two adds a digital product of rank 2 to value, times 2; 96 parameters." in told
    explained = json.loads(run("explain", "new", "classifier", "--json")[1])
    assert explained["adapters"][0]["outputs"] == 5
    changed = run("diff", "plan", "new")[1]
    assert "adapter two" in changed
    assert "new" in changed
    run("adapter", "add", "plan", "lora_one", "--name", "two", "-o", "third")
    keys = {change["key"] for change in json.loads(run("diff", "new", "third", "--json")[1])["changes"]}
    assert {"replaced", "adapter_parameters", "adapter_sha256", "adapted_layers"} <= keys
    assert run("diff", "plan", "plan")[1].strip() == "the plans do not differ"
