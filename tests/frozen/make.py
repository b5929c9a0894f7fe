"""Frozen plans, made by the code of the releases that wrote them.

Each schema version of plan.json has a folder, v1 to v11, with plans as the last commit that wrote this version saved
them. Beside each, NAME.safetensors holds inputs, and the outputs that the sessions of that commit gave. To see how they
came about, check a commit out and give its folder to this script, which runs that code and nothing of today's:

    git worktree add --detach ../release a69a1ab
    .venv/bin/python tests/frozen/make.py ../release

    version   last commit that wrote it
    1         a69a1ab
    2         786eade
    3         d2faa2f
    4         ca65996
    5         4ea9a66
    6         9f2b0ac
    7         7961e31
    8         7cc3a80
    9         182ae46
    10        a58f69f
    11        the newest when this was written

It was run with torch 2.13, for versions 1 to 6 on a processor with AVX-512, then on one with AVX2.
Plans are not made again when a test of them fails: plans of
these versions lie on people's disks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml
from networks import (  # type: ignore[import-not-found]
    Attention,
    Recurrent,
    images,
    sentence_ids,
    steps,
    token_ids,
    write_adapter,
    write_convolution,
    write_sentences,
)
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = Path(__file__).parent
CHIP = HERE / "chip"
SEED = 3
TIMES = ("0s", "1s", "1mo")
Made = tuple[Any, dict[str, Tensor]]
"""A plan, and inputs for it; none where it cannot be run."""


def use_release(folder: Path, scratch: Path) -> Any:
    """``tilewright`` of the release whose working tree this is."""
    package, root = folder / "src" / "tilewright", folder / "src"
    if not package.is_dir():  # before version 7 the package had no root of its own
        package, root = scratch / "tilewright", scratch
        package.mkdir()
        for room in ("compiler", "runtime", "targets"):
            (package / room).symlink_to(folder / room)
        (package / "__init__.py").symlink_to(folder / "compiler" / "facade" / "__init__.py")
    sys.path.insert(0, str(root))
    release = import_module("tilewright")
    assert Path(release.__file__ or "").parent == package, f"{release.__file__} is another tilewright"
    return release


def small_target(release: Any, version: int, name: str) -> Any:
    """The target of that name in ``chip/``; before version 3 there were no such files, and all are pcm-512 in small."""
    if version >= 3:
        return CHIP / f"{name}.yaml"
    library = Path(import_module("tilewright.targets").__file__ or "").parent / "library"
    content = yaml.safe_load((library / "pcm-512.yaml").read_text())
    content |= {"name": "small-pcm", "summary": "pcm-512 in tiles of 16 x 16, few to a chip."}
    sizes = {"tile": {"rows": 16, "columns": 16}, "chip": {"mesh_rows": 3, "mesh_columns": 2}}
    for part, values in sizes.items():
        for key, value in values.items():
            content[part][key] |= {"value": value, "source": "test"}
    return release.Target.model_validate(content)


def attention(release: Any, version: int, _scratch: Path) -> Made:
    """A torch network on all that a chip has; from version 4 on one of its layers was assigned by its figures."""
    network, inputs = Attention(halves=version >= 6), {"ids": token_ids(3, 4)}
    given = {"example_inputs": inputs, "name": "attention", "calibration": {"ids": token_ids(8, 6)}}
    target = small_target(release, version, "small-chip")
    if version < 3:
        return release.compile(network, target, **given), inputs
    assign = {"query_key_value": "small-pcm", "mixed": "small-rram"}
    if version == 3:
        return release.compile(network, target, assign=assign | {"words": "digital-int8"}, **given), inputs
    plan = release.compile(network, target, assign=assign, **given)
    sensitivity = release.measure_sensitivity(plan, ["gradient"], inputs={"ids": token_ids(4, 6)}, repeats=1)
    return release.assign(plan, sensitivity, budgets={"tiles": 20}).plan, inputs


def convolution(release: Any, version: int, scratch: Path) -> Made:
    """An ONNX network, whose input has a name that is no plain word."""
    model = write_convolution(scratch / "convolution.onnx")
    target = small_target(release, version, "small-rram")
    plan = release.compile(model, target, calibration={"image/in:0": images(8)}, check=True)
    return plan, {plan.document.inputs[0].name: images(3)}


def sentences(release: Any, version: int, scratch: Path) -> Made:
    """A HuggingFace folder, run with its mask left to the default."""
    folder = write_sentences(scratch / "sentences")
    target = small_target(release, version, "small-rram")
    plan = release.compile(folder, target, calibration=["a chip drifts slowly", "tiles hold weights"])
    return plan, {"input_ids": sentence_ids()}


def shapes(release: Any, version: int, _scratch: Path) -> Made:
    """A network without weights."""
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(40, 24), nn.ReLU(), nn.Linear(24, 4)).eval()
    target = small_target(release, version, "small-pcm")
    return release.compile(network, target, example_inputs=torch.zeros(2, 40), name="shapes"), {}


def adapted(release: Any, version: int, scratch: Path) -> Made:
    """The torch network with an adapter: rank 2 beside two parts of a layer, and a digital matrix in place of one."""
    plan, inputs = attention(release, version, scratch)
    return plan.with_adapter("first", write_adapter(scratch / "adapter")), inputs


def recurrent(release: Any, version: int, _scratch: Path) -> Made:
    """A network with loops."""
    inputs = {"x": steps(3, 5)}
    given = {"example_inputs": inputs, "name": "recurrent", "calibration": {"x": steps(6, 7)}}
    return release.compile(Recurrent(), small_target(release, version, "small-pcm"), **given), inputs


PLANS: dict[Callable[[Any, int, Path], Made], tuple[int, ...]] = {
    attention: (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    convolution: (2, 3, 4, 6, 8, 9, 10, 11),
    sentences: (1, 6, 8, 9, 10, 11),
    shapes: (5,),
    adapted: (10, 11),
    recurrent: (11,),
}
"""Which versions there are of each."""


def run(release: Any, plan: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inputs and outputs, in full precision and on a chip at several times; with the first adapter, if there is one."""
    if getattr(plan, "adapters", []):
        plan = plan.adapted(plan.adapters[0])
    found = {f"inputs.{name}": value for name, value in inputs.items()}
    found |= {f"ideal.{name}": value for name, value in release.Session(plan, ideal=True)(inputs).items()}
    session = release.Session(plan, seed=SEED)
    for time in TIMES:
        found |= {f"{time}.{name}": value for name, value in session.advance_to(time)(inputs).items()}
    return {name: found[name].contiguous() for name in sorted(found)}


def main(folder: Path, scratch: Path) -> None:
    """Make the plans of the release whose working tree this is."""
    release = use_release(folder, scratch)
    records = "tilewright.runtime.plan.records" if (folder / "src").is_dir() else "tilewright.runtime.plan"
    version = import_module(records).SCHEMA_VERSION
    commit = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    for make, versions in PLANS.items():
        if version not in versions:
            continue
        plan, inputs = make(release, version, scratch)
        place = HERE / f"v{version}" / make.__name__
        place.parent.mkdir(exist_ok=True)
        plan.save(place, overwrite=True)
        if inputs:
            tensors = run(release, release.load(place), inputs)
            content = b"".join(name.encode() + value.numpy().tobytes() for name, value in tensors.items())
            how = {"commit": commit.stdout.strip(), "torch": torch.__version__, "sha256": sha256(content).hexdigest()}
            how["processor"] = torch.backends.cpu.get_cpu_capability()
            save_file(tensors, place.with_suffix(".safetensors"), metadata={"made": json.dumps(how)})


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]).resolve(), Path(scratch))
