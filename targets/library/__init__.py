"""Library of the files that come with tilewright, one folder a kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LIBRARY = Path(__file__).parent


def library_kinds() -> list[str]:
    """Kinds of files in the library."""
    return sorted(folder.name for folder in LIBRARY.iterdir() if any(folder.glob("*.yaml")))


def library_names(*kinds: str) -> list[str]:
    """Names of all files of these kinds."""
    return sorted(path.stem for kind in kinds for path in (LIBRARY / kind).glob("*.yaml"))


def library_file(name: str, kinds: Iterable[str]) -> Path | None:
    """The file of that name, of one of these kinds."""
    if name not in library_names(*kinds):
        return None
    return next(path for kind in kinds if (path := LIBRARY / kind / f"{name}.yaml").is_file())
