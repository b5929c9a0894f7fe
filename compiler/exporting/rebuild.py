"""Layers of a plan of tilewright in AIHWKit-Lightning or AIHWKit: the same matrices, ranges and converters.

The plan's layers are in layers.json and layers.safetensors beside this file, which needs torch, safetensors, and
aihwkit-lightning or aihwkit:

    from rebuild import layers, put_into
    on_tiles = layers("aihwkit_lightning")          # or layers("aihwkit"), which has devices, noise and drift too
    layer = on_tiles["encoder.layer.0.output.dense"]
    put_into(tilewright.Session(tilewright.load("plan")), on_tiles)   # the whole network, run by the other tool
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

HERE = Path(__file__).parent


class OnTiles(nn.Module):
    """A layer: its inputs divided by the channel scale, a module of the other tool for each row-block, their sum."""

    def __init__(self, layer: dict[str, Any], tensors: dict[str, Tensor], block: Callable[..., nn.Module]) -> None:
        """Make the row-blocks of each use."""
        super().__init__()
        self.row_splits = layer["row_splits"]
        self.channel_scale, self.bias = tensors.get("channel_scale"), tensors.get("bias")
        parts = tensors["weight"].split(self.row_splits, dim=1)  # the channel scale is in it, and so are cuts
        self.uses = nn.ModuleList(nn.ModuleList(block(part, at) for part in parts) for at in layer["input_ranges"])

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        """Outputs [..., out] of inputs x [..., in]."""
        x = x if self.channel_scale is None else x / self.channel_scale
        blocks: Any = self.uses[use]
        parts = x.split(self.row_splits, dim=-1)
        total: Tensor = sum(block(part) for block, part in zip(blocks, parts, strict=True))
        return total if self.bias is None else total + self.bias


def layers(tool: str = "aihwkit_lightning", folder: Path = HERE) -> dict[str, OnTiles]:
    """All layers on tiles, by name, in evaluation mode. tool: aihwkit_lightning or aihwkit."""
    document = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
    stored = load_file(folder / "layers.safetensors")
    made = {}
    for name, layer in document["layers"].items():
        tensors = {key.rpartition("/")[2]: value for key, value in stored.items() if key.rpartition("/")[0] == name}
        block = {"aihwkit_lightning": lightning_block, "aihwkit": aihwkit_block}[tool]
        made[name] = OnTiles(layer, tensors, partial(block, document["targets"][layer["target"]])).eval()
    return made


def put_into(session: Any, on_tiles: dict[str, OnTiles]) -> None:
    """Let a session of the plan run these layers in place of its own."""
    document = json.loads((HERE / "layers.json").read_text(encoding="utf-8"))
    for name, layer in on_tiles.items():
        session.module.set_submodule(document["layers"][name]["called"], layer)


def steps(bits: int | None) -> float:
    """Steps of a converter of so many bits, as both tools count them; -1 for none."""
    return -1.0 if bits is None else 2.0**bits - 2


def lightning_block(target: dict[str, Any], weight: Tensor, input_range: float | None) -> nn.Module:
    """A row-block in AIHWKit-Lightning: converters alone."""
    from aihwkit_lightning.nn import AnalogLinear
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig, WeightClipType

    config = TorchInferenceRPUConfig()
    config.forward.inp_res, config.forward.out_res = steps(target["dac_bits"]), steps(target["adc_bits"])
    config.forward.out_bound = target["adc_bound"] or 0.0
    config.pre_post.input_range.enable, config.pre_post.input_range.dynamic = True, input_range is None
    if target["weight_scale"] == "per_column":  # the ADC of a column is relative to its own largest weight
        config.clip.type = WeightClipType.LAYER_GAUSSIAN_PER_CHANNEL
    module: Any = AnalogLinear(weight.shape[1], weight.shape[0], bias=False, rpu_config=config)
    module.set_weights(weight)
    if input_range is not None:
        module.input_range.data.fill_(input_range)
    return module.eval().requires_grad_(False)  # type: ignore[no-any-return]


def aihwkit_block(target: dict[str, Any], weight: Tensor, input_range: float | None) -> nn.Module:
    """A row-block in AIHWKit: converters and output noise and, where the device is PCM, its noise and drift.

    ``module.drift_analog_weights(seconds)`` programs it and lets it drift.
    """
    from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import TorchInferenceRPUConfig
    from aihwkit.simulator.parameters.enums import (
        BoundManagementType,
        NoiseManagementType,
        WeightClipType,
        WeightNoiseType,
        WeightRemapType,
    )

    config = TorchInferenceRPUConfig()
    forward, mapping = config.forward, config.mapping
    forward.inp_res, forward.out_res = steps(target["dac_bits"]), steps(target["adc_bits"])
    forward.inp_bound, forward.out_bound = 1.0, target["adc_bound"] or -1.0
    forward.out_noise, forward.w_noise = target["output_noise"], target["read_noise"]
    forward.w_noise_type = WeightNoiseType.PCM_READ if target["read_noise"] else WeightNoiseType.NONE
    is_dynamic = input_range is None
    forward.noise_management = NoiseManagementType.ABS_MAX if is_dynamic else NoiseManagementType.NONE
    forward.bound_management = BoundManagementType.NONE
    mapping.max_input_size = mapping.max_output_size = 0
    mapping.weight_scaling_omega, mapping.weight_scaling_columnwise = 1.0, target["weight_scale"] == "per_column"
    config.clip.type, config.remap.type = WeightClipType.NONE, WeightRemapType.NONE
    config.pre_post.input_range.enable = not is_dynamic
    config.drift_compensation = GlobalDriftCompensation() if target["is_compensated"] else None
    if target["pcm"] is not None:
        config.noise_model = PCMLikeNoiseModel(**target["pcm"])
    module: Any = AnalogLinear(weight.shape[1], weight.shape[0], bias=False, rpu_config=config)
    module.set_weights(weight, None)
    if not is_dynamic:
        for tile in module.analog_tiles():
            tile.input_range.data.fill_(input_range)
    return module.eval().requires_grad_(False)  # type: ignore[no-any-return]


if __name__ == "__main__":
    with torch.no_grad():
        for layer_name, layer_module in layers().items():
            print(f"{layer_name}: {layer_module}")
