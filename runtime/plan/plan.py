"""Plans in memory: a document and the tensors it speaks of, saved as a folder and loaded from one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.plan import files
from tilewright.runtime.plan.adapter_folder import read_adapter
from tilewright.runtime.plan.adapter_records import AdapterRecord
from tilewright.runtime.plan.adapters import check_adapters, document_with, outputs_with
from tilewright.runtime.plan.base_weights import check_base
from tilewright.runtime.plan.check import check_plan
from tilewright.runtime.plan.fitting_adapters import fit_adapter
from tilewright.runtime.plan.graph_code import GraphCode
from tilewright.runtime.plan.plan_error import PlanError
from tilewright.runtime.plan.records import LayerRecord, PlanDocument
from tilewright.targets.draws_version import note_on_older
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_flags
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
    weights_in: Path | None = None
    """Folder with the file of weights that ``document.weights`` describes, of a plan that differs in all but these."""
    adapter: str | None = field(default=None, init=False)
    """Adapter that runs of this plan have; None for the base alone. See ``adapted``."""
    whole: Plan | None = field(default=None, init=False, repr=False, compare=False)
    """The plan without an adapter chosen, where one is."""
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

        All adapters are written, whether one is chosen or not. Raises ``InputError`` if it cannot be written there, and
        for a folder that is there already, unless it may be replaced and holds a plan.
        """
        if self.whole is not None:
            self.folder = self.whole.save(folder, overwrite=overwrite)
            return self.folder
        self.document = files.write(
            self.document,
            self.tensors,
            self.tokenizer_files,
            Path(folder),
            overwrite=overwrite,
            weights_in=self.weights_in,
        )
        self.folder, self.weights_in = Path(folder), None
        return self.folder

    @property
    def sha256(self) -> str:
        """SHA-256 of what the plan does on a chip, in hexadecimal: measurements of it are kept by this name.

        Adapters that are not chosen change nothing of it.
        """
        record, whole = self.adapter_record, self.whole or self
        weights = whole.document.weights
        if weights is not None and not weights.bytes:  # in memory: the document does not tell which numbers these are
            own = files.unwritten_sha256(whole.document, whole.tensors, whole.tokenizer_files)
        else:
            own = files.document_sha256(whole.document)
        return own if record is None else hashlib.sha256(f"{own} {record.sha256}".encode()).hexdigest()

    @property
    def adapters(self) -> list[str]:
        """Names of the plan's adapters."""
        return [record.name for record in self.document.adapters]

    @property
    def adapter_record(self) -> AdapterRecord | None:
        """Record of the adapter that is chosen; None for the base alone."""
        return next((record for record in self.document.adapters if record.name == self.adapter), None)

    def adapted(self, adapter: str | None) -> Plan:
        """The plan with one of its adapters chosen, for all that runs or measures it; the base alone for None.

        The document differs from the whole plan's in what the adapter changes of the outputs. Weights, layers and the
        graph are shared. Raises ``InputError`` with the nearest name if the plan has no such adapter.
        """
        whole = self if self.whole is None else self.whole
        if adapter is None:
            return whole
        record = next((record for record in whole.document.adapters if record.name == adapter), None)
        if record is None:
            raise InputError(f"the plan has no adapter {shown(adapter)}; {nearest(str(adapter), whole.adapters)}")
        made = Plan(document_with(whole.document, record), whole.tensors, whole.tokenizer_files, whole.folder)
        made.adapter, made.whole, made.graph_code = adapter, whole, whole.graph_code
        return made

    def with_adapter(self, name: str, folder: str | Path, *, replace: bool = False) -> Plan:
        """A plan with one more adapter, read from a folder as the library peft saves LoRA; this plan stays as it is.

        name: that chooses it; letters, digits, _ and -. replace: take the place of an adapter of that name. The base's
        weights, ranges and places are not touched, and saving writes its file of weights no second time.
        Raises ``InputError`` for a folder that holds no such adapter, or one that does not fit the plan's layers.
        """
        check_flags(replace=replace)
        whole = self.adapted(None)
        whole.require_weights()
        if name in whole.adapters and not replace:
            raise InputError(
                f"the plan has an adapter {name!r} already; replace it (--replace, in Python replace=True), or give "
                "another name"
            )
        kept = whole.without_adapter(name) if name in whole.adapters else whole
        read = read_adapter(folder)
        record, tensors = fit_adapter(kept.document, dict(kept.tensors), name, read)
        check_base(folder, name, whole.document, whole.tensors, read.replacements)
        made = kept._with_adapters([*kept.document.adapters, record], {**kept.tensors, **tensors})
        try:
            check_adapters(made.document, made.tensors)
        except PlanError as error:
            raise InputError(f"adapter {shown(name)} does not fit the plan: {error}") from error
        return made

    def without_adapter(self, name: str) -> Plan:
        """A plan without one of its adapters; this plan stays as it is. Raises ``InputError`` if there is none."""
        whole = self.adapted(None)
        record = whole.adapted(str(name)).adapter_record
        assert record is not None
        left = [one for one in whole.document.adapters if one.name != name]
        return whole._with_adapters(left, {k: tensor for k, tensor in whole.tensors.items() if k not in record.tensors})

    def _with_adapters(self, adapters: list[AdapterRecord], tensors: Mapping[str, Tensor]) -> Plan:
        document = self.document.model_copy(update={"adapters": adapters})
        made = Plan(document, tensors, self.tokenizer_files, None, self.folder or self.weights_in)
        made.graph_code = self.graph_code
        return made

    def outputs_of(self, layer: LayerRecord) -> int:
        """Number of a layer's outputs in a run, which the adapter that is chosen may change."""
        record = self.adapter_record
        return layer.outputs if record is None else outputs_with(record, layer)

    def on(self, chip: Chip) -> Plan:
        """A copy of the plan on another chip of the same targets, such as one without an effect.

        Raises ``InputError`` for a chip that lacks a target, or whose tiles or mesh the plan does not fit.
        """
        if self.whole is not None:
            return self.whole.on(chip).adapted(self.adapter)
        document = self.document.model_copy(update={"chip": chip})
        try:
            check_plan(document, self.tensors)
        except PlanError as error:
            raise InputError(f"the plan does not fit the chip {chip.name}: {error}") from error
        return Plan(document, self.tensors, self.tokenizer_files, None, self.folder or self.weights_in)

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
        if self.adapters:
            rows["adapters"] = ", ".join(self.adapters)
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


def chosen_plan(plan: Any, adapter: str | None) -> Plan:
    """The plan with that adapter chosen, as it is for None. Raises ``InputError`` for anything but a plan with it."""
    check_is_plan(plan)
    chosen: Plan = plan if adapter is None else plan.adapted(adapter)
    return chosen


def load(folder: str | Path) -> Plan:
    """Read and validate the plan in a folder. Runs no code from it; weights stay in their file until they are used.

    Raises ``InputError`` if it is not one, whole and unchanged.
    """
    folder = Path(folder)
    return Plan(*files.read(folder), folder)
