"""Trainings that stop: they go on with the same bits, and only as they began."""

import pytest
import torch
from safetensors.torch import load_file

from tests.compiler.training.trainings import stopped, trained
from tilewright.compiler.training.checkpoints import FILES, SETTINGS, last_checkpoint
from tilewright.targets.errors import InputError


def test_a_network_goes_on_with_the_same_bits(base, data, tmp_path):
    trained(base, data, tmp_path / "whole", save_every=2)
    stopped(base, data, tmp_path / "out")
    trained(base, data, tmp_path / "out", save_every=2, resume=True)
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not (tmp_path / "out.checkpoints").exists()


def test_an_adapter_goes_on_with_the_same_bits(base, data, plan, tmp_path):
    pytest.importorskip("peft", reason="adapters are trained with peft")
    settings = {"adapter_of": plan, "accumulate": 2, "learning_rate": 1e-2}
    trained(base, data, tmp_path / "whole", **settings)
    stopped(base, data, tmp_path / "out", **settings)
    trained(base, data, tmp_path / "out", resume=True, **settings)
    whole, resumed = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "out"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert all(tensor.abs().sum() > 0 for name, tensor in whole.items() if "lora_B" in name)


def test_a_training_goes_on_only_as_it_began(base, data, tmp_path):
    stopped(base, data, tmp_path / "out")
    for changes, said in (
        ({"seed": 1}, "seed is 1, and the training that was stopped began with 0"),
        ({"steps": 8}, "steps is 8, .* with 6"),
        ({"recipe": "rasch-2023"}, "recipe"),
        ({"target": "pcm-512-8bit"}, "target.name is 'pcm-512-8bit', .* with 'pcm-512'"),
    ):
        with pytest.raises(InputError, match=said):
            trained(base, data, tmp_path / "out", resume=True, **changes)
    with pytest.raises(InputError, match="holds checkpoint-4 of a training that was stopped"):
        trained(base, data, tmp_path / "out", seed=1)
    (tmp_path / "out.checkpoints" / "mine").write_text("mine")
    trained(base, data, tmp_path / "out", seed=1, steps=1, overwrite=True)
    assert [file.name for file in (tmp_path / "out.checkpoints").iterdir()] == ["mine"]
    with pytest.raises(InputError, match="holds no whole checkpoint"):
        trained(base, data, tmp_path / "out", resume=True, overwrite=True)


def checkpoint(folder, step, *left_out):
    """A checkpoint of transformers, as far as it was written."""
    (folder / f"checkpoint-{step}").mkdir()
    for name in {*FILES} - {*left_out}:
        (folder / f"checkpoint-{step}" / name).write_text("{}")


def test_what_was_not_written_to_its_end_is_passed_by(tmp_path):
    checkpoint(tmp_path, 5)
    checkpoint(tmp_path, 10, "trainer_state.json")
    checkpoint(tmp_path, 15, "optimizer.pt")
    (tmp_path / SETTINGS).write_text("{}")
    assert last_checkpoint(tmp_path, {}, resume=True, overwrite=False) == tmp_path / "checkpoint-5"
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text('{"ste')
    with pytest.raises(InputError, match="holds no whole checkpoint"):
        last_checkpoint(tmp_path, {}, resume=True, overwrite=False)
    assert last_checkpoint(tmp_path, {}, resume=False, overwrite=False) is None
    assert not tmp_path.exists()


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"", b"[]"])
def test_settings_that_cannot_be_read_are_one_sentence(content, tmp_path):
    checkpoint(tmp_path, 4)
    (tmp_path / SETTINGS).write_bytes(content)
    with pytest.raises(InputError, match="which training was stopped"):
        last_checkpoint(tmp_path, {}, resume=True, overwrite=False)
