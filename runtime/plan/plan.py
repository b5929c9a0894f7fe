"""Plans in memory: a document and the tensors it speaks of, saved as a folder and loaded from one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.plan import files
from tilewright.runtime.plan.check import PlanError, check_plan
from tilewright.runtime.plan.graph_code import GraphCode
from tilewright.runtime.plan.records import LayerRecord, PlanDocument
from tilewright.targets.draws_version import note_on_older
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown
from tilewright.targets.spec import Chip


@dataclass
class Plan:
    """A compiled network: which layer is where and why, the graph to run, and its weights.

    ``compile`` makes one, ``load`` reads one, ``Session`` and ``run`` run it. document: the whole of plan.json, in
    which ``weights`` and ``tokenizer`` describe the files once it is saved.
    """

    document: PlanDocument
    tensors: Mapping[str, Tensor]
    """Tensors by the names of ``document.tensors``."""
    tokenizer_files: dict[str, bytes] = field(default_factory=dict)
    """Contents of the tokenizer's files, by file name."""
    folder: Path | None = None
    """Folder that the plan was loaded from or saved to."""
    sizes_run: dict[tuple[torch.Size, ...], bool] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Sizes of inputs that the graph was run on as shapes, with True where these say how much memory a run takes."""

    def __post_init__(self) -> None:
        """Begin without the graph as code, which is made once for all sessions."""
        self.graph_code = GraphCode()

    @property
    def has_weights(self) -> bool:
        """True if it can be run: a plan of a model's config alone has tensors on the meta device, without numbers."""
        return self.document.weights is not None

    def require_weights(self) -> None:
        """Raise ``InputError`` if the plan has no weights."""
        if not self.has_weights:
            raise InputError(
                f"the plan of {self.document.model.name!r} was made from a config alone and has no weights to run; "
                "compile the model with its weights"
            )

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write the plan as a folder, whole or not at all. Returns the folder's path.

        Raises ``InputError`` if it cannot be written there, and for a folder that is there already, unless it may be
        replaced and holds a plan.
        """
        self.document = files.write(
            self.document, self.tensors, self.tokenizer_files, Path(folder), overwrite=overwrite
        )
        self.folder = Path(folder)
        return self.folder

    @property
    def sha256(self) -> str:
        """SHA-256 of what the plan does on a chip, in hexadecimal: measurements of it are kept by this name."""
        return files.document_sha256(self.document)

    def on(self, chip: Chip) -> Plan:
        """A copy of the plan on another chip of the same targets, such as one without an effect.

        Raises ``InputError`` for a chip that lacks a target, or whose tiles or mesh the plan does not fit.
        """
        document = self.document.model_copy(update={"chip": chip})
        try:
            check_plan(document, self.tensors)
        except PlanError as error:
            raise InputError(f"the plan does not fit the chip {chip.name}: {error}") from error
        return Plan(document, self.tensors, self.tokenizer_files)

    @property
    def notes_on_seeds(self) -> list[str]:
        """Sentences on seeds that name other chips than when the plan was made; none if it has no tiles."""
        return note_on_older(self.document.draws) if self.document.placement.tiles else []

    def layer(self, name: str) -> LayerRecord:
        """The layer of that name. Raises ``InputError`` with the nearest name."""
        for layer in self.document.layers:
            if layer.name == name:
                return layer
        raise InputError(f"the plan has no layer {name!r}; {nearest(name, [x.name for x in self.document.layers])}")

    def _repr_html_(self) -> str:
        """A small table for a notebook; ``tilewright.summarise`` says more."""
        placement = self.document.placement
        rows = {
            "model": self.document.model.name,
            "chip": self.document.chip.name,
            "layers": len(self.document.layers),
            "tiles": f"{placement.tiles} on {placement.chips} chip(s), {placement.utilisation:.1%} used",
        }
        cells = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
        return f"<table>{cells}</table>"

    def __repr__(self) -> str:
        """A line for a terminal."""
        placement = self.document.placement
        return (
            f"Plan({self.document.model.name!r} on {self.document.chip.name}: {len(self.document.layers)} layers, "
            f"{placement.tiles} tiles, {placement.chips} chips)"
        )


def check_is_plan(given: Any, name: str = "plan") -> None:
    """Raise ``InputError`` for anything but a plan, such as the path of one. name: the argument's."""
    if not isinstance(given, Plan):
        hint = f": load it with tilewright.load({shown(str(given))})" if isinstance(given, str | PurePath) else ""
        what = shown(str(given)) if hint else shown(given)
        raise InputError(f"{name} must be a Plan; got {type(given).__name__} {what}{hint}")


def load(folder: str | Path) -> Plan:
    """Read and validate the plan in a folder. Runs no code from it; weights stay in their file until they are used.

    Raises ``InputError`` if it is not one, whole and unchanged.
    """
    folder = Path(folder)
    return Plan(*files.read(folder), folder)
