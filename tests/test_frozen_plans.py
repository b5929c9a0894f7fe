"""Plans that older releases saved are read by today's code, and run to the same bits.

tests/frozen/make.py says which commits made them, and how. The bits of a chip are those of one kind of processor
(runtime/draws.py): they are compared on processors with AVX2.
"""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import tilewright

TESTS = Path(__file__).parent
PLANS = sorted(path.parent for path in TESTS.glob("frozen/v*/*/plan.json"))
TODAY = json.loads((TESTS.parent / "docs" / "plan.schema.json").read_text())["properties"]["schema_version"]["const"]
SEED, TIMES = 3, ("0s", "1s", "1mo")
HAS_AVX2 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
NOT_ALL_EXACT = ("sentences",)
"""Networks with sums of floats between their layers: normalisations, which differ by a rounding between processors."""
IDEAL = 1e-6
ANOTHER_PROCESSOR = 0.02
"""Parts of the largest output: a converter's step here and there. Another chip is several times as far."""


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
    found = {f"ideal.{name}": value for name, value in tilewright.Session(plan, ideal=True)(inputs).items()}
    session = tilewright.Session(plan, seed=SEED)
    for time in TIMES:
        found |= {f"{time}.{name}": value for name, value in session.advance_to(time)(inputs).items()}
    return found


def allowed(folder, name):
    """Largest difference of an output, in parts of the largest number of that output."""
    if name.startswith("ideal."):
        return IDEAL
    return 0.0 if HAS_AVX2 and folder.name not in NOT_ALL_EXACT else ANOTHER_PROCESSOR


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
    for name, value in wanted.items():
        difference = float((found[name] - value).abs().max() / value.abs().max())
        assert difference <= allowed(folder, name), f"{name} differs by {difference}:\n{found[name]}\nonce\n{value}"


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
