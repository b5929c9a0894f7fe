"""End of one mutant: in one of the allowed ways, or how it fell and where."""

import json
import re
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

import tilewright

PACKAGE = Path(tilewright.__file__).parent
FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\w+|<\w+>)')
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "Unable to allocate",
    "Cannot allocate memory",
    "bad_alloc",
)


class Fell(Exception):
    """A mutant made tilewright do what no input may."""

    def __init__(self, how, message, place=""):
        super().__init__(message)
        self.how, self.place = how, place


@dataclass
class Verdict:
    """Ending of one mutant, or its fall; seconds of processor time and MiB that memory grew by."""

    kind: str
    seed: int
    ended: str = ""
    fell: str = ""
    place: str = ""
    message: str = ""
    seconds: float = 0.0
    mib: float = 0.0

    def to_json(self):
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line):
        return cls(**json.loads(line))


def of_exception(error):
    """(how, place, message) of an exception that should not have left."""
    if isinstance(error, Fell):
        return error.how, error.place, str(error)[:300]
    message = (str(error).strip().splitlines() or [""])[0]
    message = message if len(message) <= 240 else f"{message[:80]} ... {message[-160:]}"
    how = (
        "memory"
        if isinstance(error, MemoryError) or any(w in str(error) for w in OUT_OF_MEMORY)
        else type(error).__name__
    )
    frames = [(f.filename, f.lineno, f.name) for f in traceback.extract_tb(error.__traceback__)]
    return how, place_of(reversed(frames)), message.encode("utf-8", "backslashreplace").decode()


def place_of(frames):
    """Place of a fall: the innermost frame of tilewright, and the innermost of all. frames: innermost first."""
    frames = list(frames)
    own = [f"{Path(file).relative_to(PACKAGE)}:{name}" for file, _, name in frames if _is_own(file)]
    innermost = f"{Path(frames[0][0]).name}:{frames[0][2]}" if frames else ""
    return f"{own[0]} ({innermost})" if own and not own[0].endswith(innermost) else own[0] if own else innermost


def _is_own(file):
    path = Path(file)
    return path.is_relative_to(PACKAGE)


def of_last_words(text):
    """(place, first line) of what faulthandler wrote when a child died."""
    frames = [(file, int(line), name) for file, line, name in FRAME.findall(text)]
    first = next((line for line in text.splitlines() if line.strip()), "")
    return place_of(frames), first[:200]
