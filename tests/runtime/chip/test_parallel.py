"""Work for many things at once: in order, in the caller's modes, and stopped when the caller stops."""

import threading
import time

import pytest
import torch

from tests.narrowing import instance
from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.runtime.chip.parallel import in_parallel


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_results_are_in_order():
    assert list(in_parallel(lambda number: number**2, list(range(20)))) == [number**2 for number in range(20)]
    assert list(in_parallel(str, [])) == []
    assert list(in_parallel(lambda number: number**2, list(range(20)), caller_helps=True)) == [n**2 for n in range(20)]


def test_a_caller_that_helps_makes_the_first_call_and_no_other(threads):
    made_by = list(in_parallel(lambda _: threading.get_ident(), list(range(threads)), caller_helps=True))
    assert made_by[0] == threading.get_ident()
    assert threading.get_ident() not in made_by[1:]


@pytest.mark.usefixtures("threads")
def test_calls_see_the_callers_modes():
    def modes(_):
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    assert set(in_parallel(modes, [1, 2, 3])) == {(False, True)}
    with torch.no_grad():
        assert set(in_parallel(modes, [1, 2, 3])) == {(False, False)}
    with torch.inference_mode():
        assert set(in_parallel(modes, [1, 2, 3])) == {(True, False)}


@pytest.mark.usefixtures("threads")
def test_an_error_is_the_callers_and_ends_the_rest():
    begun, lock = [], threading.Lock()

    def fail(number):
        with lock:
            begun.append(number)
        time.sleep(0.001)
        raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match="number 0"):
        list(in_parallel(fail, list(range(1000))))
    assert len(begun) < 1000


def test_threads_change_no_bit_of_a_chip(small_plan):
    import tilewright

    before, outputs = torch.get_num_threads(), []
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            outputs.append(tilewright.Session(small_plan, 3).advance_to("1d")(inputs)["last_hidden_state"])
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-6)  # norms between are the math library's
    held = []
    for count in (1, 3):
        torch.set_num_threads(count)
        session = tilewright.Session(small_plan, 3).advance_to("1d")
        held.append([instance(layer, AnalogLinear).held_weights() for layer in session._on_tiles.values()])
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*held, strict=True))
