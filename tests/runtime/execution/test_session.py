"""One programmed chip: reproducible whatever the batch and the threads, different from others."""

import gc
from typing import Literal

import numpy as np
import pytest
import torch

import tilewright
from tests.conftest import padded_batch
from tests.narrowing import instance
from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.runtime.chip.row_block import RowBlock
from tilewright.runtime.plan.names import layer_path, weight_key
from tilewright.targets.errors import InputError


def outputs_of(session, inputs, *, by=None):
    size = by or len(inputs["input_ids"])
    parts = [
        session({name: value[start : start + size] for name, value in inputs.items()})
        for start in range(0, len(inputs["input_ids"]), size)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def assert_same_bits(one, two):
    assert list(one) == list(two)
    for name in one:
        assert torch.equal(one[name], two[name]), name


def test_outputs_have_the_models_names_and_order(small_plan):
    outputs = tilewright.Session(small_plan)(padded_batch(2, 5))
    assert list(outputs) == ["last_hidden_state", "pooler_output"]
    assert outputs["last_hidden_state"].shape == (2, 5, 64)
    assert outputs["pooler_output"].shape == (2, 64)


def test_a_seed_names_a_chip(small_plan):
    inputs = padded_batch(3, 6)
    first = tilewright.Session(small_plan, 3).advance_to("1d")(inputs)
    assert_same_bits(first, tilewright.Session(small_plan, 3).advance_to(86400)(inputs))
    for other in (
        tilewright.Session(small_plan, 4).advance_to("1d"),
        tilewright.Session(small_plan, 3, repeat=1).advance_to("1d"),
        tilewright.Session(small_plan, 3).advance_to("1w"),
    ):
        assert not torch.equal(other(inputs)["pooler_output"], first["pooler_output"])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_batch_size_does_not_change_a_bit(small_plan, size):
    inputs = padded_batch(7, 11)
    session = tilewright.Session(small_plan)
    whole = outputs_of(session.advance_to("1h"), inputs)
    assert_same_bits(whole, outputs_of(session.advance_to("1h"), inputs, by=size))


def test_threads_do_not_change_a_bit(small_plan):
    inputs, threads = padded_batch(4, 9), torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(tilewright.Session(small_plan).advance_to("1mo")(inputs))
    finally:
        torch.set_num_threads(threads)
    assert_same_bits(*results)


def test_the_order_of_times_does_not_matter(small_plan):
    inputs = padded_batch(2, 5)
    direct = tilewright.Session(small_plan).advance_to("1d")(inputs)
    session = tilewright.Session(small_plan)
    for time in ("1mo", "1s", "1d"):
        session.advance_to(time)
    assert_same_bits(direct, session(inputs))


def test_reading_twice_reads_anew(small_plan):
    session = tilewright.Session(small_plan)
    inputs = padded_batch(2, 5)
    first, second = session(inputs), session(inputs)
    assert not torch.equal(first["pooler_output"], second["pooler_output"])
    session.advance_to(0)
    assert_same_bits(first, session(inputs))
    assert_same_bits(first, session.run(inputs, samples=[0, 1]))


def test_ideal_is_the_model(small_plan, small_bert):
    inputs = padded_batch(3, 8)
    outputs = tilewright.Session(small_plan, ideal=True)(inputs)
    with torch.inference_mode():
        expected = small_bert(**inputs)
    for name, value in outputs.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


def test_noise_grows_with_time_and_compensation_helps(small_plan):
    """Relative error of the hidden states, mean of five chips; the differences are many standard errors wide."""
    inputs = padded_batch(8, 16)
    exact = tilewright.Session(small_plan, ideal=True)(inputs)["last_hidden_state"]

    def error(time, **settings):
        errors = []
        for repeat in range(5):
            session = tilewright.Session(small_plan, repeat=repeat, **settings).advance_to(time)
            errors.append(((session(inputs)["last_hidden_state"] - exact).norm() / exact.norm()).item())
        return sum(errors) / len(errors)

    early, late, bare = error("1s"), error("1y"), error("1y", drift_compensation=False)
    assert 0 < early < late < bare


def test_inputs_not_given_have_the_models_defaults(small_plan):
    inputs = padded_batch(1, 6)
    session = tilewright.Session(small_plan)
    full = session(inputs)
    session.advance_to(0)
    assert_same_bits(full, session(input_ids=inputs["input_ids"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input_idz": torch.ones(1, 4)}, ["no input 'input_idz'", "did you mean 'input_ids'"]),
        ({"input_ids": None}, ["'input_ids' is missing"]),
        ({"input_ids": torch.ones(4, dtype=torch.long)}, ["shape [4]"]),
        ({"input_ids": torch.ones(1, 4)}, ["float32", "int64"]),
        ({"input_ids": torch.ones(1, 99, dtype=torch.long)}, ["sequence is 99", "1 to 64"]),
        ({"attention_mask": torch.ones(2, 7, dtype=torch.long)}, ["batch is 2", "'attention_mask'"]),
        ({"input_ids": torch.ones(1, 0, dtype=torch.long), "attention_mask": None}, ["sequence is 0"]),
    ],
)
def test_wrong_inputs_are_one_sentence(small_plan, change, words):
    inputs = {"input_ids": torch.ones(1, 7, dtype=torch.long), "attention_mask": torch.ones(1, 7, dtype=torch.long)}
    inputs = {name: value for name, value in {**inputs, **change}.items() if value is not None}
    with pytest.raises(InputError) as error:
        tilewright.Session(small_plan, ideal=True)(inputs)
    for word in words:
        assert word in str(error.value)


def test_times_before_zero_are_refused(small_plan):
    with pytest.raises(InputError, match="before zero"):
        tilewright.Session(small_plan, ideal=True).advance_to(-1)


def test_layer_by_layer_gives_the_same_bits_and_keeps_nothing(small_plan):
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    whole = tilewright.Session(small_plan, 3)
    by_layer = tilewright.Session(small_plan, 3, layer_by_layer=True)
    for time in ("0", "1h", "1mo"):
        expected = whole.advance_to(time)(input_ids=ids)
        for _ in range(2):
            by_layer.advance_to(time)
            found = by_layer(input_ids=ids)
            assert all(torch.equal(found[name], expected[name]) for name in expected)
    gc.disable()  # a layer must go with its last reference, not when the collector comes by
    try:
        before = sum(type(thing) is RowBlock for thing in gc.get_objects())
        by_layer(input_ids=ids)
        assert sum(type(thing) is RowBlock for thing in gc.get_objects()) == before
    finally:
        gc.enable()


def test_conductances_in_bfloat16_add_less_than_a_hundredth_to_the_variance_of_programming():
    """Rounding to eight bits of a number g is at most g/512 wrong, pcm's noise at least .0105 and .042 at g = 1."""
    plan = tilewright.compile(torch.nn.Linear(512, 512, bias=False), example_inputs=torch.randn(4, 512))
    (layer,) = plan.document.layers
    weight = plan.tensors[weight_key(layer.name)]
    held: dict[str, torch.Tensor] = {}
    kinds: list[Literal["float32", "bfloat16"]] = ["float32", "bfloat16"]
    for kept in kinds:
        session = tilewright.Session(plan, 0, conductances=kept)
        held[kept] = instance(session.module.get_submodule(layer_path(layer.name)), AnalogLinear).held_weights()
    rounding = (held["bfloat16"] - held["float32"]).square().mean()
    programming = (held["float32"] - weight).square().mean()
    assert 0 < rounding < 0.01 * programming


def test_conductances_are_kept_in_known_types(small_plan):
    with pytest.raises(InputError, match="conductances are kept as 'int8'"):
        tilewright.Session(small_plan, conductances="int8")  # type: ignore[arg-type]  # what is tested


def test_arrays_may_have_any_byte_order_but_must_be_numbers(small_plan):
    ids = np.array([[5, 6, 7]])
    session = tilewright.Session(small_plan, ideal=True)
    swapped = session(input_ids=ids.astype(">i8"))
    for name, output in session(input_ids=ids).items():
        assert torch.equal(output, swapped[name])
    for wrong in (np.array([["a"]]), [[1, 2], [3]], np.array([[None]])):
        with pytest.raises(InputError, match="input 'input_ids'"):
            session(input_ids=wrong)
