"""Files of measurements: several processes add to them, any of them may be killed, and a stranger's is data."""

import json
import os
import resource
import signal

import pytest

from tilewright.runtime.measuring.measurements import MeasurementLog, add_measurements, read_measurements
from tilewright.runtime.storage.line_file import LARGEST_LOG, LONGEST_LINE, add_line, entries, why_not_added
from tilewright.targets.errors import InputError

SETTINGS = {"plan": "a", "seed": 0}


def measured(path, number, value=1.0):
    return MeasurementLog(path, SETTINGS).measure({"repeat": number}, lambda: value)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    for number in range(2):
        measured(path, number)
    return path


def test_cut_anywhere_a_log_goes_on(log):
    whole = log.read_bytes()
    for length in range(len(whole) + 1):
        log.write_bytes(whole[:length])
        measured(log, 0)
        measured(log, 1)
        assert log.read_bytes().removesuffix(b"\n") == whole.removesuffix(b"\n"), length


def test_zeros_of_a_machine_that_stopped_are_passed_by(log):
    whole = log.read_bytes()
    log.write_bytes(whole + bytes(500))
    measured(log, 2)
    assert log.read_bytes().startswith(whole + b"{")
    assert len(list(read_measurements(log))) == 3


def test_torn_lines_between_whole_ones_are_passed_by_and_measured_again(log):
    """Lines as processes left them that were killed before lines were repaired: glued together, or cut and gone on."""
    first, second = log.read_text().splitlines()
    log.write_text(f"{first}\n{second[:20]}\n{second[:9]}{second}\n\n")
    resumed = MeasurementLog(log, SETTINGS)
    assert resumed.measure({"repeat": 0}, lambda: 2.0) == 1.0
    assert resumed.measure({"repeat": 1}, lambda: 3.0) == 3.0
    assert [entry["value"] for entry in read_measurements(log)] == [1.0, 3.0]


@pytest.mark.parametrize(
    "content",
    [
        b"# my notes\nkeep\n",
        b"{ font: small }",
        b"{\nmy own: 1\n}\n",
        b'{"a":1,"value":1}\nhello\n',
        b"\xff\xfe\x00\n",
        b'{"plan": "a", "value": 1' + b"0" * 400 + b"}\n",
        b'{"plan": "a", "value": 1' + b"0" * 5000 + b"}\n",
        b"[" * 200_000 + b"\n",
        b'{"plan":' * 2000 + b"\n",
        b'{"value": ' + b"[" * 2000 + b"]" * 2000 + b"}\n",
        b'{"value": [1]}\n',
        b'{"value": true}\n',
        b'{"value": "1"}\n',
        b'{"x": 1}\n',
        b'{"value": 1, "x": "' + b"x" * LONGEST_LINE + b'"}\n',
    ],
)
def test_other_files_are_refused_untouched(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"line \d is not a measurement") as error:
        measured(path, 0)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == content
    assert all(isinstance(entry["value"], int | float) for entry in read_measurements(path))


def test_what_is_no_file_is_refused(log, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_LOG + 1)
    for path, words in (
        (tmp_path / "pipe", "named pipe"),
        ("/dev/zero", "is a device"),
        (tmp_path / "large", "allowed are"),
        (tmp_path / "no" / "log", "does not exist"),
        (tmp_path, "is a folder itself"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(InputError, match=words):
            measured(type(log)(path), 0)
        assert list(entries(type(log)(path))) == []
    with pytest.raises(InputError, match="not a regular file"):
        add_line(tmp_path / "pipe", {})


def test_a_link_beside_a_strangers_plan_is_not_followed(log, tmp_path):
    (tmp_path / "link").symlink_to(log)
    os.mkfifo(tmp_path / "pipe")
    assert why_not_added(log) is None
    assert why_not_added(tmp_path / "new") is None
    assert "link' is a link, which is not followed" in str(why_not_added(tmp_path / "link"))
    assert "is a named pipe, not a regular file" in str(why_not_added(tmp_path / "pipe"))


def in_children(count, work):
    """Run it in processes; returns how they ended."""
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            try:
                work(number)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    return [os.waitpid(child, 0)[1] for child in children]


def test_processes_add_to_one_log(log):
    def work(number):
        own = MeasurementLog(log, {"plan": "a", "seed": number + 1})
        for repeat in range(100):
            own.measure({"repeat": repeat, "long": "x" * 5000}, lambda: float(number))

    assert in_children(3, work) == [0, 0, 0]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 302
    assert {(line["seed"], line["repeat"]) for line in lines[2:]} == {
        (seed, repeat) for seed in (1, 2, 3) for repeat in range(100)
    }


def test_killed_while_adding(log):
    for number in range(20):

        def work(_, number=number):
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, 0.0005 * (number + 1))
            for repeat in range(10**6):
                add_line(log, {"plan": "a", "number": number, "repeat": repeat, "long": "x" * 20_000, "value": 1.0})

        assert in_children(1, work) == [signal.SIGKILL]
        MeasurementLog(log, SETTINGS)
    assert {entry.get("repeat") for entry in list(entries(log))[:2]} == {0, 1}
    measured(log, 99)
    assert MeasurementLog(log, SETTINGS).measure({"repeat": 99}, lambda: 2.0) == 1.0


def test_a_full_disk_leaves_whole_lines(log):
    before = log.read_bytes()

    def work(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, len(before) + 10))
        with pytest.raises(OSError, match=r"File too large|No space"):
            measured(log, 2)

    assert in_children(1, work) == [0]
    assert log.read_bytes() == before


def test_measurements_are_added_to_those_that_are_there(log, tmp_path):
    other = tmp_path / "other.jsonl"
    measured(other, 1, 1.0)
    measured(other, 5, 5.0)
    before = other.read_text()
    add_measurements(log, other)
    assert other.read_text().startswith(before)
    assert [entry["repeat"] for entry in read_measurements(other)] == [1, 5, 0]
    add_measurements(None, other)
