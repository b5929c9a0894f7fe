"""The first look at a target: errors over time, and the orderings that the literature leads one to expect."""

import json
from itertools import pairwise
from typing import Any

import pytest

import tilewright
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_target

SMALL: dict[str, Any] = {"rows": 128, "columns": 128, "vectors": 128}


def ordered(*curves_from_worst_to_best, time=0):
    """Means fall, and three standard errors to both sides do not overlap."""
    for worse, better in pairwise(curves_from_worst_to_best):
        upper = better.points[time].mean + 3 * better.points[time].standard_error
        assert upper < worse.points[time].mean - 3 * worse.points[time].standard_error, (worse.label, better.label)


def measure(targets, programming=(), times=("1s",), repeats=5, **changes):
    return tilewright.characterize(targets, programming, times=times, repeats=repeats, **{**SMALL, **changes}).curves


def test_more_pairs_are_better_by_the_square_root_of_their_number():
    """14.4 -> 10.6 -> 7.9 % in a published-style check whose floor of read noise is higher; here the devices' share
    falls with 1/sqrt(N) exactly.
    """
    one, two, four = measure("pcm-512", ["direct", "pairs-2", "pairs-4"], rows=512, columns=512, vectors=512, repeats=3)
    ordered(one, two, four)
    squares = [curve.points[0].mean ** 2 for curve in (one, two, four)]
    devices = 2 * (squares[0] - squares[1])  # a + f = squares[0], a/2 + f = squares[1]
    floor = squares[0] - devices
    assert floor > 0
    assert squares[2] == pytest.approx(devices / 4 + floor, rel=0.03)


def test_closed_loop_beats_direct():
    direct, one_hot, random = measure("pcm-512", ["direct", "closed-loop-one-hot", "closed-loop-random"])
    ordered(direct, one_hot)
    ordered(direct, random)


def test_random_inputs_need_no_fine_adc():
    """Büchel et al. 2022 found that one-hot readings need an ADC that resolves single devices, random inputs do not.
    With 6 bits a closed loop on one-hot readings is worse than none.
    """
    noise = {"value": 0.5, "unit": "LSB", "source": "test"}
    coarse = load_target("pcm-512", {"tile.adc.bits": 6, "tile.output_noise": noise})
    methods = ["closed-loop-one-hot", "direct", "closed-loop-random"]
    ordered(*measure(coarse, methods, rows=256, columns=256, vectors=256, repeats=4))


def test_error_feedback_beats_one_pair():
    ordered(*measure("pcm-512", ["direct", "most-least"]))


def test_less_device_noise_is_better_at_every_time():
    standard, low = measure(["pcm-512", "pcm-512-low-noise"], times=("1s", "1h", "1mo"))
    for time in range(3):
        ordered(standard, low, time=time)


def test_compensation_is_better_than_none_and_time_hurts():
    none = measure(load_target("pcm-512", {"drift_compensation": "none"}), times=("1s", "1mo"))[0]
    compensated = measure("pcm-512", times=("1s", "1mo"))[0]
    ordered(none, compensated, time=1)
    assert none.points[1].mean > 2 * none.points[0].mean


def test_more_precise_units_are_better():
    found = {curve.target: curve.points[0].mean for curve in measure(["digital-int4", "digital-int8", "digital-bf16"])}
    assert found["digital-int4"] > found["digital-int8"] > found["digital-bf16"] > 0


def test_the_result_is_complete_and_the_same_again():
    found = tilewright.characterize(["pcm-512", "ideal", "digital-int8"], times=["1s", "1d"], repeats=2, **SMALL)
    again = tilewright.characterize(["pcm-512", "ideal", "digital-int8"], times=["1s", "1d"], repeats=2, **SMALL)
    assert found == again
    content = json.loads(json.dumps(found.to_json()))
    pcm, ideal, digital = content["curves"]
    assert [point["time"] for point in pcm["points"]] == ["1s", "1d"]
    assert pcm["programming"] == "direct"
    assert pcm["devices_per_weight"] == 2
    assert digital["programming"] is None
    for curve in content["curves"]:
        for point in curve["points"]:
            assert sum(point["histogram"]) == 2 * 127 * 128  # all weights but the row that sets the scale
            assert len(point["histogram"]) == len(curve["histogram_edges"]) - 1
            assert point["mean"] == pytest.approx(sum(point["mvm_error"]) / 2)
    assert ideal["points"][0]["mean"] < 1e-5
    assert ideal["points"][0]["weight_error_deviation"] < 1e-6
    assert digital["points"][0]["mvm_error"] == digital["points"][1]["mvm_error"]


def test_chips_are_different_and_seeds_name_them():
    first = measure("pcm-512", repeats=2)[0].points[0].mvm_error
    other = tilewright.characterize("pcm-512", times=["1s"], repeats=2, seed=1, **SMALL).curves[0].points[0].mvm_error
    assert len({*first, *other}) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"targets": "pcm"}, "did you mean 'pcm-512'"),
        ({"targets": []}, "at least one target"),
        ({"targets": "pcm-512", "times": []}, "at least one target and one time"),
        ({"targets": "pcm-512", "programming": ["pairs"]}, "did you mean 'pairs-"),
        ({"targets": "pcm-512", "rows": 1}, "2 or more"),
        ({"targets": "pcm-512", "columns": 0}, "columns is 0, allowed is 1 to"),
        ({"targets": "pcm-512", "repeats": 0}, "repeats is 0"),
        ({"targets": "pcm-512", "vectors": 10**6}, "vectors is 1000000"),
        ({"targets": "pcm-512", "times": ["1 fortnight"]}, "fortnight"),
        ({"targets": "pcm-512-mixed"}, "of the kind chip"),
        ({"targets": "digital-int8", "programming": ["direct"]}, "no devices to program"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, words):
    with pytest.raises(InputError, match=words):
        tilewright.characterize(**arguments)
