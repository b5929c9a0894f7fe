"""Curves of accuracy and cost; and workers wherever chips are measured, with the same bits."""

from typing import Any

import pytest
import torch

import tilewright
from tests import lora_adapters
from tests.runtime.measuring.test_workers import right
from tilewright.compiler.studies import pareto as pareto_module
from tilewright.compiler.studies.pareto import pareto
from tilewright.targets.errors import InputError

INPUTS = {"x": lora_adapters.inputs()}
GIVEN: dict[str, Any] = {
    "metric": right, "inputs": INPUTS, "labels": torch.arange(6) % lora_adapters.CLASSES, "times": ["1mo"],
    "repeats": 2, "resamples": 0,
}  # fmt: skip


def compiled(target):
    return tilewright.compile(lora_adapters.Classifier().eval(), target, example_inputs=INPUTS)


@pytest.fixture(scope="module")
def mixed():
    return compiled("pcm-512-mixed")


@pytest.fixture(scope="module")
def workers():
    with tilewright.Workers(2) as kept:
        yield kept


def test_a_curve_goes_from_the_cheapest_to_the_most_precise(mixed, workers):
    with pytest.raises(InputError, match="a curve is of the loss against a cost"):
        pareto(mixed, **GIVEN, minimise="loss")
    found = pareto(mixed, **GIVEN, points=4, minimise="digital-macs", workers=workers)
    (key,) = found.varied
    costs = [point.changes[key] for point in found.points]
    assert costs == sorted(costs)
    assert costs[0] == 0
    assert len({*costs}) == len(costs) > 2
    errors = [abs(one.evaluation.points[0].mean - one.evaluation.digital) for one in found.points]
    assert errors[-1] < errors[0]


def test_layers_move_one_by_one_until_iso_accuracy_holds(mixed, monkeypatch):
    with pytest.raises(InputError, match="the method is 'ranks'; did you mean 'rank'"):
        pareto(mixed, **GIVEN, method="ranks")
    found = pareto(mixed, **GIVEN, points=4, minimise="digital-macs", method="rank")
    digital = [sum(int(part.split()[0]) for part in one.name.split(", ") if "digital" in part) for one in found.points]
    assert digital == [0, 1, 2, 3]
    sensitivity = tilewright.measure_sensitivity(mixed, ["gradient"], inputs=INPUTS).of("gradient")
    on_tiles = {layer: value for (layer, target), value in sensitivity.items() if target == "pcm-512"}
    moved = max(on_tiles, key=lambda layer: on_tiles[layer])
    costs = tilewright.count_operations(mixed).layers
    (key,) = found.varied
    assert found.points[1].changes[key] == costs[moved]
    monkeypatch.setattr(pareto_module, "_holds", lambda point: point.name.startswith("1 on digital"))
    assert len(pareto(mixed, **GIVEN, points=4, minimise="digital-macs", method="rank").points) == 2


def test_sensitivities_have_the_same_bits_on_workers(mixed, workers):
    criteria = ["divergence", "gradient", "output-noise", "product-error", "weight-error"]
    alone = tilewright.measure_sensitivity(mixed, criteria, inputs=INPUTS, samples=3, repeats=2)
    there = tilewright.measure_sensitivity(mixed, criteria, inputs=INPUTS, samples=3, repeats=2, workers=workers)
    assert alone.figures == there.figures  # products in float too, on another number of threads


def test_an_assignment_is_validated_on_workers(mixed, workers):
    how: dict[str, Any] = {"budgets": {"tiles": 4}, "inputs": INPUTS, "samples": 3, "repeats": 2}
    alone, there = tilewright.assign(mixed, **how), tilewright.assign(mixed, **how, workers=workers)
    assert alone.choice == there.choice
    one, other = alone.record.measured, there.record.measured
    assert one is not None
    assert other is not None
    assert one.divergence == pytest.approx(other.divergence, rel=1e-6)


def test_characterizations_have_the_same_bits_on_workers(workers):
    how: dict[str, Any] = {"times": ["1s", "1mo"], "rows": 96, "columns": 64, "vectors": 32, "repeats": 2}
    alone = tilewright.characterize(["pcm-512", "digital-int8"], **how)
    assert tilewright.characterize(["pcm-512", "digital-int8"], **how, workers=workers) == alone
