"""Beside IBM's simulators: one layer of 768 x 3072 and BERT-base's shape, each with the effects that both can simulate.

    OMP_WAIT_POLICY=passive python benchmarks/peers.py [--runs 5]

Needs aihwkit and aihwkit-lightning (`make test-peers` installs them). aihwkit's tiles in C++ do not run beside 2.13;
its tiles in torch do, without short-term read noise. Lightning has converters and output noise, and no devices that
drift. CrossSim is not on PyPI. Times are in parts of torch's float32 eager pass of the same layer or model.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from timing import compared, interleaved
from torch import nn
from transformers import BertConfig, BertModel

import tilewright
from tilewright.targets.loading import load_target

BATCH, LENGTH = 8, 128
DAY = 86400.0


def aihwkit_of(model: nn.Module) -> Any:
    """The model on aihwkit's torch tiles: PCM devices, global drift compensation, 8-bit converters, output noise."""
    from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.noise_model, config.drift_compensation = PCMLikeNoiseModel(g_max=25.0), GlobalDriftCompensation()
    config.forward.inp_res = config.forward.out_res = 1 / 254
    config.forward.out_bound, config.forward.out_noise = 10.0, 0.04
    config.mapping.max_input_size = config.mapping.max_output_size = 512
    config.mapping.weight_scaling_columnwise, config.mapping.weight_scaling_omega = True, 1.0
    config.pre_post.input_range.enable = True
    return convert_to_analog(copy.deepcopy(model), config).eval()


def lightning_of(model: nn.Module) -> Any:
    """The model on Lightning's tiles: 8-bit converters with ranges, output noise."""
    from aihwkit_lightning.nn.conversion import convert_to_analog
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.forward.inp_res = config.forward.out_res = 254.0
    config.forward.out_bound, config.forward.out_noise = 10.0, 0.04
    config.mapping.max_input_size = 512
    config.pre_post.input_range.enable = True
    return convert_to_analog(copy.deepcopy(model), config).eval()


def calls_of(model: nn.Module, plan_of: Callable[..., tilewright.Plan], inputs: dict[str, Any]) -> dict[str, Any]:
    """A pass of each simulator, and programming with drift to a day where there are devices."""
    everything = tilewright.Session(plan_of(load_target("pcm-512"))).advance_to("1d")
    same = load_target("pcm-512", {"tile.short_term_read_noise": 0})
    as_aihwkit = tilewright.Session(plan_of(same)).advance_to("1d")
    theirs, light = aihwkit_of(model), lightning_of(model)

    def programmed() -> None:
        theirs.program_analog_weights()
        theirs.drift_analog_weights(DAY)

    programmed()
    plan = everything.plan
    return {
        "float32": lambda: model(*inputs.values()),
        "tilewright, all effects": lambda: everything(inputs),
        "tilewright, as aihwkit": lambda: as_aihwkit(inputs),
        "aihwkit, no read noise": lambda: theirs(*inputs.values()),
        "Lightning, converters and output noise": lambda: light(*inputs.values()),
        "tilewright, program and drift": lambda: tilewright.Session(plan).advance_to("1d"),
        "aihwkit, program and drift": programmed,
    }


@torch.no_grad()
def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    torch.manual_seed(0)
    result = {}

    layer, x = nn.Linear(768, 3072).eval(), torch.randn(BATCH, LENGTH, 768)

    def plan_of_layer(target: Any) -> tilewright.Plan:
        return tilewright.compile(layer, target, example_inputs=x)

    calls = calls_of(layer, plan_of_layer, {"input": x})
    result["768 x 3072"] = compared(interleaved(calls, runs), "float32")

    model = BertModel(BertConfig(architectures=["BertModel"])).eval()
    tokens = {"input_ids": torch.randint(0, 1000, (BATCH, LENGTH))}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)

        def plan_of_model(target: Any) -> tilewright.Plan:
            return tilewright.compile(folder, target)

        result["BERT-base"] = compared(interleaved(calls_of(model, plan_of_model, tokens), runs), "float32")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
