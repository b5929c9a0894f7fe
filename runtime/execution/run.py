"""run(): the outputs of a plan for many samples, a batch at a time, on one simulated chip or several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.inputs import prepare_inputs, sample_axes, some_samples
from tilewright.runtime.execution.nonfinite_origin import NonfiniteOrigin
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.plan import Plan, chosen_plan
from tilewright.runtime.storage.arrays import write_arrays
from tilewright.runtime.storage.atomic_file import check_output_file
from tilewright.runtime.storage.memory_budget import check_memory
from tilewright.targets.limits import check_flags, check_repeats, check_seed, check_whole
from tilewright.targets.times import parse_time

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Run:
    """Outputs of a plan for the same samples, by the model's names.

    outputs: of each chip [chips, ...]. reference: those of the digital reference [...]. ideal: True if nothing but the
    reference was run; the chips are then copies of it. seed, time: of the chips. adapter: the plan's that ran beside
    them; None for the base alone. nonfinite_origin: where the first NaN or infinity arose; None if all outputs are
    finite. notes: sentences on what a seed names, none for most plans.

    repeats: number of chips.
    """

    outputs: Arrays
    reference: Arrays
    ideal: bool
    seed: int
    repeats: int
    time: str | float
    nonfinite_origin: NonfiniteOrigin | None
    adapter: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def nonfinite(self) -> int:
        """Number of NaNs and infinities in the outputs of all chips."""
        return sum(not_finite({name: chip}) for name, chips in self.outputs.items() for chip in chips)

    def relative_error(self, name: str) -> float:
        """Error of one output ‖y - ŷ‖ / ‖y‖ over all chips, of what is finite in both."""
        exact = self.reference[name].astype(np.float64)
        norms, apart = [], []
        for chip in self.outputs[name]:
            found = chip.astype(np.float64)
            finite = np.isfinite(exact) & np.isfinite(found)
            norms.append(float(np.linalg.norm(exact[finite])))
            apart.append(float(np.linalg.norm(found[finite] - exact[finite])))
        norm = math.hypot(*norms)
        return math.hypot(*apart) / norm if norm else 0.0

    def save(self, file: str | Path, *, overwrite: bool = False) -> Path:
        """Write the outputs as an .npz file, whole or not at all; several chips are the first axis of its arrays.

        Raises ``InputError`` if it is there already, unless it may be replaced.
        """
        file = Path(file)
        check_output_file(file, overwrite=overwrite)
        several = self.repeats > 1
        write_arrays(file, {name: chips if several else chips[0] for name, chips in self.outputs.items()})
        return file

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``: what was run and what came out, without the outputs' numbers."""
        chip = {"seed": self.seed, "repeats": self.repeats, "time": self.time}
        chip["seconds_since_programming"] = parse_time(self.time)
        origin = self.nonfinite_origin
        return {
            "ideal": self.ideal,
            "adapter": self.adapter,
            "chip": None if self.ideal else chip,
            "outputs": [self._line(name) for name in self.outputs],
            "nonfinite": self.nonfinite,
            "nonfinite_origin": asdict(origin) if origin is not None else None,
            "notes": self.notes,
        }

    def _line(self, name: str) -> dict[str, Any]:
        chips = self.outputs[name]
        return {
            "name": name,
            "dtype": str(chips.dtype),
            "shape": list(chips.shape if self.repeats > 1 else chips.shape[1:]),
            "relative_error": self.relative_error(name),
            "nonfinite": sum(not_finite({name: chip}) for chip in chips),
        }

    def __repr__(self) -> str:
        """A line for a terminal."""
        what = "digital reference" if self.ideal else f"{self.repeats} chip(s) of seed {self.seed} at {self.time}"
        errors = ", ".join(f"{name} {self.relative_error(name):.3g}" for name in list(self.outputs)[:3])
        return f"Run({what}; relative errors: {errors}{', …' if len(self.outputs) > 3 else ''})"


