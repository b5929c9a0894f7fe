"""Pickles as data: none of a stranger's is run, none takes more than its size."""

import io
import os
import pickle
import struct
import time
import tracemalloc

import pytest

from tests.targets.importing.objects import Inner, Kind, Outer
from tilewright.targets.errors import InputError
from tilewright.targets.importing.inert_pickle import LARGEST, Made, Name, read_pickle

OWN = ("tests",)


def read(content):
    return read_pickle(content, OWN, "the file")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_those_of_pickle(protocol):
    value = {"a": [1, -2, 3.5, True, False, None, 2**40], "b": (1, "two", (3,)), "c": {}, 4: ["long" * 100]}
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_objects_are_records_of_their_names_and_fields(protocol):
    found = read(pickle.dumps(Outer(), protocol))
    assert found.name == Name("tests.targets.importing.objects", "Outer")
    assert found.fields["inner"] == Made(Name("tests.targets.importing.objects", "Inner"), (), {"size": 3})
    assert found.fields["again"] is found.fields["inner"]
    assert found.fields["kind"].values == (Kind.SECOND.value,)
    assert found.fields["made_by"] == Name("tests.targets.importing.objects", "Inner")


class RunsCode:
    """Whatever a pickle calls."""

    def __init__(self, call, *values):
        self.call, self.values = call, values

    def __reduce__(self):
        return self.call, self.values


def nested(depth):
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def doubled(times):
    """A list in a list twice, so often: small here, without end when it is walked."""
    value: list[object] = []
    for _ in range(times):
        value = [value, value]
    return pickle.dumps(value)


HOSTILE = {
    "a command": (pickle.dumps(RunsCode(os.system, "touch ran")), r"'posix\.system', which would be run"),
    "eval": (pickle.dumps(RunsCode(eval, "open('ran', 'w')")), r"'builtins\.eval', which would be run"),
    "an import by a dotted name": (b"\x80\x04\x8c\x05tests\x8c\x09os.system\x93\x8c\x02ls\x85R.", None),
    "a module that only begins so": (
        b"\x80\x02ctests_of_others\nrun\n)R.",
        "'tests_of_others.run'",
    ),
    "an extension": (b"\x80\x02\x82\x01.", "the instruction EXT1"),
    "an instance of old": (b"(itests\nInner\n.", "the instruction INST"),
    "a persistent id": (b"\x80\x02K\x01Q.", "the instruction BINPERSID"),
    "a great deal of memory": (b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".", None),
    "a string that is not there": (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.", "damaged"),
    "a number of many digits": (b"\x80\x02\x8b" + struct.pack("<I", 2**19) + b"\xff" * 2**19 + b".", "LONG4"),
    "far too deep": (nested(10**5), "more than 65536 instructions"),
    "too deep": (nested(5000), "more than 64 deep"),
    "in itself": (b"\x80\x02]q\x00h\x00a.", "more than 64 deep"),
    "doubled again and again": (doubled(60), "in one another many times"),
    "too large": (b" " * (LARGEST + 1), "allowed are"),
    "empty": (b"", "damaged"),
    "no pickle": (b"hello there", "damaged"),
    "no end": (b"\x80\x04N", "damaged"),
    "too many values": (b"\x80\x04NN.", "damaged"),
    "nothing to take": (b"\x80\x04\x86.", "damaged"),
    "a memory that is not there": (b"\x80\x04h\x07.", "damaged"),
    "no mark": (b"\x80\x04K\x01t.", "damaged"),
    "items of no dict": (b"\x80\x04](K\x01K\x02u.", "damaged"),
    "keys that are lists": (b"\x80\x04}(]K\x02u.", "damaged"),
    "a call of a number": (b"\x80\x04K\x01)R.", "a call of something that is no name"),
    "a state of a list": (b"\x80\x04ctests\nInner\n)R]b.", "a state that is no dict"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_pickle(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    content, words = HOSTILE[what]
    started = time.process_time()
    tracemalloc.start()
    try:
        if words is None:
            assert isinstance(read(content), Made | None)  # a record, of which nothing follows
        else:
            with pytest.raises(InputError, match=f"^the file .*{words}"):
                read(content)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**26
    assert time.process_time() - started < 10
    assert not list(tmp_path.iterdir())


def test_every_beginning_of_a_pickle_is_damaged():
    content = pickle.dumps(Outer(), 4)
    for length in range(len(content)):
        with pytest.raises(InputError):
            read(content[:length])


def test_mutants_are_read_or_refused():
    """No other error, whatever byte is changed."""
    content = bytearray(pickle.dumps(Outer(), 4))
    for place in range(len(content)):
        for value in (0, 0x2E, 0x52, 0x62, 0x81, 0x85, 0xFF):
            changed = content[:place] + bytes([value]) + content[place + 1 :]
            try:
                read(bytes(changed))
            except InputError as refused:
                assert "\n" not in str(refused)


def test_values_of_the_test_itself_are_pickles():
    assert pickle.load(io.BytesIO(nested(3))) == [[[]]]
    assert Inner().size == 3
