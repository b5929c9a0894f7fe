"""Models whose weights are too many for memory, or not in float32: mapped, converted into scratch files."""

import json
import sys
import types
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import tilewright
from tests.families import build, inputs_of, largest_difference
from tests.narrowing import present
from tilewright.compiler.frontends.stored_weights import stored_weights
from tilewright.compiler.network import scratch
from tilewright.runtime.storage import memory_map
from tilewright.targets.errors import InputError


@pytest.fixture
def folder(tmp_path):
    build("Llama").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def shard(folder, dtype=torch.float32):
    """Weights of a folder written anew in three files with an index, in another type."""
    weights = load_file(folder / "model.safetensors")
    places = {}
    for place, name in enumerate(weights):
        places[name] = f"model-{place % 3}.safetensors"
    for file in set(places.values()):
        part = {name: weights[name].to(dtype) for name in weights if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


@pytest.fixture
def tight(monkeypatch):
    """No memory for what is made of weights, and pages are handed back all the time."""
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    monkeypatch.setattr(scratch, "SMALL", 1)
    monkeypatch.setattr(memory_map, "RESIDENT", 10_000)


def test_a_model_without_room_gives_the_same_plan(folder, tmp_path, request):
    plan = tilewright.compile(folder).save(tmp_path / "plan")
    shard(folder)
    request.getfixturevalue("tight")
    again = tilewright.compile(folder).save(tmp_path / "again")
    for file in ("plan.json", "weights.safetensors"):
        assert (plan / file).read_bytes() == (again / file).read_bytes()


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_computed_with_in_float32(folder, dtype):
    import transformers

    shard(folder, dtype)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    plan = tilewright.compile(folder, check=True)
    assert present(plan.document.check).largest_relative_error < 1e-5
    assert largest_difference(model, plan) < 1e-5
    assert all(tensor.dtype == torch.float32 for tensor in plan.tensors.values() if tensor.is_floating_point())


@pytest.mark.usefixtures("tight")
def test_a_large_plan_runs_like_a_small_one(folder, tmp_path):
    plan = tilewright.load(tilewright.compile(folder).save(tmp_path / "plan"))
    inputs = inputs_of(plan.document, 2, 9)
    whole, by_layer = tilewright.Session(plan, 3), tilewright.Session(plan, 3, layer_by_layer=True)
    for time in ("1s", "1mo"):
        expected = whole.advance_to(time)(inputs)
        for name, output in by_layer.advance_to(time)(inputs).items():
            assert torch.equal(output, expected[name])


def test_files_stay_in_the_folder(folder):
    shard(folder)
    index = folder / "model.safetensors.index.json"
    for content, words in (
        ({"weight_map": {"a": "../model-0.safetensors"}}, "is not beside it"),
        ({"weight_map": 3}, "not an index of weights"),
        ({"weight_map": {"a": "model-9.safetensors"}}, "damaged or missing"),
    ):
        index.write_text(json.dumps(content))
        with pytest.raises(InputError, match=words):
            tilewright.compile(folder)


def test_there_must_be_some(tmp_path):
    with pytest.raises(InputError, match=r"there is no model\.safetensors and no pytorch_model\.bin"):
        stored_weights(tmp_path)


@pytest.mark.parametrize("legacy", [False, True])
def test_torchs_own_files_hold_the_same(folder, legacy):
    expected = load_file(folder / "model.safetensors")
    torch.save(expected, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    (folder / "model.safetensors").unlink()
    found = stored_weights(folder)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class RunsCode:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": RunsCode()}, r"would run code; load it where you trust it.*safetensors"),
        ([torch.ones(3)], "does not hold a state_dict"),
        ({"a": {"b": torch.ones(3)}}, "does not hold a state_dict"),
        ({"a": torch.ones(1).expand(10**6, 10**6)}, "does not hold a state_dict"),
        (None, "cannot be read as plain tensors"),
    ],
)
def test_a_strangers_pickled_weights(tmp_path, capsys, content, words):
    path = tmp_path / "pytorch_model.bin"
    torch.save(content, path) if content is not None else path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=words) as refused:
        stored_weights(tmp_path)
    assert "weights_only" not in str(refused.value)
    assert "code ran" not in capsys.readouterr().out


def test_a_state_dict_with_its_metadata(tmp_path):
    expected = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)).state_dict()
    torch.save(expected, tmp_path / "pytorch_model.bin")
    assert set(stored_weights(tmp_path)) == set(expected)


@pytest.fixture
def their_settings(monkeypatch):
    """A class of the name of AIHWKit-Lightning's settings that says when it is made anew, and tells how to save one."""

    class IOParameters:
        def __init__(self, bits=8):
            self.bits, self.inner = bits, {"of": [1, None]}

        def __setstate__(self, state):
            raise AssertionError("code ran")

    module = types.ModuleType("aihwkit_lightning.simulator.parameters")
    IOParameters.__module__, IOParameters.__qualname__ = module.__name__, "IOParameters"
    vars(module)["IOParameters"] = IOParameters

    def saved(path, **others):
        state: Any = nn.Linear(4, 3).state_dict()
        state._metadata[""]["rpu_config"] = IOParameters()
        state.update(others)
        with monkeypatch.context() as known:
            for name in ("aihwkit_lightning", "aihwkit_lightning.simulator", module.__name__):
                known.setitem(sys.modules, name, module)
            torch.save(state, path)

    return saved


def test_settings_of_aihwkit_beside_tensors_are_not_made_anew(tmp_path, their_settings):
    their_settings(tmp_path / "pytorch_model.bin")
    assert set(stored_weights(tmp_path)) == {"weight", "bias"}
    assert not any("StandIn" in str(known) for known in torch.serialization.get_safe_globals())


def test_what_stands_beside_such_settings_is_refused_as_always(tmp_path, their_settings, capsys):
    their_settings(tmp_path / "pytorch_model.bin", stray=RunsCode())
    with pytest.raises(InputError, match="would run code") as refused:
        stored_weights(tmp_path)
    assert "weights_only" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "code ran" not in capsys.readouterr().out


def test_the_state_of_aihwkits_tiles(tmp_path):
    state = {"0.analog_module.tile.weight": torch.ones(2, 3), "0.analog_module.analog_tile_state": {"version": "1.1"}}
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"state of a model of aihwkit, .*convert_to_digital"):
        stored_weights(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        (2**60).to_bytes(8, "little"),
        (2**16).to_bytes(8, "little") + b"[" * 2**16,
        (20).to_bytes(8, "little") + b'{"a":{"dtype":"F32",',
        b"",
    ],
)
def test_headers_that_are_none(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="damaged or missing"):
        stored_weights(tmp_path)


@pytest.mark.parametrize("content", ["[" * 10**5, '{"weight_map": {"a": 3}}', '{"weight_map": {"a": "/etc/passwd"}}'])
def test_indices_that_are_none(tmp_path, content):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InputError, match=r"index\.json"):
        stored_weights(tmp_path)
