"""Objects that tests pickle."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(Enum):
    FIRST = "First"
    SECOND = "Second"


class Inner:
    def __init__(self):
        self.size = 3


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    kind: Kind = Kind.SECOND
    made_by: type = Inner
    numbers: list[float] = field(default_factory=lambda: [1.0, 2.5])
    again: Any = None

    def __post_init__(self):
        self.again = self.inner
