"""Arguments of a plan's operators, as the operators' own schemas have them: all else is refused before a call.

torch trusts its caller: a number where it wants a type, say, ends the process. What a plan writes is therefore read by
the type that the schema gives its place, and a node may stand only where its result may.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from inspect import signature
from typing import Any

import torch
from torch import fx

from tilewright.runtime.plan.operators import PYTHON
from tilewright.runtime.plan.types import DTYPES
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown

WHOLE_NUMBERS = range(-(2**63), 2**63)
"""Whole numbers of 64 bits, with which torch computes sizes."""
LONGEST_LIST = 2**16
"""Largest number of entries of one list among the arguments."""
MEMORY_FORMATS = {"contiguous_format": torch.contiguous_format, "preserve_format": torch.preserve_format}
NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
"""Numbers that JSON does not have, by their names in a plan."""
WORDS = {
    "approximate": r"none|tanh",
    "rounding_mode": r"trunc|floor",
    "mode": r"constant|reflect|replicate|circular",
    "padding": r"same|valid",
    "indexing": r"ij|xy",
    "reduce": r"add|multiply|sum|prod|mean|amax|amin",
    "equation": r"[A-Za-z., ]*(->[A-Za-z. ]*)?",
}
"""Patterns of what text arguments may be, by their names in the schemas."""
LONGEST_WORD = 256


class Kind(Enum):
    """Kind of result that a node gives."""

    TENSOR = "a tensor"
    NUMBER = "a number"
    SEVERAL = "several tensors"


Made = Mapping[str, tuple[fx.Node, Kind]]
"""Nodes before the present one, with the kinds of their results, by name."""


class _NotTakenError(Exception):
    """Refusal of an argument; the reason says what its place takes."""


Reader = Callable[[Any, Made], Any]


@dataclass(frozen=True)
class Parameter:
    """One argument of an operator. read: reader from the plan's value to the operator's."""

    name: str
    read: Reader
    needed: bool
    by_name: bool
    """True if the argument is given by its name alone."""


def read_arguments(
    where: str, function: Any, given: Sequence[Any], named: Mapping[str, Any], made: Made
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, checked and as Python has them. Raises ``InputError`` that names the node ``where``."""
    known = parameters(function)
    places = [parameter for parameter in known if not parameter.by_name]
    if len(given) > len(places):
        raise InputError(f"{where} has {len(given)} arguments, allowed are {len(places)}")
    by_name = {parameter.name: parameter for parameter in known[len(given) :]}
    for name in named:
        if name not in by_name or keyword.iskeyword(name):
            raise InputError(f"{where} has no argument {shown(name)} to be named; {nearest(name[:64], by_name)}")
    for name, parameter in by_name.items():
        if parameter.needed and name not in named:
            raise InputError(f"{where}: its argument {name!r} is missing")
    values = tuple(_read(where, parameter, value, made) for parameter, value in zip(places, given, strict=False))
    return values, {name: _read(where, by_name[name], value, made) for name, value in named.items()}


def _read(where: str, parameter: Parameter, value: Any, made: Made) -> Any:
    try:
        return parameter.read(value, made)
    except _NotTakenError as refused:
        raise InputError(f"{where}: its argument {parameter.name!r} is {shown(value)}; it takes {refused}") from None


def read_node(where: str, value: Any, made: Made, kind: Kind = Kind.TENSOR) -> fx.Node:
    """The node that a plan speaks of. Raises ``InputError`` for all else, and for one of another kind."""
    node: fx.Node | None = _node(kind)(value, made)
    if node is None:
        raise InputError(f"{where}: {shown(value)} is not a node before it that gives {kind.value}")
    return node


def result_kind(function: Any) -> Kind:
    """Kind of result of a call of a function of the allow-list."""
    if function in _TAKING:
        return Kind.TENSOR
    if function in _PYTHON:
        return Kind.NUMBER
    results = [result.type.kind() for result in function._schema.returns]
    if results == ["TensorType"]:
        return Kind.TENSOR
    return Kind.NUMBER if results == ["IntType"] else Kind.SEVERAL


@cache
def parameters(function: Any) -> tuple[Parameter, ...]:
    """Parameters that a function of the allow-list takes."""
    if function in _TAKING:
        return (Parameter("value", _several, True, False), Parameter("place", _place, True, False))
    if function in _PYTHON:
        return tuple(Parameter(name, _number, True, False) for name in ("value", "other")[: _PYTHON[function]])
    return tuple(
        Parameter(
            argument.name,
            _reader(argument.real_type, argument.name, argument.N),
            not argument.has_default_value(),
            argument.kwarg_only,
        )
        for argument in function._schema.arguments
    )


