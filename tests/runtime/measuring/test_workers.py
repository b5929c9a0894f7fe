"""Chips measured side by side: the same bits in any process and order, also where one is killed on the way."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
import torch

import tilewright
from tests import lora_adapters
from tilewright.runtime.measuring.workers import Workers, do_all
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError

LABELS = torch.arange(6) % lora_adapters.CLASSES
TIMES = ("1s", "1mo")


def right(predictions, labels):
    return 100 * float((predictions.argmax(-1) == labels).double().mean()) + float(predictions.double().sum())


def thirds(item):
    """Three results; the process dies at the second one of 3, once, and always at that of 9."""
    number, folder = item
    for part in range(3):
        mark = folder / str(number)
        if part == 1 and (number == 9 or (number == 3 and not mark.exists())):
            mark.write_text("died")
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 5:
            raise InputError("five is not allowed")
        if number == 7:
            raise ZeroDivisionError("a bug")
        yield number * 10 + part


def pieces(folder, *numbers):
    return [(number, folder) for number in numbers]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plan = tilewright.compile(lora_adapters.Classifier().eval(), example_inputs={"x": lora_adapters.inputs()})
    return plan.save(tmp_path_factory.mktemp("plans") / "plan")


def found(plan: Plan, **how):
    given: dict[str, Any] = {"metric": right, "inputs": {"x": lora_adapters.inputs()}, "labels": LABELS}
    made = tilewright.evaluate(plan, **given, times=TIMES, repeats=3, resamples=0, **how)
    return [made.digital, *(point.values for point in made.points)]


def test_pieces_are_done_again_after_a_kill_and_in_any_order(tmp_path):
    expected = [
        (number, part) for number in range(4) for part in (10 * number + 10, 10 * number + 11, 10 * number + 12)
    ]
    assert sorted(do_all(thirds, pieces(tmp_path, 1, 2, 3, 4), workers=2)) == expected
    assert (tmp_path / "3").exists()


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (9, InputError, "nine killed 2 workers, the last by SIGKILL"),
        (5, InputError, "^five is not allowed$"),
        (7, ZeroDivisionError, "a bug"),
    ],
)
def test_what_a_worker_raises_is_raised_here(tmp_path, number, kind, said):
    with pytest.raises(kind, match=said) as raised:
        list(do_all(thirds, pieces(tmp_path, 1, number), workers=2, called=lambda _: "nine"))
    assert ("in a worker" in "".join(getattr(raised.value, "__notes__", []))) is (number == 7)


def test_memory_is_asked_for_before_workers_start(tmp_path):
    with pytest.raises(InputError, match="there is room for 1"):
        next(do_all(thirds, pieces(tmp_path, 1, 2), workers=2, memory=2**62))
    with pytest.raises(InputError, match="workers is 0"):
        next(do_all(thirds, pieces(tmp_path, 1, 2), workers=0))


def test_chips_have_the_same_figures_wherever_they_are_measured(folder, tmp_path):
    plan = tilewright.load(folder)
    alone, log = found(plan), tmp_path / "log.jsonl"
    assert found(plan, workers=2, results=log) == alone
    assert found(plan, results=log, workers=2) == alone
    assert len(log.read_text().splitlines()) == 1 + 3 * len(TIMES)
    for executor in (ThreadPoolExecutor(2), ProcessPoolExecutor(2, get_context("spawn"))):
        with executor:
            assert found(plan, executor=executor) == alone
    in_memory = tilewright.compile(lora_adapters.Classifier().eval(), example_inputs={"x": lora_adapters.inputs()})
    assert found(in_memory, workers=2) == alone
    assert in_memory.folder is None
    assert in_memory.sha256 == plan.sha256
    with pytest.raises(InputError, match="save it first"), ThreadPoolExecutor(1) as executor:
        found(in_memory, executor=executor)


def test_what_cannot_be_sent_is_one_sentence(folder):
    inputs = {"x": lora_adapters.inputs()}
    with pytest.raises(InputError, match="cannot be sent to other processes"):
        tilewright.evaluate(
            tilewright.load(folder), metric=lambda *_: 1.0, inputs=inputs, labels=LABELS, repeats=2, workers=2
        )


def test_workers_serve_one_call_at_a_time_and_end_with_their_block(tmp_path):
    with Workers(2) as workers:
        first = do_all(thirds, pieces(tmp_path, 1, 2), workers=workers)
        next(first)
        with pytest.raises(InputError, match="at work for another call"):
            next(do_all(thirds, pieces(tmp_path, 4, 6), workers=workers))
        assert len([*first]) == 5
        assert len([*do_all(thirds, pieces(tmp_path, 4, 6), workers=workers)]) == 6
    with pytest.raises(InputError, match="have ended"):
        next(do_all(thirds, pieces(tmp_path, 1, 2), workers=workers))
