"""Errors for operators that are not supported: what each does, by its own documentation, and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

import torch

from tilewright.targets.errors import InputError

ALIKE = 0.85
"""Similarity from which a name is more likely mistyped than another operator's."""
SHORTEST, LONGEST = 8, 160
"""Bounds on the letters of a description."""
IN_TRAINING = ("native_dropout", "_native_batch_norm_legit_functional", "_native_batch_norm_legit")
"""Operators that are only in graphs that were exported for training."""


def unsupported_operator(name: str, description: str, where: str, allowed: Iterable[str], way_out: str) -> InputError:
    """Error for an operator, in one sentence; a supported one is named only where its name is all but the same."""
    close = get_close_matches(name, list(allowed), n=1, cutoff=ALIKE)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    does = f": it {description}" if description else ""
    return InputError(
        f"operator {name} ({where}) is not supported{does}{guess}; {way_out} (docs/operators.md lists all)"
    )


def unsupported_aten(name: str, where: str) -> InputError:
    """Error for an operator of torch that is not supported, such as aten.histc.default."""
    word = name.split(".")[1] if name.startswith("aten.") else name
    way_out = "compile the part of the model without it"
    if word in IN_TRAINING:
        way_out = "the graph was exported for training: call eval() on the model before torch.export.export"
    return unsupported_operator(name, first_sentence(_documentation(word)), where, (), way_out)


def _documentation(word: str) -> str:
    """Torch's text about a function: fft_fft is torch.fft.fft."""
    group, _, rest = word.partition("_")
    places = [(torch, word), (torch.nn.functional, word), (torch.Tensor, word), (getattr(torch, group, None), rest)]
    found = (getattr(getattr(place, function, None), "__doc__", None) for place, function in places if function)
    return next((text for text in found if text), "")


def first_sentence(text: str) -> str:
    """First sentence of a documentation, without the signature that it may start with and without markup."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    prose = next(
        (part for part in paragraphs if part and not re.match(r"[\w.]+\(.*\)\s*->|[\w.]+\([^)]*\)$", part)), ""
    )
    plain = re.sub(r":\w+:`~?([^`<]*)[^`]*`|[`*]+", lambda match: match[1] or "", prose)
    sentence = re.split(r"\.(?:\s|$)", plain)[0][:LONGEST].strip()
    return sentence[:1].lower() + sentence[1:] if len(sentence) >= SHORTEST else ""
