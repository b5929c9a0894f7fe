"""Parts that all target files have in common."""

from __future__ import annotations

from textwrap import shorten
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from tilewright.targets.shown import visible

SCHEMA_VERSION = 2

LONGEST_TEXT = 2**16
"""Largest number of letters of any text."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
NumberFormat = Annotated[str, StringConstraints(pattern=r"^(fp32|fp16|bf16|int([2-9]|1[0-6]))$")]
"""Number format of a digital unit: fp32, fp16, bf16, or whole numbers int2 to int16 with a calibrated range."""


class Description(BaseModel):
    """Base of every part of a target file: unknown keys are refused, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=LONGEST_TEXT)


class Document(Description):
    """A description with a file of its own: a target, an attention unit, a programming method, a chip, or costs.

    schema_version: of the file. name: lower-case letters, digits and ._-. summary: a sentence for people.
    """

    references: ClassVar[dict[str, str]] = {}
    """Kinds of the documents that may be named instead of written out, by key."""

    schema_version: Literal[2]
    name: Name
    summary: Sentence

    def __repr__(self) -> str:
        """A line for a terminal; ``model_dump`` has every number with its unit and source."""
        return f"{type(self).__name__}({self.name!r}: {visible(shorten(self.summary, 100, placeholder='…'))})"

    __str__ = __repr__


def bits_of(number_format: str) -> int | None:
    """Bits of a whole-number format; None for a floating-point one."""
    return int(number_format.removeprefix("int")) if number_format.startswith("int") else None
