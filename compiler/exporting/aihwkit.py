"""Export of a plan's layers on tiles for AIHWKit-Lightning and AIHWKit: a script that rebuilds them, and tensors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.engineering import counted
from tilewright.compiler.report.finite_json import json_text
from tilewright.runtime.chip.programming import weight_scale
from tilewright.runtime.plan.names import bias_key, channel_scale_key, layer_path, weight_key
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.runtime.storage.atomic_folder import FolderKind, atomic_folder, check_destination
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.storage.weights_file import write_weights
from tilewright.targets.errors import InputError
from tilewright.targets.paths import as_path
from tilewright.targets.spec import AnalogTarget, Converter
from tilewright.targets.spec.device import PcmDevice

SCRIPT, DOCUMENT, TENSORS = "rebuild.py", "layers.json", "layers.safetensors"
KIND = FolderKind(
    "layers for AIHWKit", DOCUMENT, frozenset({"layers", "targets", "notes"}), lambda _: {SCRIPT, TENSORS}
)


@dataclass(frozen=True)
class Exported:
    """A folder with a plan's layers for another tool.

    folder: where it is. layers: names of the layers in it. notes: what the other tool has no counterpart of, and
    layers that are left out; in sentences.
    """

    folder: Path
    layers: list[str]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Fields, for ``json.dumps``."""
        return {"folder": str(self.folder), "layers": self.layers, "notes": self.notes}


def export_layers(plan: Plan, folder: str | Path, *, overwrite: bool = False) -> Exported:
    """Write a plan's layers on tiles as a folder: layers.safetensors, layers.json, and rebuild.py.

    The script makes them modules of AIHWKit-Lightning or AIHWKit, with the same matrices, input ranges, splits and
    converters, to compare with. Raises ``InputError`` for a plan without weights or without layers on tiles, and for a
    folder that is there already, unless it may be replaced and holds such layers.
    """
    check_is_plan(plan)
    plan.require_weights()
    folder = as_path(folder, "folder")
    check_destination(folder, KIND, overwrite=overwrite)
    document = plan.document
    on_tiles = [layer for layer in document.layers if layer.tiles]
    if not on_tiles:
        raise InputError(f"the plan of {document.model.name!r} has no layer on tiles to export")
    targets = {name: document.chip.target(name) for name in dict.fromkeys(layer.target for layer in on_tiles)}
    analog = {name: target for name, target in targets.items() if isinstance(target, AnalogTarget)}
    notes = [note for name, target in analog.items() for note in _notes(name, target)]
    left = [layer.name for layer in document.layers if not layer.tiles]
    if left:
        first = left[0] + (", ..." if len(left) > 1 else "")
        notes.append(f"{counted(len(left), 'layer')} on digital units left out ({first})")
    content = {
        "model": document.model.name,
        "targets": {name: _target(target) for name, target in analog.items()},
        "layers": {layer.name: _layer(layer) for layer in on_tiles},
        "notes": notes,
    }
    tensors = {key: tensor for layer in on_tiles for key, tensor in _tensors(plan, layer, analog[layer.target])}
    with atomic_folder(folder, KIND, overwrite=overwrite) as unfinished:
        (unfinished / DOCUMENT).write_text(json_text(content) + "\n", encoding="utf-8")
        write_weights(unfinished / TENSORS, tensors)
        shutil.copyfile(Path(__file__).with_name(SCRIPT), unfinished / SCRIPT)
    return Exported(folder, [layer.name for layer in on_tiles], notes)


def _layer(layer: LayerRecord) -> dict[str, Any]:
    """Record of a layer for the script. called: path of the module in the plan's graph."""
    option = layer.option
    return {
        "called": layer_path(layer.name),
        "target": layer.target,
        "row_splits": option.row_splits,
        "input_ranges": option.input_ranges,
    }


def _target(target: AnalogTarget) -> dict[str, Any]:
    tile, device = target.tile, target.device
    pcm = None
    if isinstance(device, PcmDevice):
        noise = device.programming
        pcm = {
            "g_max": float(device.conductance_max),
            "prog_coeff": [float(noise.constant), float(noise.linear), float(noise.quadratic)],
            "prog_noise_scale": float(noise.scale),
            "read_noise_scale": float(device.accumulated_noise.scale),
            "t_0": float(device.drift.reference_time),
            "t_read": float(device.accumulated_noise.read_time),
        }
    return {
        "dac_bits": None if tile.dac is None else int(tile.dac.bits),
        "adc_bits": None if tile.adc is None else int(tile.adc.bits),
        "adc_bound": None if tile.adc is None else float(tile.adc.bound),
        "output_noise": tile.output_noise_deviation,
        "read_noise": float(tile.short_term_read_noise) if tile.read_noise_law == "conductance" else 0.0,
        "weight_scale": tile.weight_scale,
        "is_compensated": target.drift_compensation == "global",
        "pcm": pcm,
    }


def _notes(name: str, target: AnalogTarget) -> Iterator[str]:
    """Sentences on what of a target the other tools lack."""
    tile, compensation, devices = target.tile, target.drift_compensation, target.device.statistics
    lacking = {
        "offsets or curves of converters": any(map(_is_bent, (tile.dac, tile.adc))),
        "IR drop": tile.ir_drop is not None and tile.ir_drop.enabled,
        "scales in bfloat16": tile.scale_precision == "bfloat16",
        "readings that are repeated with a wider range": bool(tile.doublings),
        "stuck devices": target.stuck_devices is not None,
        f"{compensation} compensation": compensation in ("per_column", "affine"),
        f"devices with {devices} statistics": devices in ("ftj", "gaussian"),
        "read noise of one size for all weights": tile.read_noise_law == "constant"
        and bool(tile.short_term_read_noise),
        f"programming by {target.programming.name}": target.programming.name != "direct",
    }
    what = [words for words, is_there in lacking.items() if is_there]
    if what:
        yield f"{name} has {', '.join(what)}, which the rebuilt layers lack"
    yield f"in AIHWKit-Lightning, {name} is converters alone: it has no devices and no noise in evaluation"


def _is_bent(converter: Converter | None) -> bool:
    return converter is not None and bool(converter.offset or converter.nonlinearity)


@torch.inference_mode()
def _tensors(plan: Plan, layer: LayerRecord, target: AnalogTarget) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a layer by name: its weight as tiles hold it, with the channel scale and cuts in it."""
    option, weight = layer.option, used(plan.tensors[weight_key(layer.name)])
    scale = plan.tensors[channel_scale_key(layer.name)] if option.has_channel_scale else None
    weight = weight.clone() if scale is None else weight * scale
    if option.clip_deviations is not None:
        for part in weight.split(option.row_splits, dim=1):
            largest = weight_scale(part, option.column_splits, target.tile.weight_scale, option.clip_deviations)
            part.clamp_(-largest[:, None], largest[:, None])
    yield f"{layer.name}/weight", weight
    if layer.has_bias:
        yield f"{layer.name}/bias", plan.tensors[bias_key(layer.name)]
    if scale is not None:
        yield f"{layer.name}/channel_scale", scale
