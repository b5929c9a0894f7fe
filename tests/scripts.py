"""Scripts of folders that are no packages, as modules."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from tests.narrowing import present

ROOT = Path(__file__).parents[1]


def script(path: str) -> ModuleType:
    """The module of a file, by its path from the repository's root."""
    spec = present(spec_from_file_location(Path(path).stem, ROOT / path))
    module = module_from_spec(spec)
    present(spec.loader).exec_module(module)
    return module
