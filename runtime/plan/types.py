"""Parts that a plan's document is made of: sizes, names and types, each with its bounds."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

LONGEST_TEXT = 2**16
"""Largest number of letters of any text in a plan."""
MOST_NUMBERS = 2**59
"""Largest number of elements of a tensor: sizes in bytes are then still whole numbers of 64 bits."""
PATH_PATTERN = r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$"
Path_ = Annotated[str, StringConstraints(pattern=PATH_PATTERN, max_length=512)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=512)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Natural = Annotated[int, Field(ge=0, le=2**40)]
Positive = Annotated[int, Field(ge=1, le=2**40)]
Range = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Dimension = Natural | Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""A size, or the name of one that may vary."""


def six_digits(value: float) -> float:
    """A measured or simulated number, to the digits that math libraries agree on."""
    return value if value.is_integer() else float(f"{value:.6g}")


SixDigits = Annotated[float, AfterValidator(six_digits)]


def _countable(shape: list[Any]) -> list[Any]:
    numbers = math.prod(size for size in shape if isinstance(size, int))
    if numbers > MOST_NUMBERS:
        raise ValueError(f"a tensor may have at most {MOST_NUMBERS} numbers")
    return shape


Shape = Annotated[list[Natural], Field(max_length=64), AfterValidator(_countable)]
NamedShape = Annotated[list[Dimension], Field(max_length=64), AfterValidator(_countable)]
DType = Literal[
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16",
    "uint8", "bool",
]  # fmt: skip
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in get_args(DType)}
"""Types of tensors, by the names that a plan has for them."""


class Record(BaseModel):
    """Base of every part of the plan: unknown keys and numbers that JSON lacks are refused, and what was made is
    not changed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=LONGEST_TEXT)