def run(
    plan: Plan,
    inputs: Mapping[str, Any],
    *,
    time: str | float = "1s",
    seed: int = 0,
    repeats: int = 1,
    adapter: str | None = None,
    ideal: bool = False,
    batch_size: int = 64,
    drift_compensation: bool = True,
    layer_by_layer: bool = False,
    conductances: Literal["float32", "bfloat16"] = "float32",
    on_chip: OnProgress | None = None,
) -> Run:
    """Run a plan on ``repeats`` freshly programmed chips, and beside it the digital reference.

    inputs: tensors or arrays by the model's names, samples along the first dimension. time: since programming, in
    seconds or as text ("1h", "1mo"). seed: names the chips. adapter: one of the plan's, which changes nothing of the
    chips; the plan's own choice if None. ideal: run the digital reference alone. batch_size: samples
    at once, which change no result. drift_compensation, layer_by_layer, conductances: see ``Session``. on_chip: called
    before each chip with (done, of how many, what).

    Raises ``InputError`` for inputs that do not fit, numbers out of range, and outputs larger than memory.
    """
    plan = chosen_plan(plan, adapter)
    check_repeats(repeats)
    check_whole("batch size", batch_size)
    check_seed(seed)
    check_flags(ideal=ideal, drift_compensation=drift_compensation, layer_by_layer=layer_by_layer)
    seconds = parse_time(time)
    prepared = prepare_inputs(plan.document, inputs)
    exact = Session(plan, ideal=True)
    reference = as_arrays(run_in_batches(exact, prepared, batch_size))
    check_memory(repeats * sum(value.nbytes for value in reference.values()), f"outputs of {repeats} repeats")
    if ideal:
        origin = find_nonfinite(exact, prepared, batch_size) if not_finite(reference) else None
        copies = {name: np.broadcast_to(value, (repeats, *value.shape)) for name, value in reference.items()}
        return Run(copies, reference, True, seed, repeats, time, origin, plan.adapter)
    origin = None
    outputs = {name: np.empty((repeats, *value.shape), value.dtype) for name, value in reference.items()}
    for repeat in range(repeats):
        if on_chip:
            on_chip(repeat, repeats, f"chip {repeat}")
        session = Session(
            plan,
            seed,
            repeat=repeat,
            drift_compensation=drift_compensation,
            conductances=conductances,
            layer_by_layer=layer_by_layer,
        )
        ran = as_arrays(run_in_batches(session.advance_to(seconds), prepared, batch_size))
        for name, value in ran.items():
            outputs[name][repeat] = value
        if origin is None and not_finite(ran):
            origin = find_nonfinite(session, prepared, batch_size)
    return Run(outputs, reference, False, seed, repeats, time, origin, plan.adapter, plan.notes_on_seeds)


def as_arrays(outputs: Mapping[str, Tensor]) -> Arrays:
    """Tensors as numpy arrays: bfloat16, which numpy lacks, as float32."""
    return {
        name: (value.float() if value.dtype == torch.bfloat16 else value).numpy() for name, value in outputs.items()
    }


def not_finite(outputs: Arrays) -> int:
    """Number of NaNs and infinities in the outputs of one chip."""
    return sum(int((~np.isfinite(value)).sum()) for value in outputs.values())


def run_in_batches(session: Executable, inputs: Mapping[str, Tensor], batch_size: int) -> dict[str, Tensor]:
    """The outputs for all samples, in their order. Samples are numbered from 0: the batch size does not matter.

    inputs: complete and checked, see ``prepare_inputs``. A plan whose batch is fixed runs them at once.
    """
    parts = [session.run(batch, samples=samples) for batch, samples in _batches(session, inputs, batch_size)]
    if len(parts) == 1:
        return parts[0]
    axes = sample_axes(session.plan.document.outputs)
    return {name: torch.cat([part[name] for part in parts], axes[name]) for name in parts[0]}


def find_nonfinite(session: Executable, inputs: Mapping[str, Tensor], batch_size: int) -> NonfiniteOrigin | None:
    """Origin of the first NaN or infinity of ``run_in_batches``, see ``Executable.find_nonfinite``."""
    found = (session.find_nonfinite(batch, samples=samples) for batch, samples in _batches(session, inputs, batch_size))
    return next((origin for origin in found if origin is not None), None)


def _batches(
    session: Executable, inputs: Mapping[str, Tensor], batch_size: int
) -> Iterator[tuple[Mapping[str, Tensor], range | None]]:
    """Batches: inputs of some samples, and these samples' numbers; everything and None where the batch is fixed."""
    document = session.plan.document
    axes = sample_axes(document.inputs)
    if not axes or any(record.sample_axis is None for record in document.outputs):
        yield inputs, None
        return
    name, axis = next(iter(axes.items()))
    count = inputs[name].shape[axis]
    for start in range(0, count, batch_size):
        stop = min(start + batch_size, count)
        yield some_samples(inputs, axes, range(start, stop)), range(start, stop)
