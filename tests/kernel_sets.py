"""Sets of kernels in tests: those of this processor, and one of them forced for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tilewright.runtime.chip.kernels import native


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Kernels of that name in this process, if its processor has them."""
    patch = pytest.MonkeyPatch()
    patch.setenv(native.FORCED, name)
    native.loaded.cache_clear()
    try:
        yield
    finally:
        patch.undo()
        native.loaded.cache_clear()


def sets() -> list[str]:
    """Names of the kernels that this processor has; none where the library was not built."""
    if native.kernels().name == native.TORCH:
        return []
    return list(native.SETS[: native.SETS.index(native.kernels().name) + 1])
