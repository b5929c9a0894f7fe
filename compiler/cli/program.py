"""Start and end of the program: signals, exit codes, one line for what went wrong.

Nothing large is imported here: an interrupt while the commands are loaded is one like every other.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tilewright.compiler.cli.streams import open_streams, write_out

WRONG = 2
"""The exit code for wrong input, and for a machine that does not do what is asked: a full disk, no permission."""
INTERRUPTED = 130
"""The exit code of a program that was stopped, by Ctrl-C, by SIGTERM, or because its terminal closed."""
STOPS = ("SIGTERM", "SIGHUP")
"""Signals that stop the program as Ctrl-C does: half-written files are removed."""

NO_DETECTION = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"
"""Variable without which typer takes the shell that it finds around it for the one that was named."""


def main() -> None:
    """Run the program. Wrong input ends in one sentence and code 2; a bug of tilewright keeps its traceback."""
    try:
        open_streams()
        with _stopped_like_ctrl_c():
            code = _run()
            problem = write_out()
            if problem is not None:
                code = code or (1 if isinstance(problem, BrokenPipeError) else _report(problem))
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        _say("interrupted: nothing half-done was left")
    sys.exit(code)


def _run() -> Any:
    """Run the command that was given. Returns the exit code."""
    if sys.argv[1:2] in (["--install-completion"], ["--show-completion"]) and sys.argv[2:]:
        os.environ.setdefault(NO_DETECTION, "1")
    try:
        from tilewright.compiler.cli.app import app

        app()
    except SystemExit as leaving:  # typer ends with one, after an interrupt too
        return leaving.code
    except Exception as error:
        if _comes_of_an_interrupt(error):
            raise KeyboardInterrupt from error
        return _report(error)
    return 0


def _comes_of_an_interrupt(error: BaseException | None) -> bool:
    """Tell whether a library wrapped an interrupt: pydantic makes an error of its own of what its callbacks raise."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None


def _report(error: Exception) -> int:
    """Say what went wrong if it is the user's or the machine's; else raise it again. Returns the exit code."""
    from tilewright.targets.errors import InputError
    from tilewright.targets.paths import SYSTEM_FAULTS, shown_path

    if isinstance(error, InputError):
        _say(f"error: {error}")
    elif isinstance(error, MemoryError):
        _say("error: there is not enough memory")
    elif isinstance(error, OSError) and error.errno in SYSTEM_FAULTS:
        what = "the output" if error.filename is None else shown_path(str(error.filename))
        _say(f"error: {what} cannot be written or used: {error.strerror}")
    else:
        raise error
    return WRONG


def _say(line: str) -> None:
    from tilewright.compiler.cli.console import errors

    with suppress(OSError):  # nobody may listen
        errors.print(line, soft_wrap=True)


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """Let signals that would end the program raise ``KeyboardInterrupt`` in a command; ignored ones stay so."""
    numbers = [getattr(signal, name) for name in STOPS if hasattr(signal, name)]  # not all are everywhere
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _stop)
    before, sys.unraisablehook = sys.unraisablehook, _unraisable
    try:
        yield
    finally:
        sys.unraisablehook = before
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _unraisable(lost: Any) -> None:
    """Interrupt again where a signal came while nothing could be raised, in a destructor or a library's callback.

    A moment later, since nothing can be raised from here either.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        again = threading.Timer(0.01, os.kill, (os.getpid(), _Came.number))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


class _Came:
    """Signal that came last: SIGINT may be ignored, as in a shell's background, where another one came."""

    number: int = signal.SIGINT


def _stop(number: int, _frame: Any) -> None:
    _Came.number = number
    raise KeyboardInterrupt
