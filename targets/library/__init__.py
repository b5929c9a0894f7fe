"""Library of the files that come with tilewright, one folder a kind."""

from __future__ import annotations

from pathlib import Path

LIBRARY = Path(__file__).parent


def library_files(*kinds: str) -> dict[str, Path]:
    """Files of these kinds, of all if none is given, by their names, which are in order."""
    files = [path for path in LIBRARY.glob("*/*.yaml") if not kinds or path.parent.name in kinds]
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}
