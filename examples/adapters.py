"""Two tasks on one chip: a plan with two small adapters, written by hand, which run on the same programmed devices."""

import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

import tilewright

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 3)).eval()
samples = torch.randn(32, 64)
work = Path(tempfile.mkdtemp())


def write_adapter(name: str, classes: int) -> Path:
    """A folder as peft's save_pretrained makes it: rank 4 beside the first layer, and a classifier of its own."""
    tensors = {
        "base_model.model.0.lora_A.weight": torch.randn(4, 64) / 8,
        "base_model.model.0.lora_B.weight": torch.randn(96, 4) / 8,
        "base_model.model.2.weight": torch.randn(classes, 96) / 10,
        "base_model.model.2.bias": torch.zeros(classes),
    }
    folder = work / name
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "modules_to_save": ["2"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


adapters = {"colours": write_adapter("colours", 3), "shapes": write_adapter("shapes", 5)}
plan = tilewright.compile(model, example_inputs=samples, adapters=adapters, name="two tasks")
plan = tilewright.load(plan.save(work / "plan"))

session = tilewright.Session(plan, seed=0).advance_to("1mo")  # programmed once
for name in plan.adapters:
    outputs = session.use_adapter(name)(input=samples)["output"]
    exact = tilewright.Session(plan, ideal=True, adapter=name)(input=samples)["output"]
    error = (outputs - exact).norm() / exact.norm()
    cost = tilewright.estimate_cost(plan, adapter=name)
    share = cost.components["adapters"] / cost.energy_nj
    print(
        f"{name}: {outputs.shape[1]} classes, relative error {error:.3f}, the adapter takes {share:.0%} of the energy"
    )

again = write_adapter("shapes_retrained", 5)
plan.with_adapter("shapes", again, replace=True).save(work / "plan", overwrite=True)  # weights.safetensors stays
print(tilewright.load(work / "plan").adapters)
