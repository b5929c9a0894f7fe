"""Checkpoints of a training that may stop: which training they are of, and where it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from tilewright.compiler.training.callbacks import BEST, FIGURES
from tilewright.runtime.storage.atomic_file import write_whole
from tilewright.targets.errors import InputError
from tilewright.targets.paths import read_bytes, shown_path
from tilewright.targets.quantity import is_number, leaves
from tilewright.targets.shown import shown

SETTINGS = "tilewright_settings.json"
"""Name of the file that says which training the checkpoints beside it are of."""
STATE = "trainer_state.json"
"""Name of the file that transformers writes last."""
FILES = (STATE, "optimizer.pt", "scheduler.pt", "rng_state.pth")
"""Files of a checkpoint beside its weights, without which a training would go on with other bits."""
LARGEST = 2**26  # bytes of JSON


def last_checkpoint(folder: Path, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Path | None:
    """Checkpoint that a training goes on from; None if it begins, and then its folder holds none of another one.

    settings: what decides the bits that are trained, as plain values. Raises ``InputError`` if a training is to be
    resumed that has no checkpoint or began with other settings, and if one is to begin where another can be resumed,
    unless that may be replaced.
    """
    found = whole_checkpoints(folder)
    if resume:
        if not found:
            missing = "is not there" if not folder.exists() else "holds no whole checkpoint"
            raise InputError(f"there is nothing to resume: {shown_path(folder)} {missing}")
        _check_same(folder, settings)
        return found[-1]
    if found and not overwrite:
        raise InputError(
            f"{shown_path(folder)} holds {found[-1].name} of a training that was stopped: resume it, or overwrite it "
            "(--resume, --force)"
        )
    remove_checkpoints(folder)
    return None


def whole_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in a folder that were written to their end, in the order of their steps.

    transformers writes one file by file; a training that is stopped meanwhile leaves some of them.
    """
    found = {}
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        step = path.name.rpartition("-")[2]
        if step.isdecimal() and all((path / name).is_file() for name in FILES) and _is_whole(path / STATE):
            found[int(step)] = path
    return [found[step] for step in sorted(found)]


def _is_whole(file: Path) -> bool:
    """True if the file that is written last is whole."""
    try:
        return isinstance(json.loads(read_bytes(file, "state of a training", LARGEST)), dict)
    except (ValueError, RecursionError):
        return False


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Say which training the checkpoints of a folder will be of."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / SETTINGS, (json.dumps(settings, indent=1, default=str) + "\n").encode())


@contextmanager
def no_trace_of_a_failure(folder: Path) -> Iterator[None]:
    """Remove what a training leaves in its folder of checkpoints if it fails before the first one is whole."""
    try:
        yield
    except BaseException:
        if not whole_checkpoints(folder):
            remove_checkpoints(folder)
        raise


def remove_checkpoints(folder: Path) -> None:
    """Remove what trainings leave in a folder of checkpoints, and the folder if nothing else is in it."""
    for checkpoint in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    for name in (SETTINGS, BEST, FIGURES):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise ``InputError`` for the first setting that is another than the stopped training's."""
    file = folder / SETTINGS
    try:
        kept = json.loads(read_bytes(file, "settings of a training", LARGEST))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown_path(file)} does not say which training was stopped: {error}") from error
    if not isinstance(kept, dict):
        raise InputError(f"{shown_path(file)} does not say which training was stopped: it is no JSON object")
    before, now = dict(leaves(kept)), dict(leaves(json.loads(json.dumps(settings, default=str))))
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            is_now = "is left out" if now.get(name) is None else f"is {_written(now[name])}"
            was = "without it" if before.get(name) is None else f"with {_written(before[name])}"
            raise InputError(
                f"{name} {is_now}, and the training that was stopped began {was}: it can only be resumed as it began"
            )


def _written(value: Any) -> str:
    return shown(value["value"] if is_number(value) else value)
