"""Plans as folders: whole or not at all, and nothing in one is trusted."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tilewright
from tilewright.runtime.measuring.kept_evaluations import keep_evaluation, kept_evaluations
from tilewright.runtime.plan import files as plan_io
from tilewright.runtime.plan.stored_tensors import stored_once
from tilewright.runtime.storage.atomic_folder import atomic_folder
from tilewright.runtime.storage.weights_file import WeightsFile, write_weights
from tilewright.targets.draws_version import VERSION
from tilewright.targets.errors import InputError
from tilewright.targets.paths import file_sha256


@pytest.fixture
def folder(small_plan_folder, tmp_path):
    return shutil.copytree(small_plan_folder, tmp_path / "plan")


def edit(folder, change):
    path = folder / "plan.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refusal(folder):
    with pytest.raises(InputError) as error:
        tilewright.load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_saved_plan_is_the_same_plan(small_plan, small_plan_folder, tmp_path):
    loaded = tilewright.load(small_plan_folder)
    assert loaded.document == small_plan.document
    for name, tensor in small_plan.tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
    again = loaded.save(tmp_path / "again")
    for name in ("plan.json", "weights.safetensors"):
        assert (again / name).read_bytes() == (small_plan_folder / name).read_bytes()


def test_compiling_twice_writes_the_same_bytes(small_bert_folder, small_plan_folder, tmp_path):
    again = tilewright.compile(small_bert_folder).save(tmp_path / "again")
    for name in ("plan.json", "weights.safetensors"):
        assert (again / name).read_bytes() == (small_plan_folder / name).read_bytes()


def test_plan_json_is_readable(small_plan_folder):
    lines = (small_plan_folder / "plan.json").read_text().splitlines()
    assert lines[1] == ' "schema_version": 11,'
    assert max(map(len, lines)) < 500
    assert sum(len(line) <= 120 for line in lines) / len(lines) > 0.95


def test_saving_leaves_nothing_behind_when_it_fails(small_plan, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(plan_io, "readable_json", fail)
    with pytest.raises(KeyboardInterrupt):
        small_plan.save(tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []


def test_an_old_plan_stays_when_replacing_it_fails(folder, tmp_path):
    before = (folder / "plan.json").read_bytes()

    def fail():
        with atomic_folder(folder, plan_io.PLAN, overwrite=True) as new:
            (new / "plan.json").write_text("{}")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (folder / "plan.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_saving_does_not_overwrite_unasked_nor_what_is_not_a_plan(small_plan, folder, tmp_path):
    with pytest.raises(InputError, match="exists already"):
        small_plan.save(folder)
    small_plan.save(folder, overwrite=True)
    (tmp_path / "precious").mkdir()
    with pytest.raises(InputError, match="holds no plan"):
        small_plan.save(tmp_path / "precious", overwrite=True)
    with pytest.raises(InputError, match="does not exist"):
        small_plan.save(tmp_path / "no" / "where")


def changed(plan):
    """Another plan of the same graph: its weights are larger."""
    tensors = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in plan.tensors.items()}
    return replace(plan, tensors=tensors, tokenizer_files={"vocab.txt": b"x"}, folder=None)


def test_a_new_plan_takes_the_place_of_the_old_ones_files_alone(small_plan, folder, tmp_path):
    changed(small_plan).save(folder, overwrite=True)
    theirs = ["evaluations.jsonl", "sensitivity.jsonl", "accuracy.jsonl", "tokenizer/notes", "src/main.tf"]
    (folder / "src").mkdir()
    for name in theirs:
        (folder / name).write_text(name)
    small_plan.save(folder, overwrite=True)
    assert all((folder / name).read_text() == name for name in theirs)
    assert not (folder / "tokenizer" / "vocab.txt").exists()
    assert tilewright.load(folder).tokenizer_files == {}
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


@pytest.mark.parametrize(
    "tokenizer", [None, 3, "notes", {"file": "notes"}, [None, [], {"file": ["notes"]}, {}], [{"file": "../notes"}]]
)
def test_a_strangers_plan_owns_no_files_of_the_users(small_plan, folder, tokenizer):
    (folder / "notes").write_text("mine")
    (folder / "log.jsonl").write_text("mine")
    edit(folder, lambda content: content.update(tokenizer=tokenizer, weights={"file": "log.jsonl"}))
    small_plan.save(folder, overwrite=True)
    assert (folder / "notes").read_text() == (folder / "log.jsonl").read_text() == "mine"
    tilewright.load(folder)


def test_a_plan_that_is_replaced_while_it_is_read(small_plan, folder, monkeypatch):
    other, turns = changed(small_plan), iter([True, True])
    for name in ("_read_document", "read_tensors"):

        def read(*arguments, real=getattr(plan_io, name)):
            found = real(*arguments)
            if next(turns, False):
                other.save(folder, overwrite=True)
            return found

        monkeypatch.setattr(plan_io, name, read)
    loaded = tilewright.load(folder)
    assert loaded.document == other.document != small_plan.document
    for name, tensor in other.tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)


def test_measurements_are_of_the_plan_that_they_name(small_plan, folder):
    evaluation = {"task": "stsb", "metric": "m", "examples": 3, "seed": 0, "repeats": 1, "drift_compensation": True,
                  "digital": 90.0, "points": []}  # fmt: skip
    keep_evaluation(tilewright.load(folder), evaluation)
    changed(small_plan).save(folder, overwrite=True)
    assert kept_evaluations(tilewright.load(folder)) == []
    keep_evaluation(tilewright.load(folder), {**evaluation, "digital": 80.0})
    assert [one["digital"] for one in kept_evaluations(tilewright.load(folder))] == [80.0]
    small_plan.save(folder, overwrite=True)
    assert kept_evaluations(tilewright.load(folder)) == [evaluation]


def test_tied_tensors_are_stored_once(tmp_path):
    shared = torch.randn(10, 10)
    stored, records = stored_once({"a": shared, "b": shared, "c": shared.T})
    assert list(stored) == ["a", "c"]
    assert records["b"].stored_as == "a"
    digest, size = write_weights(tmp_path / "w.safetensors", stored)
    assert size == (tmp_path / "w.safetensors").stat().st_size
    assert digest == file_sha256(tmp_path / "w.safetensors")
    assert torch.equal(WeightsFile(tmp_path / "w.safetensors").read("c"), shared.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool])
def test_the_library_reads_what_we_write(tmp_path, dtype):
    from safetensors.torch import load_file

    tensors = {"x": torch.arange(6).reshape(2, 3).to(dtype), "empty": torch.empty(0, 3, dtype=dtype)}
    tensors["scalar"] = torch.tensor(1).to(dtype)
    write_weights(tmp_path / "w.safetensors", tensors)
    for name, tensor in load_file(tmp_path / "w.safetensors").items():
        assert torch.equal(tensor, tensors[name])
        assert tensor.dtype == dtype


def test_missing_and_foreign_folders(tmp_path):
    assert "no plan folder" in refusal(tmp_path / "nothing")
    assert "holds no plan.json" in refusal(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    assert "not readable JSON" in refusal(tmp_path)
    (tmp_path / "plan.json").write_text("[" * 100_000)
    assert "not readable JSON" in refusal(tmp_path)
    (tmp_path / "plan.json").write_text("[]")
    assert "schema version None" in refusal(tmp_path)


def test_another_schema_version(folder):
    edit(folder, lambda content: content.update(schema_version=12))
    assert "schema version 12; this tilewright reads versions 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11" in refusal(folder)


def test_random_numbers_of_a_newer_version(folder):
    edit(folder, lambda content: content.update(draws=VERSION + 1, tilewright_version="9.0"))
    words = refusal(folder)
    assert f"made by a newer version of tilewright, 9.0: its random numbers are of version {VERSION + 1}" in words


FROZEN = Path(__file__).parents[2] / "frozen"


def calibrated(content):
    """A decision on the input range of a layer."""
    layers = {layer["name"] for layer in content["layers"]}
    return next(
        d for d in content["decisions"] if d["made_by"] == "calibrate" and d["subject"].split(" use ")[0] in layers
    )


@pytest.mark.parametrize(
    ("version", "change", "words"),
    [
        (1, lambda c: c["layers"][0].update(uses=3), "layers.0"),
        (2, lambda c: c["target"]["tile"]["rows"].update(value=0), "tile.rows"),
        (3, lambda c: c["layers"][0].update(blocks=3), "layers.0"),
        (4, lambda c: c["layers"][0]["blocks"].pop(), "layers.0"),
        (4, lambda c: c["layers"][0]["blocks"][0]["tile"].update(column=99), "layers.0"),
        (4, lambda c: c["layers"][0]["blocks"][0].update(rows="x"), "layers.0"),
        (5, lambda c: c["layers"][0].pop("target"), "layers.0"),
        (6, lambda c: c["layers"][0].update(options=7), "layers.0"),
        (6, lambda c: c["decisions"].append(7), "decisions"),
        (6, lambda c: c["layers"][2]["options"][0].pop("input_ranges"), "layers.2"),
        (6, lambda c: c["weights_of_model"][0].update(reason=7), "weights_of_model"),
        (6, lambda c: c["assignment"].update(measured=7), "assignment"),
        (6, lambda c: c["layers"][0].update(inputs=10**30), "layers.0"),
        (6, lambda c: c["layers"][2].update(inputs=10**30), "layers.2"),
        (6, lambda c: c["layers"][2].update(outputs=True), "layers.2"),
        (5, lambda c: c["layers"][0].update(inputs=-5), "layers.0"),
        (4, lambda c: c["layers"][0].update(outputs=0), "layers.0"),
        (6, lambda c: c["decisions"][0].pop("made_by"), "decisions.0 has no 'made_by'"),
        (6, lambda c: calibrated(c).update(rejected=[{"choice": "abs-max", "figures": []}]), "layers."),
        (
            6,
            lambda c: c["assignment"]["measured"].append({"name": "chips", "value": float("inf"), "unit": "1"}),
            "assign",
        ),
        (1, lambda c: c["layers"][0]["blocks"][0].update(rows=[0]), "layers.0"),
        (4, lambda c: c["layers"][0]["blocks"][0].update(rows=[0, float("inf")]), "layers.0"),
        (4, lambda c: c["layers"][0].pop("blocks"), "layers.0 has no 'blocks'"),
        (6, lambda c: c["layers"][0].update(inputz=3), "inputz is not a known key"),
        (6, lambda c: c.update(schema_version=True), "schema version True"),
        (6, lambda c: c.update(schema_version=6.0), "schema version 6.0"),
        (6, lambda c: c["verification"][0].update(largest_relative_error=float("inf")), "verification"),
        (6, lambda c: c["weights_of_model"][0].update(layers=["ghost"]), "'ghost' that the plan does not have"),
    ],
)
def test_older_plans_that_are_damaged(tmp_path, version, change, words):
    """Each is refused in a sentence about what is wrong in it."""
    folder = tmp_path / "plan"
    shutil.copytree(FROZEN / f"v{version}" / "attention", folder)
    edit(folder, change)
    assert words in refusal(folder)


def test_truncated_and_changed_weights(folder):
    path = folder / "weights.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    assert "damaged" in refusal(folder)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "SHA-256" in refusal(folder)
    path.unlink()
    assert "missing" in refusal(folder)


def test_an_edited_hash(folder):
    edit(folder, lambda content: content["weights"].update(sha256="0" * 64))
    assert "SHA-256" in refusal(folder)
    edit(folder, lambda content: content["weights"].update(sha256="xyz"))
    assert "weights.sha256" in refusal(folder)


def test_unknown_keys_name_the_nearest(folder):
    edit(folder, lambda content: content["layers"][0].update(inputz=3))
    assert "inputz is not a known key; did you mean 'inputs'" in refusal(folder)


def test_a_file_of_the_plan_with_a_name_that_no_system_takes(folder):
    edit(folder, lambda content: content["weights"].update(file="x" * 300))
    assert "cannot be used as a path" in refusal(folder)


def test_paths_stay_inside_the_plan(folder, tmp_path):
    (tmp_path / "secret").write_text("x")
    for name in ("../secret", "/etc/passwd", ".."):
        edit(folder, lambda content, name=name: content["weights"].update(file=name))
        assert "does not stay inside" in refusal(folder)
    (folder / "link").symlink_to(tmp_path / "secret")
    edit(folder, lambda content: content["weights"].update(file="link"))
    assert "the file link is a link, which is not followed" in refusal(folder)
    (tmp_path / "secret").unlink()
    assert "the file link is a link, which is not followed" in refusal(folder)
    for name, words in (("nothing", "is missing"), ("folder", "is a folder, not a regular file")):
        (folder / "folder").mkdir(exist_ok=True)
        edit(folder, lambda content, name=name: content["weights"].update(file=name))
        assert f"the file {name} {words}" in refusal(folder)


def option(content):
    """The first layer's on the first target."""
    return content["layers"][0]["options"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: option(c).update(row_splits=[1]), "cover 1 of"),
        (lambda c: option(c).update(row_splits=[64000]), "a tile has 512"),
        (lambda c: option(c)["column_splits"].append(0), "column_splits"),
        (lambda c: c["layers"][0].update(tiles=[]), "1 blocks on 0 tiles"),
        (lambda c: c["layers"][1].update(tiles=c["layers"][0]["tiles"]), "holds blocks of both"),
        (lambda c: c["layers"][0]["tiles"][0].__setitem__(0, 9999), "not on the plan's chips"),
        (lambda c: c["placement"].update(mesh=[3, 3]), "its chip has"),
        (lambda c: c["placement"].update(tiles=1), "the plan says 1 tiles"),
        (lambda c: c["placement"].update(utilisation=0.5), "utilisation"),
        (lambda c: c["layers"][0].update(outputs=191), "cover|shape"),
        (lambda c: c["layers"][0]["uses"].append(c["layers"][0]["uses"][0]), "uses"),
        (lambda c: option(c)["uses"][0].update(input_range=0), "input_range"),
        (lambda c: c["layers"].append(c["layers"][0]), "named|holds blocks"),
        (lambda c: option(c).update(has_channel_scale=True), "channel_scale"),
        (lambda c: c["inputs"].pop(), "inputs"),
        (lambda c: c["outputs"].pop(), "outputs"),
        (lambda c: c["chip"]["tiles"][0]["target"]["tile"]["rows"].update(value=-1), "target.tile.rows"),
        (lambda c: c["tensors"].pop(next(iter(c["tensors"]))), "no tensor"),
        (lambda c: next(iter(c["tensors"].values())).update(shape=[1]), "shape"),
        (lambda c: next(iter(c["tensors"].values())).update(dtype="int8"), "int8"),
        (lambda c: next(iter(c["tensors"].values())).update(stored_as="nothing"), "no tensor 'nothing'"),
        (lambda c: c.update(graph=[]), "empty|inputs"),
        (lambda c: c["matmuls"][0].update(operands="int99"), "operands"),
        (lambda c: c["layers"][0].update(target="elsewhere"), "did you mean|allowed: pcm-512"),
        (lambda c: option(c).update(programming="by hand"), "programmed by 'by hand'"),
        (lambda c: option(c)["uses"][0].update(input_range=None), "no input range"),
        (lambda c: option(c).update(has_calibration=True), "no tensor"),
        (lambda c: c["chip"].update(tiles=[]), "no layer could run"),
        (lambda c: c["layers"][0].update(options=[]), "options"),
        (lambda c: c["layers"][0]["options"].append(option(c)), "two options on 'pcm-512'"),
    ],
)
def test_plans_that_do_not_agree_with_themselves(folder, change, words):
    import re

    edit(folder, change)
    message = refusal(folder)
    assert re.search(words, message), message


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_edit_gives_a_plan_or_a_sentence(small_plan_folder, tmp_path_factory, data):
    """Replace one random leaf of plan.json: load answers with a plan or one sentence, never a traceback."""
    content = json.loads((small_plan_folder / "plan.json").read_text())
    node = content
    while True:
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.integers(0, 9)) == 0:
            break
        node = node[key]
    node[key] = data.draw(
        st.sampled_from(
            [None, True, -1, 0, 2**70, 1e300, float("nan"), "", "x", "__class__", [], {}, [[0]], {"node": "x"}]
        )
    )
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copy(small_plan_folder / "weights.safetensors", folder)
    (folder / "plan.json").write_text(json.dumps(content))
    try:
        tilewright.load(folder)
    except InputError as error:
        assert "\n" not in str(error)
