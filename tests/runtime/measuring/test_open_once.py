"""One thing is open in a process, also where threads ask for several."""

import time
from concurrent.futures import ThreadPoolExecutor

from tilewright.runtime.measuring.open_once import OpenOnce


def test_threads_get_what_they_ask_for_and_it_is_made_once():
    held, made = OpenOnce[int](), []

    def make(name):
        made.append(name)
        time.sleep(0.01)
        return name * 10

    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(lambda _: held.get(1, lambda: make(1)), range(20))] == [10] * 20
        assert made == [1]
        asked = [number % 3 for number in range(60)]
        assert [*threads.map(lambda name: held.get(name, lambda: make(name)), asked)] == [10 * name for name in asked]


def test_what_could_not_be_made_is_asked_for_again():
    held = OpenOnce[int]()
    for _ in range(2):
        try:
            held.get(1, lambda: 1 // 0)
        except ZeroDivisionError:
            continue
        raise AssertionError
    assert held.get(1, lambda: 2) == 2
    held.close()
    assert held.get(1, lambda: 3) == 3
