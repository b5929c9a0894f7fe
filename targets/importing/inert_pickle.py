"""Pickles read as data: nothing in them is run, no class is looked up, and only what settings are made of is read.

A pickle is a program for a small machine. This is another such machine, that makes records of names and values where
pickle would import and call. It knows the instructions that plain objects need, and refuses all others by name.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

LARGEST = 2**20
"""Bytes of the largest pickle that is read; settings take a few thousand."""
MOST_INSTRUCTIONS = 2**16
DEEPEST = 64
"""Largest depth of values inside one another."""


class PickleError(ValueError):
    """A pickle that is damaged, or holds more than settings. The text says what, as the rest of a sentence."""


@dataclass(frozen=True)
class Name:
    """Name of a class or function, which is not looked up."""

    module: str
    name: str


@dataclass
class Made:
    """An object that a pickle would make: by which name, of which values, and its state."""

    name: Name
    values: tuple[Any, ...]
    fields: dict[str, Any] = field(default_factory=dict)


class _Mark:
    """Place on the stack that a later instruction goes back to."""


def read_pickle(content: bytes, packages: Sequence[str], what: str) -> Any:
    """The value that a pickle describes: plain values, lists, tuples and dicts, ``Name`` and ``Made`` for the rest.

    packages: beginnings of modules whose names may stand in it; builtins and all others are refused. Raises
    ``InputError`` that begins with ``what``, for a pickle that is damaged, too large, or holds anything else.
    """
    if len(content) > LARGEST:
        raise InputError(f"{what} has {len(content)} bytes; allowed are {LARGEST}")
    machine = _Machine(packages)
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
            if count >= MOST_INSTRUCTIONS:
                raise PickleError(f"more than {MOST_INSTRUCTIONS} instructions")
            machine.step(operation.name, argument)
        value = machine.result()
        _check_depth(value)
    except PickleError as problem:
        raise InputError(f"{what} is not read: it holds {problem}") from problem
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as problem:
        raise InputError(f"{what} is damaged, or is no pickle") from problem
    return value


class _Machine:
    """Stack and memory of a pickle's instructions."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = tuple(packages)
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.is_done = False

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name]())
        elif name in ACTIONS:
            ACTIONS[name](self, argument)
        elif name not in WITHOUT_EFFECT:
            raise PickleError(f"the instruction {name}, which settings do not need")

    def result(self) -> Any:
        """The one value that is left. Raises ``ValueError`` if there is none, or another."""
        (value,) = self.stack
        if not self.is_done:
            raise ValueError("the end is missing")
        return value

    def named(self, module: Any, name: Any) -> None:
        """Put a name on the stack. Raises ``PickleError`` if its module is of none of the packages."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name must be words")
        if not any(module == package or module.startswith(f"{package}.") for package in self.packages):
            raise PickleError(
                f"{shown(f'{module}.{name}')}, which would be run, and only names of {' and '.join(self.packages)} are "
                "known"
            )
        self.stack.append(Name(module, name))

    def since_mark(self) -> list[Any]:
        """Take what lies above the last mark."""
        place = max(index for index, value in enumerate(self.stack) if isinstance(value, _Mark))
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def top(self, kind: type[Any]) -> Any:
        """The value on top, which must be of a kind."""
        value = self.stack[-1]
        if type(value) is not kind:
            raise TypeError(f"a {kind.__name__} was to be changed")
        return value

    def make(self) -> None:
        """Put a record of an object on the stack, in place of a name and its values."""
        values, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, Name) or not isinstance(values, tuple):
            raise PickleError("a call of something that is no name")
        self.stack.append(Made(name, values))

    def give_state(self) -> None:
        """Put fields into the record of an object."""
        state, made = self.stack.pop(), self.top(Made)
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise PickleError("a state that is no dict of fields")
        made.fields.update(state)

    def remember(self, place: int) -> None:
        """Note the value on top under a number."""
        if isinstance(self.stack[-1], _Mark):
            raise ValueError("a mark is no value")
        self.memory[place] = self.stack[-1]

    def take(self, count: int) -> None:
        """Put a tuple of the last values in their place."""
        values = tuple(self.stack[len(self.stack) - count :])
        if len(values) < count:
            raise IndexError("too few values")
        del self.stack[len(self.stack) - count :]
        self.stack.append(values)

    def set_items(self, values: list[Any]) -> None:
        """Put pairs of keys and values into the dict on top."""
        target = self.top(dict)
        keys = values[::2]
        if len(values) % 2 or not all(isinstance(key, str | int | float | bool | type(None)) for key in keys):
            raise TypeError("keys must be plain, each with a value")
        target.update(zip(keys, values[1::2], strict=True))

    def end(self) -> None:
        """Note that the pickle is whole."""
        self.is_done = True


def _set_item(machine: _Machine, _argument: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _set_items(machine: _Machine, _argument: Any) -> None:
    machine.set_items(machine.since_mark())


def _append(machine: _Machine, _argument: Any) -> None:
    value = machine.stack.pop()
    machine.top(list).append(value)


def _appends(machine: _Machine, _argument: Any) -> None:
    values = machine.since_mark()
    machine.top(list).extend(values)


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.named(module, name)


def _stack_global(machine: _Machine, _argument: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.named(module, name)


VALUES = ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
"""Instructions whose argument is a value."""
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "MARK": _Mark,
}  # fmt: skip
WITHOUT_EFFECT = ("PROTO", "FRAME")
ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "NEWOBJ": lambda machine, _: machine.make(),
    "REDUCE": lambda machine, _: machine.make(),
    "BUILD": lambda machine, _: machine.give_state(),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memory)),
    "BINPUT": lambda machine, place: machine.remember(place),
    "LONG_BINPUT": lambda machine, place: machine.remember(place),
    "BINGET": lambda machine, place: machine.stack.append(machine.memory[place]),
    "LONG_BINGET": lambda machine, place: machine.stack.append(machine.memory[place]),
    "TUPLE1": lambda machine, _: machine.take(1),
    "TUPLE2": lambda machine, _: machine.take(2),
    "TUPLE3": lambda machine, _: machine.take(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "APPEND": _append,
    "APPENDS": _appends,
    "STOP": lambda machine, _: machine.end(),
}


def _check_depth(value: Any) -> None:
    """Raise ``PickleError`` for values that lie too deep in one another, or in one another many times."""
    waiting, seen = [(value, 0)], 0
    while waiting:
        outer, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_INSTRUCTIONS:
            raise PickleError(f"values that lie more than {DEEPEST} deep, or in one another many times")
        waiting += [(inner, depth + 1) for inner in _inside(outer)]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    return [*value.values, *value.fields.values()] if isinstance(value, Made) else []
