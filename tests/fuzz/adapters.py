"""Folders of adapters with changed configurations and weights, beside a plan, through a session."""

import contextlib
import json
import random
import struct
from functools import cache
from typing import Any

import tilewright
from tests import lora_adapters
from tests.fuzz import hostile, trees
from tests.fuzz.program import refused
from tests.fuzz.weights import weights
from tilewright.targets.errors import InputError

NUMBERS = (0, 1, 2, 3, -1, 10**9, 2**40, 1.5, 1e308, float("nan"), float("inf"))
VALUES: dict[str, Any] = {
    "r": NUMBERS,
    "lora_alpha": NUMBERS,
    "peft_type": ("LORA", "IA3", "", None),
    "bias": ("none", "all", "lora_only", True),
    "use_rslora": (True, False, "yes"),
    "use_dora": (True, False),
    "rank_pattern": ({"up": 3}, {"(a+)+$": 2}, {".*": 10**9}, []),
    "alpha_pattern": ({"up": 3}, {"x" * 500: 1.0}, {".*": -1}),
    "modules_to_save": (["classifier"], ["norm"], [[]], "classifier"),
    "target_modules": (["up"], ".*", "(a|a)*b", None),
    "fan_in_fan_out": (True, "x"),
    "base_model_name_or_path": ("../../x", "\x1b[31m", None),
}
"""Keys of a configuration, and what a stranger may write there."""


@cache
def _plan():
    return tilewright.compile(lora_adapters.Classifier().eval(), example_inputs={"x": lora_adapters.inputs()})


def warm():
    _plan()


def run(seed, folder):
    choose = random.Random(f"adapters {seed}")
    tensors = lora_adapters.beside_all()
    if choose.random() < 0.5:
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("classifier")}
        tensors |= lora_adapters.head(choose.choice((2, 3)))
    for name in choose.sample(sorted(tensors), choose.choice((0, 0, 0, 0, 0, 1, 2))):
        tensors[choose.choice((name + "x", "x." + name, name.upper()))] = tensors.pop(name)
    lora_adapters.write(folder, tensors)
    for _ in range(choose.choice((1, 1, 2))):
        with contextlib.suppress(
            ValueError, TypeError, KeyError, OSError, struct.error
        ):  # of a file that one before damaged
            choose.choices(list(CHANGES), list(CHANGES.values()))[0](folder, choose)
    task: Any = choose.choice(("task",) * 20 + ("", "../x", "x" * 100, 1, None))
    try:
        plan = _plan().with_adapter(task, folder)
        session = tilewright.Session(plan, seed=0, adapter=task)
        session.run({"x": lora_adapters.inputs(2)})
        plan.save(folder / "plan")
        tilewright.load(folder / "plan")
    except InputError as error:
        refused(error)
        return "refused"
    return "ran"


def _config(folder, choose):
    path = folder / "adapter_config.json"
    content = json.loads(path.read_text())
    if choose.random() < 0.7:
        key = choose.choice(list(VALUES))
        content[key] = choose.choice((*VALUES[key], hostile.anything(choose)))
    else:
        trees.edit(content, choose)
    path.write_text(json.dumps(content), errors="surrogatepass")


def _weights(folder, choose):
    path = folder / "adapter_model.safetensors"
    path.write_bytes(weights(path.read_bytes(), choose))


def _file(folder, choose):
    """A file that is missing, empty, a folder or damaged."""
    path = folder / choose.choice(("adapter_config.json", "adapter_model.safetensors"))
    if not path.is_file():
        return
    content = path.read_bytes()
    path.unlink()
    match choose.randrange(4):
        case 0:
            pass
        case 1:
            path.write_bytes(b"")
        case 2:
            path.mkdir()
        case 3:
            path.write_bytes(trees.damage(content, choose))


CHANGES = {_config: 65, _weights: 30, _file: 5}
