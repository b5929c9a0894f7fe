"""Runs commands of tilewright in forked children, as they would run alone, and stops some of them.

A process of its own, with all imported and one thread: forking the tests' own process would copy their threads' locks.
Orders and answers are lines of JSON; a moment is in seconds of the child's own processor time.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback

LARGE = (
    "torch", "tilewright.compiler.cli.app", "tilewright.compiler.driver", "tilewright.compiler.frontends.onnx",
    "tilewright.compiler.assignment.assign", "tilewright.compiler.report.html",
    "tilewright.runtime.measuring.evaluate", "tilewright.compiler.sensitivity.measure",
    "tilewright.compiler.report.formats", "tilewright.runtime.execution.run",
)  # fmt: skip


def child(order):
    os.chdir(order["folder"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    sys.argv = ["tilewright", *order["arguments"]]
    from tilewright.compiler.cli import main

    try:
        main()
    except SystemExit as leaving:
        return leaving.code or 0
    except BaseException:  # noqa: BLE001 (whatever it is, the parent reads it)
        traceback.print_exc()
        return 1
    return 0


def stopped_at(process, moment, number):
    """Send a signal once the process has used so much processor time. Returns how it ended."""
    clock = (~process << 3) | 2  # Linux's name of the processor time of a process
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        if time.clock_gettime(clock) >= moment:
            os.kill(process, number)
            return os.waitpid(process, 0)[1]
        time.sleep(0.001)


def serve():
    for name in LARGE:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        process = os.fork()
        if process == 0:
            code = 1
            try:
                code = child(order)
            finally:
                os._exit(code)
        before = os.times()
        if order["moment"] is None:
            status = os.waitpid(process, 0)[1]
        else:
            status = stopped_at(process, order["moment"], order["signal"])
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        answer = {"code": os.waitstatus_to_exitcode(status), "seconds": used}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
