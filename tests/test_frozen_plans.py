"""Plans that older releases saved are read by today's code, and run to the same bits.

tests/frozen/make.py says which commits made them, and how. A seed names the same chip in all plans of one version of
random numbers, on every processor, with kernels and without; those of version 1 are other chips of the same law.
"""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import tilewright
from tests.kernel_sets import forced
from tilewright.runtime.chip.kernels import native
from tilewright.targets.draws_version import VERSION

TESTS = Path(__file__).parent
PLANS = sorted(path.parent for path in TESTS.glob("frozen/v*/*/plan.json"))
TODAY = json.loads((TESTS.parent / "docs" / "plan.schema.json").read_text())["properties"]["schema_version"]["const"]
SEED, TIMES = 3, ("0s", "1s", "1mo")
NOT_ALL_EXACT = ("sentences", "recurrent")
"""Networks with floats between their layers that differ by a rounding between processors: norms, sigmoids."""
IDEAL = 1e-6
ANOTHER_PROCESSOR = 0.02
"""Parts of the largest output: a converter's step here and there. Another chip is several times as far."""
OTHER_CHIPS = 3.0
"""Ratio of the errors of two chips of the same statistics that is allowed either way, over all of a plan's outputs."""


def of(plans):
    return pytest.mark.parametrize("folder", plans, ids=lambda folder: f"{folder.parent.name}-{folder.name}")


def written(folder):
    """plan.json as it is in the folder."""
    return json.loads((folder / "plan.json").read_text())


def kept(folder):
    """Inputs by name, and what the release made of them: outputs by time and name."""
    with safe_open(folder.with_suffix(".safetensors"), "pt") as file:
        tensors, how = (
            {name: file.get_tensor(name) for name in sorted(file.keys())},
            json.loads(file.metadata()["made"]),
        )
    content = b"".join(name.encode() + value.numpy().tobytes() for name, value in tensors.items())
    assert sha256(content).hexdigest() == how["sha256"], f"the file of {how['commit']} was changed"
    inputs = {name.removeprefix("inputs."): value for name, value in tensors.items() if name.startswith("inputs.")}
    return inputs, {name: value for name, value in tensors.items() if not name.startswith("inputs.")}


def run(plan, inputs):
    plan = plan.adapted(plan.adapters[0]) if plan.adapters else plan
    found = {f"ideal.{name}": value for name, value in tilewright.Session(plan, ideal=True)(inputs).items()}
    session = tilewright.Session(plan, seed=SEED)
    for time in TIMES:
        found |= {f"{time}.{name}": value for name, value in session.advance_to(time)(inputs).items()}
    return found


def allowed(folder, name):
    """Largest difference of an output, in parts of the largest number of that output."""
    if name.startswith("ideal."):
        return IDEAL
    return ANOTHER_PROCESSOR if folder.name in NOT_ALL_EXACT else 0.0


RUNNABLE = of([folder for folder in PLANS if written(folder)["weights"]])


def test_every_older_version_is_here():
    assert {written(folder)["schema_version"] for folder in PLANS} >= set(range(1, TODAY))


@of(PLANS)
def test_it_is_a_plan_of_today_once_it_is_loaded(folder):
    assert f"v{written(folder)['schema_version']}" == folder.parent.name
    assert tilewright.load(folder).document.schema_version == TODAY  # loading checks that it agrees with itself


@RUNNABLE
def test_it_runs_to_the_outputs_of_its_release(folder):
    inputs, wanted = kept(folder)
    found = run(tilewright.load(folder), inputs)
    assert set(found) == set(wanted)
    is_same_chip = tilewright.load(folder).document.draws == VERSION
    for name, value in wanted.items():
        if not (is_same_chip or name.startswith("ideal.")):
            continue
        difference = float((found[name] - value).abs().max() / value.abs().max())
        assert difference <= allowed(folder, name), f"{name} differs by {difference}:\n{found[name]}\nonce\n{value}"


def errors(outputs, time):
    """Error of a chip at a time, in parts of the ideal outputs."""
    names = [name.removeprefix("ideal.") for name in outputs if name.startswith("ideal.")]
    ideal = torch.cat([outputs[f"ideal.{name}"].flatten() for name in names]).double()
    return float(
        (torch.cat([outputs[f"{time}.{name}"].flatten() for name in names]).double() - ideal).norm() / ideal.norm()
    )


@of([folder for folder in PLANS if written(folder)["weights"] and written(folder).get("draws", 1) < VERSION])
def test_chips_of_older_random_numbers_have_the_same_statistics(folder):
    inputs, wanted = kept(folder)
    found = run(tilewright.load(folder), inputs)
    for time in TIMES:
        assert 1 / OTHER_CHIPS < errors(found, time) / errors(wanted, time) < OTHER_CHIPS
    assert any(
        "version 1 of the random numbers" in warning
        for warning in tilewright.summarise(tilewright.load(folder)).warnings
    )


@of([folder for folder in PLANS if folder.parent.name == f"v{TODAY}"])
@pytest.mark.parametrize("kernels", [native.TORCH, *native.SETS])
def test_other_kernels_make_the_same_bits(folder, kernels):
    with forced(kernels):
        test_it_runs_to_the_outputs_of_its_release(folder)


def test_other_instructions_of_torch_make_the_same_bits():
    """A process whose torch takes other instructions runs these very tests."""
    node = f"{__file__}::test_it_runs_to_the_outputs_of_its_release"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", node, "-k", f"v{TODAY}-"]
    settings = {"ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run(
        command, check=False, env={**os.environ, **settings}, capture_output=True, text=True, cwd=TESTS.parent
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout


@RUNNABLE
def test_saved_again_it_is_the_same(folder, tmp_path):
    plan, (inputs, _) = tilewright.load(folder), kept(folder)
    again = tilewright.load(plan.save(tmp_path / "again"))
    assert again.document == plan.document
    assert again.tokenizer_files == plan.tokenizer_files
    wanted, found = run(plan, inputs), run(again, inputs)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


@of(PLANS)
def test_report_cost_and_explanations(folder):
    plan, content = tilewright.load(folder), written(folder)
    report = tilewright.summarise(plan)
    assert [layer.name for layer in report.layers] == [layer["name"] for layer in content["layers"]]
    assert report.tiles == content["placement"]["tiles"]
    assert report.has_weights == bool(content["weights"])
    preset = None if plan.document.chip.cost else "projected-14nm"
    assert tilewright.estimate_cost(plan, preset=preset).macs > 0
    for record in [*content["layers"], *content["matmuls"]]:
        assert tilewright.explain(plan, record["name"]).sentences


@of([folder for folder in PLANS if written(folder)["schema_version"] < 5])
def test_blocks_are_on_the_tiles_that_were_written_out(folder):
    once = {
        (layer["name"], *block["tile"].values(), *block["rows"], *block["columns"])
        for layer in written(folder)["layers"]
        for block in layer["blocks"]
    }
    report = tilewright.summarise(tilewright.load(folder))
    assert once == {(block.layer, block.chip, block.row, block.column, *block.rows, *block.columns)
                    for block in report.blocks}  # fmt: skip
