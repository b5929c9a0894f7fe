"""Code of the user's own, which tasks run: what goes wrong in it is one sentence that says where."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tilewright.targets.errors import InputError
from tilewright.targets.paths import FILE, kind_of, shown_path

OURS = "tilewright."
"""Beginning of the modules of tilewright, whose faults keep their traceback."""


@contextmanager
def users_code(what: str, code: Any) -> Iterator[None]:
    """Within it, what the user's code raises becomes an ``InputError`` with the place in the user's file.

    what: the code, for the sentence. code: function or class that is run; what tilewright's own raise stays as it is.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if (getattr(code, "__module__", None) or "").startswith(OURS):
            raise
        if isinstance(error, SyntaxError):
            place = f"line {error.lineno} of {shown_path(error.filename or '')}"
        else:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"line {frame.lineno} of {shown_path(frame.filename)}"
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(f"{what} fails: {type(error).__name__}: {reason} ({place})") from error


def run_file(path: Path, what: str) -> ModuleType:
    """Module of a Python file, which is run. what: is looked for in it, for the sentence.

    Raises ``InputError`` if there is no such file, or it fails.
    """
    if kind_of(path) != FILE or path.suffix != ".py":
        raise InputError(f"there is no Python file {shown_path(path)} to take {what} from")
    spec = importlib.util.spec_from_file_location(f"tilewright_task_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    with users_code(shown_path(path), module):
        spec.loader.exec_module(module)
    return module
