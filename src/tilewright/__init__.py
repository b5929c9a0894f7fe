"""Compiler for trained networks onto analog in-memory chips, and simulator of these chips.

    plan = tilewright.compile("path/to/model", target="pcm-512")
    plan.save("plan")
    session = tilewright.Session(tilewright.load("plan"), seed=0).advance_to("1mo")
    outputs = session(input_ids=..., attention_mask=...)

``__init__.pyi`` lists the public names; each is imported on first use, so that the runtime works where the compiler
cannot be imported.
"""

from __future__ import annotations

import os
from typing import Any

import lazy_loader

# Products in float32 then have the same bits on any number of threads, in any worker (docs/clusters.md). MKL reads
# it at its first product, and it costs nothing that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

_public_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tilewright")
    return _public_name(name)
