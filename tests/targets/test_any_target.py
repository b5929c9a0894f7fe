"""Any valid target runs; any invalid one is refused with the key that is wrong."""

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.on_tiles import layer_on_tiles, read
from tests.variants import leaves
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use
from tilewright.runtime.plan.blocks import split_columns, split_rows
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_document, load_programming, parse_target, target_names

OPTIONAL = ("offset", "nonlinearity", "scales", "probabilities", "cost")
"""Keys that may be left out."""
BASES = {name: load_document(name).model_dump(mode="json") for name in target_names("analog")}
METHODS = {name: load_programming(name).model_dump(mode="json") for name in target_names("programming")}
WEIGHT = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
INPUTS = torch.randn(6, 20, generator=torch.Generator().manual_seed(1))


def number(value, unit):
    return {"value": value, "unit": unit, "source": "test"}


def real(low, high):
    return st.floats(low, high, allow_nan=False)


def converter(bound):
    optional = st.none() | real(0, 50).map(lambda value: number(value, "LSB"))
    return st.none() | st.fixed_dictionaries(
        {
            "bits": st.integers(2, 16).map(lambda bits: number(bits, "bit")),
            "bound": bound.map(lambda value: number(value, "1")),
            "offset": optional,
            "nonlinearity": optional,
        }
    )


RANGES = st.sampled_from(
    [
        {"rule": "least_error"}, {"rule": "abs_max"}, {"rule": "percentile", "percentile": number(99, "%")},
        {"rule": "dynamic", "doublings": number(0, "reading")}, {"rule": "dynamic", "doublings": number(4, "reading")},
    ]
)  # fmt: skip
RATE = st.sampled_from([0, 1e-3, 0.1, 0.5])


@st.composite
def targets(draw):
    content = copy.deepcopy(BASES[draw(st.sampled_from(sorted(BASES)))])
    content["device"] = copy.deepcopy(BASES[draw(st.sampled_from(sorted(BASES)))]["device"])
    method = copy.deepcopy(METHODS[draw(st.sampled_from(sorted(METHODS)))])
    if method["writing"]["kind"] == "closed_loop":
        method["writing"]["iterations"]["value"] = 3
    if method["coding"]["kind"] == "pairs" and draw(st.booleans()):
        method["stuck_devices"] = draw(
            st.sampled_from(["ignored", "avoided", "compensated", "avoided_and_compensated"])
        )
    method["states_per_device"] = draw(st.none() | st.integers(2, 40).map(lambda states: number(states, "state")))
    content["programming"] = method
    if draw(st.booleans()):
        content["stuck_devices"] = {"at_zero": number(draw(RATE), "1"), "at_maximum": number(draw(RATE), "1")}
    content["drift_compensation"] = draw(st.sampled_from(["none", "global", "per_column", "affine"]))
    content["tile"] |= {
        "rows": number(draw(st.integers(1, 25)), "row"),
        "columns": number(draw(st.integers(1, 25)), "column"),
        "row_splitting": draw(st.sampled_from(["even", "greedy"])),
        "weight_scale": draw(st.sampled_from(["per_column", "per_tile"])),
        "input_range": draw(RANGES),
        "dac": draw(converter(real(0.1, 10))),
        "adc": draw(converter(real(1e-3, 1e3))),
        "output_noise": number(draw(real(0, 100)), draw(st.sampled_from(["LSB", "1"]))),
        "short_term_read_noise": number(draw(real(0, 10)), "1"),
        "read_noise_law": draw(st.sampled_from(["conductance", "constant"])),
        "ir_drop": {"enabled": draw(st.booleans()), "wire_resistance": number(draw(real(0, 1e4)), "ohm")},
        "scale_precision": draw(st.sampled_from(["float32", "bfloat16"])),
    }
    return content


def run(target):
    splits = (split_rows(20, target.tile), split_columns(12, target.tile))
    clip = 2.0 if target.tile.weight_clipping else None
    uses = [Use(2.0, SAMPLES_FIRST)]
    layer = layer_on_tiles(WEIGHT, target, splits=splits, uses=uses, clip=clip, calibration=INPUTS / 2)
    results = []
    for seconds in (0.0, 1.0, 1e8):
        layer.advance_to(seconds)
        results.append(read(layer, INPUTS, range(6)))
    return results


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=targets())
def test_any_valid_target_runs(content):
    target = parse_target(content, "x")
    results = run(target)
    assert all(result.shape == (6, 12) and result.isfinite().all() for result in results)
    again = run(target)
    assert all(torch.equal(one, two) for one, two in zip(results, again, strict=True))


NUMBERS = [(name, path) for name, base in BASES.items() for path, value in leaves(base) if isinstance(value, dict)]
WRONG: dict[str, list[Any]] = {
    "value": [math.nan, math.inf, -math.inf, "many", None, [], True, 1e300, -1e300],
    "unit": ["furlong", "", None, 3],
    "source": ["", None, 3],
}


@settings(max_examples=200, deadline=None)
@given(where=st.sampled_from(NUMBERS), part=st.sampled_from(sorted(WRONG)), choice=st.integers(0, 8))
@example(where=("pcm-512", ("tile", "adc", "bits")), part="value", choice=0)
def test_any_wrong_number_is_refused_with_its_key(where, part, choice):
    name, path = where
    content = copy.deepcopy(BASES[name])
    node = content
    for key in path:
        node = node[key]
    node[part] = WRONG[part][choice % len(WRONG[part])]
    with pytest.raises(InputError) as error:
        parse_target(content, "x")
    message = str(error.value)
    assert ".".join(map(str, path)) in message
    assert "\n" not in message


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted(BASES)), data=st.data())
def test_a_missing_or_unknown_key_is_named(name, data):
    content = copy.deepcopy(BASES[name])
    path, _ = data.draw(st.sampled_from(list(leaves(content))))
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if data.draw(st.booleans()) and isinstance(parent, dict):
        parent[f"{path[-1]}z"] = 1
        expected = f"{path[-1]}z"
    elif isinstance(parent, dict) and path[-1] not in OPTIONAL:
        del parent[path[-1]]
        expected = str(path[-1])
    else:
        return
    with pytest.raises(InputError) as error:
        parse_target(content, "x")
    assert expected in str(error.value)