_TAKING = {PYTHON["operator.getitem"]}
"""Functions that take one of several results."""
_PYTHON = {function: len(signature(function).parameters) for function in PYTHON.values() if function not in _TAKING}
"""Number of arguments of arithmetic on sizes, by function."""


def _reader(kind: Any, name: str, count: int | None) -> Reader:
    """Reader for one type of torch's schemas. count: how many numbers a list has that may be written as one."""
    match kind.kind():
        case "OptionalType":
            read = _reader(kind.getElementType(), name, count)
            return lambda value, made: None if value is None else read(value, made)
        case "ListType":
            return _list(_reader(kind.getElementType(), name, None), may_be_one=count is not None)
        case "StringType":
            return _taking(f"text such as {WORDS[name].replace('|', ', ')}", _such(partial(_is_word, WORDS[name])))
    return _READERS[kind.kind()]


def _list(read: Reader, *, may_be_one: bool) -> Reader:
    def read_list(value: Any, made: Made) -> Any:
        if may_be_one and not isinstance(value, list):
            return read(value, made)
        if not isinstance(value, list) or len(value) > LONGEST_LIST:
            raise _NotTakenError(f"a list of at most {LONGEST_LIST}")
        try:
            return [read(item, made) for item in value]
        except _NotTakenError as refused:
            raise _NotTakenError(f"a list, each of which is {refused}") from None

    return read_list


def _is_word(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_WORD and re.fullmatch(pattern, value) is not None


def _taking(what: str, *forms: Reader) -> Reader:
    """Reader of what is in one of these forms; a form reads None in all others. what: the forms, in words."""

    def read(value: Any, made: Made) -> Any:
        for form in forms:
            found = form(value, made)
            if found is not None:
                return found
        raise _NotTakenError(what)

    return read


def _such(allowed: Callable[[Any], bool]) -> Reader:
    return lambda value, _: value if allowed(value) else None


def _tagged(tag: str, allowed: Mapping[str, Any]) -> Reader:
    def read(value: Any, _made: Made) -> Any:
        name = value[tag] if isinstance(value, dict) and list(value) == [tag] else None
        return allowed.get(name) if isinstance(name, str) else None

    return read


def _node(wanted: Kind) -> Reader:
    def read(value: Any, made: Made) -> Any:
        name = value["node"] if isinstance(value, dict) and list(value) == ["node"] else None
        node, kind = made.get(name, (None, None)) if isinstance(name, str) else (None, None)
        return node if kind is wanted else None

    return read


_NUMBER = (
    _node(Kind.NUMBER),
    _such(lambda value: isinstance(value, float) or (isinstance(value, int) and value in WHOLE_NUMBERS)),
    _tagged("number", NUMBERS),
)
"""Forms of a number."""
_number = _taking("a number, or a node before it that gives one", *_NUMBER)
_several = _taking("a node before it with several results", _node(Kind.SEVERAL))
_place = _taking("a whole number from 0", _such(lambda value: type(value) is int and 0 <= value < LONGEST_LIST))
_size = _taking(
    "a whole number, or a node before it that gives one",
    _such(lambda value: isinstance(value, int)),
    _node(Kind.NUMBER),
)


def _whole(value: Any, made: Made) -> Any:
    if isinstance(value, bool) or (isinstance(value, int) and value not in WHOLE_NUMBERS):
        raise _NotTakenError("a whole number of 64 bits")
    return _size(value, made)


_READERS: dict[str, Reader] = {
    "TensorType": _taking("a tensor or number of a node before it, or a number", _node(Kind.TENSOR), *_NUMBER),
    "NumberType": _number,
    "FloatType": _number,
    "IntType": _whole,
    "SymIntType": _whole,
    "BoolType": _taking("true or false", _such(lambda value: isinstance(value, bool))),
    "ScalarTypeType": _taking('a type such as {"dtype": "float32"}', _tagged("dtype", DTYPES)),
    "DeviceObjType": _taking('{"device": "cpu"}', _tagged("device", {"cpu": torch.device("cpu")})),
    "LayoutType": _taking('{"layout": "strided"}', _tagged("layout", {"strided": torch.strided})),
    "MemoryFormatType": _taking("a memory format", _tagged("memory_format", MEMORY_FORMATS)),
}
