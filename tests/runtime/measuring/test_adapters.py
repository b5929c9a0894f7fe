"""Figures of adapters: each its own measurement, kept beside the plan by name, and counted by cost."""

import json
from typing import Any

import numpy as np
import pytest
import torch

import tilewright
from tests.lora_adapters import CLASSES, WIDTH, Classifier, beside_all, head, inputs, low_rank, write

LAYERS = {"query_key_value": 2 * 2 * (WIDTH + WIDTH), "first": 2 * (16 + WIDTH), "up": 2 * (WIDTH + 40),
          "down": 2 * (40 + WIDTH), "classifier": 2 * (WIDTH + CLASSES)}  # fmt: skip
"""MACs of rank 2 for one vector, by layer."""


@pytest.fixture
def plan(tmp_path):
    made = tilewright.compile(Classifier().eval(), example_inputs=inputs())
    for name, tensors in {"one": beside_all(seed=1), "two": low_rank("value", WIDTH, WIDTH) | head(5)}.items():
        made = made.with_adapter(name, write(tmp_path / name, tensors))
    made.save(tmp_path / "plan")
    return tilewright.load(tmp_path / "plan")


def likeness(predictions, labels):
    """100 less the mean distance of the first logits."""
    return 100 - float(np.abs(np.asarray(predictions)[:, :CLASSES] - np.asarray(labels)).mean())


def test_figures_of_adapters_are_measurements_of_their_own(plan, tmp_path):
    x = inputs(40)
    labels = tilewright.Session(plan, ideal=True, adapter="one")(x=x)["logits"]
    log = tmp_path / "all.jsonl"
    given: dict[str, Any] = {
        "metric": likeness,
        "inputs": {"x": x},
        "labels": labels,
        "times": ["1s"],
        "repeats": 1,
        "results": log,
    }
    found = {name: tilewright.evaluate(plan, adapter=name, **given) for name in (None, "one", "two")}
    assert found["one"].digital == 100
    assert found[None].digital < 100
    assert found["two"].digital < 100
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record.get("adapter") for record in records] == [None, None, "one", "one", "two", "two"]
    assert len({record["plan"] for record in records}) == 3
    hashes = {record.name: record.sha256 for record in plan.document.adapters}
    assert {record["adapter"]: record["adapter_sha256"] for record in records if "adapter" in record} == hashes
    assert (found["one"].adapter, found["one"].adapter_sha256) == ("one", hashes["one"])
    before = log.read_bytes()
    assert tilewright.evaluate(plan.adapted("one"), **given).points == found["one"].points
    assert log.read_bytes() == before  # nothing was measured again
    kept = tilewright.summarise(plan).evaluations
    assert [one.get("adapter") for one in kept] == [None, "two", "one"]
    shown = [one["digital"] for one in tilewright.summarise(plan.adapted("two")).evaluations]
    assert shown == [found["two"].digital]
    left = plan.without_adapter("two")
    left.save(plan.folder, overwrite=True)
    assert [one.get("adapter") for one in tilewright.summarise(tilewright.load(plan.folder)).evaluations] == [
        None,
        "one",
    ]


def test_sensitivities_are_kept_apart(plan):
    given: dict[str, Any] = {"criteria": ["divergence"], "inputs": {"x": inputs()}, "repeats": 1}
    for _ in range(2):
        found = [
            tilewright.measure_sensitivity(plan, adapter=name, **given).of("divergence")
            for name in (None, "one", "two")
        ]
        assert found[0] != found[1] != found[2]
    lines = (plan.folder / "sensitivity.jsonl").read_text().splitlines()
    assert len(lines) == 3 * len(plan.document.layers)


def test_multiplications_of_adapters_are_counted(plan):
    base, one, two = (tilewright.count_operations(plan, adapter=name) for name in (None, "one", "two"))
    assert base.adapters == {}
    assert base.layers == one.layers
    vectors = one.vectors
    assert one.adapters == {name: vectors[name] * macs for name, macs in LAYERS.items()}
    assert one.total == base.total + one.on_adapters
    assert two.adapters == {"query_key_value": vectors["query_key_value"] * 2 * 2 * WIDTH,
                            "classifier": vectors["classifier"] * WIDTH * 5}  # fmt: skip
    assert two.layers == base.layers | {"classifier": 0}
    assert two.on_tiles == base.on_tiles - base.layers["classifier"]
    assert "of the adapter" in repr(one)


def test_cost_counts_adapters(plan):
    base, one, two = (tilewright.estimate_cost(plan, adapter=name) for name in (None, "one", "two"))
    preset = plan.document.chip.cost
    assert preset is not None
    mac = preset.mac("bf16")
    assert mac is not None
    macs = tilewright.count_operations(plan, adapter="one").on_adapters
    assert one.components["adapters"] == pytest.approx(macs * float(mac.energy) * 1e-3)
    assert one.energy_nj == pytest.approx(base.energy_nj + one.components["adapters"])
    assert sum(adapter.energy_nj for adapter in one.adapters) == pytest.approx(one.components["adapters"])
    assert one.latency_ns >= base.latency_ns
    assert any("the chip names none" in line for line in one.assumptions)
    assert any("run in FP32" in line for line in one.assumptions)
    assert (base.adapter, base.adapters, one.adapter) == (None, [], "one")
    reads = {layer.name: layer.reads for layer in two.layers}
    assert reads["classifier"] == 0 < reads["down"]
    assert {layer.name: layer.reads for layer in base.layers} | {"classifier": 0} == reads
    slow = preset.model_copy(update={"unit_throughput": type(preset.unit_throughput)(1e-3, "MAC/ns", "slow")})
    assert tilewright.estimate_cost(plan, preset=slow, adapter="one").latency_ns > 100 * base.latency_ns


def test_a_preset_without_figures_says_so(plan):
    preset = plan.document.chip.cost.model_copy(update={"macs": [], "unit_throughput": None})
    found = tilewright.estimate_cost(plan, preset=preset, adapter="one")
    assert "adapters" not in found.components
    assert {"adapters: energy of FP32 products", "adapters: time"} <= set(found.not_modelled)


def test_targets_of_a_plan_with_adapters_may_change(tmp_path):
    network = Classifier().eval()
    plan = tilewright.compile(network, "pcm-512-mixed", example_inputs=inputs())
    plan = plan.with_adapter("one", write(tmp_path / "one", beside_all(seed=1)))
    sensitivity = tilewright.measure_sensitivity(plan, ["weight-error"], repeats=1)
    assigned = tilewright.assign(plan, sensitivity, criterion="weight-error", minimise="loss", validate=False)
    assert assigned.plan.adapters == ["one"]
    assert {layer.target for layer in assigned.plan.document.layers} == {"digital-fp16"}
    x = inputs()
    wanted = tilewright.Session(plan, ideal=True, adapter="one")(x=x)["logits"]
    found = tilewright.Session(assigned.plan, adapter="one")(x=x)["logits"]
    assert float((found - wanted).norm() / wanted.norm()) < 0.5
    assert not torch.equal(found, tilewright.Session(assigned.plan)(x=x)["logits"])
