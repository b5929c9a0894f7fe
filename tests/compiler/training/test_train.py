"""train(): a folder that compile takes, figures on chips, and refusals of one sentence."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, BertModel
from typer.testing import CliRunner

import tilewright
from tests.compiler.training.trainings import trained
from tilewright.compiler.cli.app import app
from tilewright.compiler.training.train import train
from tilewright.targets.errors import InputError


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_a_trained_folder_is_compiled_with_its_ranges(base, data, tmp_path):
    seen = []
    made = trained(base, data, tmp_path / "out", repeats=1, times=("1s",), on_step=lambda *step: seen.append(step))
    assert made.steps == 6
    assert [step[:2] for step in seen[:6]] == [(number, 6) for number in range(1, 7)]
    assert made.evaluation is not None
    assert 0 <= made.evaluation.points[0].mean <= 100
    held = weights(tmp_path / "out")
    plan = tilewright.compile(tmp_path / "out")
    assert not plan.document.unused_tensors
    for layer in plan.document.layers:
        ranges = {float(held[part.weight.replace(".weight", ".input_range")].max()) for part in layer.parts}
        assert layer.option.input_ranges == [pytest.approx(max(ranges))]
    for matmul in plan.document.matmuls:
        assert matmul.left_ranges == pytest.approx(held[f"{matmul.name}.left_range"].tolist())
    record = json.loads((tmp_path / "out" / "tilewright_training.json").read_text())
    assert (record["recipe"]["name"], record["chip"], record["steps"]) == ("device-noise", "pcm-512", 6)
    assert (record["settings"]["learning_rate"], record["settings"]["epochs"]) == (1e-3, None)  # None: the recipe's
    assert not (tmp_path / "out.checkpoints").exists()


def test_a_plan_for_another_chip_than_it_was_trained_for_says_so(base, data, tmp_path):
    tile = tilewright.load_chip("pcm-512", {"tile.adc.bits": 6})
    trained(base, data, tmp_path / "out", steps=1, target=tile, attention_bits=4)

    def notes(target, **how):
        plan = tilewright.compile(tmp_path / "out", target, **how)
        return [note for note in plan.document.notes if "trained for another chip" in note]

    assert notes(tile, attention_bits=4) == []
    (note,) = notes("pcm-512")
    assert "tile.adc.bits 6 there, 10 here" in note
    assert "attention 'int4' there, 'int8' here" in note
    record = tmp_path / "out" / "tilewright_training.json"
    for damaged in ("{", "[]", '{"trained_for": 3}', "[" * 100_000):
        record.write_text(damaged)
        assert notes("pcm-512") == []
    trained(base, data, tmp_path / "control", steps=1, recipe="digital")
    assert "trained_for" not in json.loads((tmp_path / "control" / "tilewright_training.json").read_text())


def test_training_changes_weights_and_a_seed_names_it(base, data, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trained(base, data, tmp_path / name, seed=seed)
    before, (a, b, c) = weights(base), (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)
    assert any(not torch.equal(a[name], before[name]) for name in before)


def test_the_best_weights_on_the_chip_are_kept(base, data, tmp_path):
    seen = []
    made = trained(
        base, data, tmp_path / "out", steps=4, evaluate_every=2, repeats=1, times=("1s",),
        on_evaluation=lambda step, found: seen.append((step, found.points[-1].mean)),
    )  # fmt: skip
    assert [step for step, _ in seen] == [2, 4]
    assert made.best_step == max(seen, key=lambda one: one[1])[0]
    assert [one["step"] for one in made.evaluations] == [2, 4]


def test_a_model_without_a_head_gets_one(small_model, data, tmp_path):
    encoder, _ = small_model(BertModel, 2)
    made = trained(encoder, data, tmp_path / "out", steps=2)
    assert any("head is new" in note for note in made.notes)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert set(config["id2label"].values()) == {"0", "1"}


def test_gradients_of_several_batches_make_one_step(base, data, tmp_path):
    made = trained(base, data, tmp_path / "out", steps=None, epochs=1, batch_size=4, accumulate=2)
    assert made.steps == 4  # 32 examples


def test_the_command_line_trains(base, data, tmp_path):
    out = str(tmp_path / "out")
    arguments = ["train", str(base), "--task", "glue/sst2", "--data", str(data), "-o", out, "--recipe", "spoon-2021"]
    short = ["--steps", "2", "--batch-size", "4", "--repeats", "1", "--times", "1s"]
    done = CliRunner().invoke(app, [*arguments, *short, "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["steps"] == 2
    assert printed["evaluation"]["points"][0]["time"] == "1s"
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, InputError)
    assert "exists already" in str(again.exception)
    said = CliRunner().invoke(app, [*arguments, *short, "--force", "--set-recipe", "weight_noise.strength=2"])
    assert "trained" in said.stdout
    record = json.loads((tmp_path / "out" / "tilewright_training.json").read_text())
    assert record["recipe"]["weight_noise"]["strength"]["value"] == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "digital-int8"}, "nothing to train it for"),
        ({"recipe": "spoon"}, "spoon-2021"),
        ({"learning_rate": 1e30}, "the loss is nan"),
        ({"teacher": "x", "recipe": "spoon-2021"}, "does not distil"),
        ({"resume": True}, "nothing to resume"),
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"epochs": -1}, "epochs is -1"),
        ({"evaluate_on": "nowhere"}, "there are no data at 'nowhere'"),
        ({"task": "question-answering"}, "name other data to evaluate on"),
        ({"task": "lm-eval:piqa"}, "has no loss to train by"),
        ({"target": "ideal"}, "nothing to train it for"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"times": "1s,1mo"}, "give some in a list"),
        ({"times": []}, "give some in a list"),
        ({"times": ["1x"]}, "time '1x'"),
        ({"evaluate_every": 1}, "there are no chips to evaluate on"),
        ({"teacher": "nowhere"}, "nowhere"),
        ({"recipe": "device-noise", "teacher": "encoder"}, "is no BertForSequenceClassification that was trained"),
        ({"recipe": "device-noise", "teacher": "classes"}, "has 3 classes, and the model 2"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(base, small_model, data, tmp_path, changes, said):
    task, changes = changes.get("task", "glue/sst2"), {key: given for key, given in changes.items() if key != "task"}
    others = {"encoder": (BertModel, 2), "classes": (BertForSequenceClassification, 3)}
    if changes.get("teacher") in others:
        changes |= {"teacher": small_model(*others[changes["teacher"]])[0]}
    with pytest.raises(InputError, match=said):
        train(base, task, data, tmp_path / "out", **({"steps": 3, "batch_size": 4, "repeats": 0} | changes))
    assert not list(tmp_path.iterdir())


def test_a_model_without_a_head_is_refused_where_nobody_knows_the_classes(small_model, data, tmp_path):
    encoder, _ = small_model(BertModel, 2)
    with pytest.raises(InputError, match="is a BertModel, without a head for text-classification"):
        train(encoder, "text-classification", data / "train.tsv", tmp_path / "out", evaluate_on=data / "dev.tsv",
              task_options={"text": "sentence"})  # fmt: skip


def test_data_to_evaluate_on_are_read_before_training(base, data, tmp_path):
    (tmp_path / "data").mkdir()
    shutil.copy(data / "train.tsv", tmp_path / "data")
    steps = []
    with pytest.raises(InputError, match=r"dev\.tsv"):
        trained(base, tmp_path / "data", tmp_path / "out", repeats=1, on_step=lambda *step: steps.append(step))
    assert not steps


def test_a_folder_of_others_is_never_replaced(base, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError):
            trained(base, data, tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out" / "mine").read_text() == "mine"
    shutil.rmtree(tmp_path / "out")
    trained(base, data, tmp_path / "out", steps=1)
    (tmp_path / "out" / "notes").write_text("mine")
    trained(base, data, tmp_path / "out", steps=1, overwrite=True)
    assert (tmp_path / "out" / "notes").read_text() == "mine"


def test_images_are_trained_and_calibrated_on(tmp_path):
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    config = ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=2
    )
    ResNetForImageClassification(config).save_pretrained(tmp_path / "base")
    generator = np.random.default_rng(0)
    labels = np.arange(24) % 2
    images = (generator.random((24, 16, 16)) * 100 + 100 * labels[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    made = train(
        tmp_path / "base", "image-classification", tmp_path / "images.npz", tmp_path / "out", target="ftj-balanced",
        evaluate_on=tmp_path / "images.npz", task_options={"size": 16, "by_name": False}, steps=4, batch_size=8,
        repeats=1, times=("1s",), recipe="ftj-thesis", learning_rate=1e-3,
    )  # fmt: skip
    assert made.evaluation is not None
    assert any(name.endswith("input_range") for name in weights(tmp_path / "out")) is False  # own ranges on FTJ targets


def test_a_model_without_a_tokenizer_is_not_given_an_empty_one(base, data, tmp_path):
    shutil.copytree(base, tmp_path / "base")
    for file in (tmp_path / "base").glob("*token*"):
        file.unlink()
    with pytest.raises(InputError, match="need a tokenizer, and this model has none"):
        trained(tmp_path / "base", data, tmp_path / "out")
