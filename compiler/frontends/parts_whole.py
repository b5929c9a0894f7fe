"""Parts of a model that tracing takes as one operator each, to be taken apart later: recurrent layers, experts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tilewright.compiler.frontends.experts import experts_whole
from tilewright.compiler.frontends.recurrent import recurrent_layers_whole


@contextmanager
def parts_whole() -> Iterator[None]:
    """Let torch.export take such parts whole while the ``with`` block runs."""
    with recurrent_layers_whole(), experts_whole():
        yield
