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
from functools import cache
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
    node = _node(value, made, kind)
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
        return (_python("value", _several), _python("place", _place))
    if function in _PYTHON:
        return tuple(_python(name, _number) for name in ("value", "other")[: _PYTHON[function]])
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


def _python(name: str, read: Reader) -> Parameter:
    return Parameter(name, read, needed=True, by_name=False)


def _reader(kind: Any, name: str, count: int | None) -> Reader:
    """Reader for one type of torch's schemas. count: how many numbers a list has that may be written as one."""
    match kind.kind():
        case "OptionalType":
            read = _reader(kind.getElementType(), name, count)
            return lambda value, made: None if value is None else read(value, made)
        case "ListType":
            return _list(_reader(kind.getElementType(), name, None), may_be_one=count is not None)
        case "StringType":
            return _word(re.compile(WORDS[name]))
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


def _word(pattern: re.Pattern[str]) -> Reader:
    def read_word(value: Any, _made: Made) -> str:
        if not isinstance(value, str) or len(value) > LONGEST_WORD or pattern.fullmatch(value) is None:
            raise _NotTakenError(f"text such as {pattern.pattern.replace('|', ', ')}")
        return value

    return read_word


def _node(value: Any, made: Made, *kinds: Kind) -> fx.Node | None:
    if not isinstance(value, dict) or list(value) != ["node"] or not isinstance(value["node"], str):
        return None
    node, kind = made.get(value["node"], (None, None))
    return node if kind in kinds else None


def _tagged(tag: str, allowed: Mapping[str, Any], what: str) -> Reader:
    def read(value: Any, _made: Made) -> Any:
        if isinstance(value, dict) and list(value) == [tag] and isinstance(value[tag], str) and value[tag] in allowed:
            return allowed[value[tag]]
        raise _NotTakenError(what)

    return read


def _tensor(value: Any, made: Made) -> Any:
    """Tensor argument: a node, or a number, which torch takes for a tensor and traced graphs have."""
    node = _node(value, made, Kind.TENSOR)
    return node if node is not None else _scalar(value, made, "a tensor or number of a node before it, or a number")


def _several(value: Any, made: Made) -> Any:
    node = _node(value, made, Kind.SEVERAL)
    if node is None:
        raise _NotTakenError("a node before it with several results")
    return node


def _number(value: Any, made: Made) -> Any:
    return _scalar(value, made, "a number, or a node before it that gives one")


def _scalar(value: Any, made: Made, what: str) -> Any:
    node = _node(value, made, Kind.NUMBER)
    if node is not None:
        return node
    if isinstance(value, float) or (isinstance(value, int) and value in WHOLE_NUMBERS):
        return value
    if isinstance(value, dict) and list(value) == ["number"] and value["number"] in list(NUMBERS):
        return NUMBERS[value["number"]]
    raise _NotTakenError(what)


def _whole(value: Any, made: Made) -> Any:
    if isinstance(value, bool) or (isinstance(value, int) and value not in WHOLE_NUMBERS):
        raise _NotTakenError("a whole number of 64 bits")
    node = _node(value, made, Kind.NUMBER)
    if node is None and not isinstance(value, int):
        raise _NotTakenError("a whole number, or a node before it that gives one")
    return value if node is None else node


def _place(value: Any, _made: Made) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LONGEST_LIST:
        raise _NotTakenError("a whole number from 0")
    return value


def _truth(value: Any, _made: Made) -> Any:
    if not isinstance(value, bool):
        raise _NotTakenError("true or false")
    return value


_READERS: dict[str, Reader] = {
    "TensorType": _tensor,
    "NumberType": _number,
    "FloatType": _number,
    "IntType": _whole,
    "SymIntType": _whole,
    "BoolType": _truth,
    "ScalarTypeType": _tagged("dtype", DTYPES, 'a type such as {"dtype": "float32"}'),
    "DeviceObjType": _tagged("device", {"cpu": torch.device("cpu")}, '{"device": "cpu"}'),
    "LayoutType": _tagged("layout", {"strided": torch.strided}, '{"layout": "strided"}'),
    "MemoryFormatType": _tagged("memory_format", MEMORY_FORMATS, "a memory format"),
}
