"""One session in several threads, and in a forked child: the bits of calls made one after the other."""

import copy
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import tilewright
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.chip.samples import reading, samples_read
from tilewright.runtime.execution.turns import Turns

SECONDS = 20.0
"""After which what should have ended counts as hanging."""


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 8))
    return tilewright.compile(model, example_inputs={"input": torch.rand(4, 32)})


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def batch(number):
    return torch.rand(3, 32, generator=torch.Generator().manual_seed(number))


def test_samples_of_ones_own_in_every_thread(plan):
    """Many short runs, switched between as often as the interpreter can."""
    session, numbers = tilewright.Session(plan), range(80)
    samples = [range(3 * number, 3 * number + 3) for number in numbers]
    alone = [session.run({"input": batch(n)}, samples=samples[n])["output"] for n in numbers]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda n: session.run({"input": batch(n)}, samples=samples[n])["output"], numbers))
            counted = list(pool.map(lambda _: session(input=batch(0))["output"], numbers))
    finally:
        sys.setswitchinterval(interval)
    assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))
    # without numbers each call takes the next samples, whichever thread is first
    session.advance_to(0)
    expected = {session(input=batch(0))["output"].numpy().tobytes() for _ in numbers}
    assert {output.numpy().tobytes() for output in counted} == expected
    assert len(expected) == len(numbers)


def test_a_chip_does_not_drift_in_the_middle_of_a_run(plan):
    """Runs that begin before and after an advance of another thread are at one time each, and none waits for ever."""
    session, stop = tilewright.Session(plan), threading.Event()
    at = {
        session.advance_to(time).run({"input": batch(1)}, samples=range(3))["output"].numpy().tobytes()
        for time in ("1s", "1mo")
    }
    assert len(at) == 2

    def drift():
        while not stop.is_set():
            for moment in ("1s", "1mo"):
                session.advance_to(moment)

    with ThreadPoolExecutor(3) as pool:
        drifting = pool.submit(drift)
        try:
            run = lambda _: session.run({"input": batch(1)}, samples=range(3))["output"].numpy().tobytes()  # noqa: E731
            assert set(pool.map(run, range(60), timeout=SECONDS)) <= at
        finally:
            stop.set()
        drifting.result(SECONDS)


def test_turns():
    turns, order = Turns(), []

    def change():
        with turns.changing():
            order.append("changed")

    with turns.reading():
        thread = threading.Thread(target=change)
        thread.start()
        time.sleep(0.05)  # it waits now, and so would another thread's reading; one inside ours must not
        with turns.reading():
            order.append("read")
        with pytest.raises(RuntimeError, match="in the middle of its own run"), turns.changing():
            pass
    thread.join(SECONDS)
    assert order == ["read", "changed"]
    with turns.changing(), turns.reading():  # a callback may read what it is told of
        pass
    with turns.changing():
        pass


def test_a_run_has_its_samples_and_outside_of_any_there_is_sample_zero():
    with reading([1, 2]):
        assert list(samples_read()) == [1, 2]
        with reading([3]):
            assert list(samples_read()) == [3]
        assert list(in_parallel(lambda _: list(samples_read()), [0, 1])) == [[1, 2]] * 2
        with ThreadPoolExecutor(1) as pool:  # a thread of its own is in no run
            assert list(pool.submit(samples_read).result()) == [0]
    assert list(samples_read()) == [0]


@pytest.mark.usefixtures("two_threads")
def test_threads_of_a_pool_see_the_callers_samples():
    with reading([4, 5]):
        assert list(in_parallel(lambda _: list(samples_read()), [0, 1, 2])) == [[4, 5]] * 3


def test_a_session_can_be_copied(plan):
    session = tilewright.Session(plan)
    other = copy.deepcopy(session)
    assert torch.equal(session(input=batch(1))["output"], other.advance_to(0)(input=batch(1))["output"])


@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_runs_its_parents_session(plan):
    """Neither tilewright's threads nor those of torch's operators are in a child; a lock that was held is free."""
    session = tilewright.Session(plan)  # programmed in two threads
    assert torch.get_num_threads() == 2
    big = torch.rand(600, 600)
    big @ big  # torch's own threads have begun
    expected = session.run({"input": batch(1)}, samples=range(3))["output"]
    held, done = threading.Event(), threading.Event()

    def hold():
        with session._turns.reading():
            held.set()
            done.wait(SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(SECONDS)
    child = os.fork()
    if not child:
        try:
            signal.alarm(int(SECONDS))
            big @ big
            session.advance_to("1h").advance_to(0)
            found = session.run({"input": batch(1)}, samples=range(3))["output"]
            programmed = tilewright.Session(plan).run({"input": batch(1)}, samples=range(3))["output"]
            os._exit(0 if torch.equal(found, expected) and torch.equal(programmed, expected) else 3)
        finally:
            os._exit(4)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join(SECONDS)
    assert os.waitstatus_to_exitcode(status) == 0
    assert torch.equal(session.run({"input": batch(1)}, samples=range(3))["output"], expected)
