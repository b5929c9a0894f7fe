"""An interrupt that comes where nothing can be raised is not lost, and prints no traceback."""

import signal
import subprocess
import sys

LOST_IN_A_DESTRUCTOR = """
import os, signal, time
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
    for name in ("SIGTERM", "SIGINT"):
        code = LOST_IN_A_DESTRUCTOR.replace("{name}", name)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 130
        assert done.stderr.splitlines() == ["interrupted: nothing half-done was left"]


def test_other_lost_errors_are_told_as_python_does():
    code = "from tilewright.compiler.cli import program\nprogram._run = lambda: T() and 0\nprogram.main()\n"
    code = "class T:\n    def __del__(self): raise ValueError('lost')\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "ValueError: lost" in done.stderr
    assert signal.SIGTERM not in (-done.returncode,)
