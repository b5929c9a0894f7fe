"""Mutants that fall in every way there is: to see that each is pinned and survived."""

import os
import time

from tests.fuzz.program import called
from tilewright.targets.errors import InputError


def warm():
    pass


def run(seed, _folder):
    return FAULTS[seed % len(FAULTS)]()


def _well():
    return "ran"


def _refused():
    raise InputError("this is refused")


def _bug():
    raise KeyError("a bug")


def _crash():
    os.abort()


def _busy():
    while True:
        pass


def _asleep():
    time.sleep(1000)


def _large():
    return str(len(bytearray(2**34)))


def _larger_than_it_should_be():
    return str(len(b"x" * 2**27))


def _escapes():
    called(lambda: print("\x1b[31mred"))


def _gone():
    os._exit(7)


FAULTS = (_well, _refused, _bug, _crash, _busy, _asleep, _large, _larger_than_it_should_be, _escapes, _gone)
