"""An interrupt that comes where nothing can be raised is not lost, and prints no traceback."""

import signal
import subprocess
import sys

import pytest

from tilewright.compiler.cli import main

LOST_IN_A_DESTRUCTOR = """
import os, signal, time
signal.signal(signal.SIGINT, signal.{when_interrupted})
from tilewright.compiler.cli import program

class Thing:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0)

def run():
    Thing()
    time.sleep(20)
    return 0

program._run = run
program.main()
"""


def test_an_interrupt_in_a_destructor_stops_the_program():
    for name, when_interrupted in (
        ("SIGTERM", "SIG_IGN"),
        ("SIGTERM", "default_int_handler"),
        ("SIGINT", "default_int_handler"),
    ):
        code = LOST_IN_A_DESTRUCTOR.format(name=name, when_interrupted=when_interrupted)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 130
        assert done.stderr.splitlines() == ["interrupted: nothing half-done was left"]


WRAPPED_BY_A_LIBRARY = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from pydantic import BaseModel, field_serializer
from tilewright.compiler.cli import app, program

class Record(BaseModel):
    number: int = 1

    @field_serializer("number")
    def written(self, number):
        os.kill(os.getpid(), signal.{name})
        return number

app.app = lambda: Record().model_dump()
program.main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_that_a_library_wraps_stops_the_program(name):
    code = WRAPPED_BY_A_LIBRARY.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines() == ["interrupted: nothing half-done was left"]


def test_other_lost_errors_are_told_as_python_does():
    code = "from tilewright.compiler.cli import program\nprogram._run = lambda: T() and 0\nprogram.main()\n"
    code = "class T:\n    def __del__(self): raise ValueError('lost')\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "ValueError: lost" in done.stderr
    assert signal.SIGTERM not in (-done.returncode,)


@pytest.mark.parametrize("given", [True, False])
def test_an_evaluation_says_what_it_has_kept(small_plan_folder, tmp_path, monkeypatch, capsys, given):
    def stopped(*_, on_measurement, **__):
        on_measurement(3, 26, "chip 0 at 1h")
        raise KeyboardInterrupt

    monkeypatch.setattr("tilewright.runtime.measuring.evaluate.evaluate", stopped)
    log = tmp_path / "log.jsonl"
    options = ["--data", "data.tsv", *(["--results", str(log)] if given else [])]
    monkeypatch.setattr(sys, "argv", ["tilewright", "evaluate", str(small_plan_folder), *options])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 130
    said = [line.strip() for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert said[-1] == "interrupted: nothing half-done was left"
    kept = f"3 of 26 measurements are kept in {str(log)!r}; the same command goes on from there"
    assert (said[-2:-1] == [kept]) is given
    assert any("are kept in" in line for line in said) is given
