"""Networks that transformers' own Trainer trains: their checkpoints compile, the best weights stay, NaN stops."""

import io
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification, Trainer, TrainingArguments

import tilewright
from tilewright.runtime.measuring.evaluation import Evaluation, TimePoint
from tilewright.targets.errors import InputError

ANYTHING: Any = tilewright
"""The public functions, given what they do not take."""
BATCH = {"input_ids": torch.arange(24).view(2, 12) % 60 + 1, "attention_mask": torch.ones(2, 12, dtype=torch.int64)}
ROWS = [{name: values[number] for name, values in BATCH.items()} | {"labels": number} for number in (0, 1, 0, 1)]


@pytest.fixture
def model(base):
    found = BertForSequenceClassification.from_pretrained(base)
    return tilewright.prepare(found, example_inputs=BATCH)


def trained(model, folder, callback, **settings):
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=4, per_device_train_batch_size=2, report_to=[], disable_tqdm=True,
        logging_steps=1, seed=0, **settings,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=ROWS, callbacks=[callback])
    trainer.train()
    return trainer


def figures(values):
    """An evaluation that finds these values, one after another."""
    found = iter(values)

    def evaluate(_model):
        return Evaluation("t", "m", 0.0, True, "", 1, 0, 1, True, 1.0, [TimePoint("1mo", 2592000.0, [next(found)])])

    return evaluate


def test_a_checkpoint_has_every_range_of_its_network(model, tmp_path):
    """Layers on one set of DACs share a range, which stands beside each of their weights."""
    trained(model, tmp_path, tilewright.ChipCallback(), save_strategy="steps", save_steps=4)
    kept = model.state_dict()
    names = [name for name, part in model.named_modules() if hasattr(part, "range_owners")]
    assert all(f"{name}.input_range" in kept and f"{name}.row_splits" in kept for name in names)
    inside = tilewright.compile(model, example_inputs=BATCH).document
    from_folder = tilewright.compile(tmp_path / "checkpoint-4").document
    assert [len(layer.parts) for layer in from_folder.layers] == [len(layer.parts) for layer in inside.layers]
    for one, other in zip(from_folder.layers, inside.layers, strict=True):
        assert one.option.input_ranges == pytest.approx(other.option.input_ranges)
    assert not from_folder.unused_tensors
    again = model.load_state_dict(kept)
    assert not again.unexpected_keys
    assert not again.missing_keys


@pytest.mark.parametrize("in_folder", [True, False])
def test_training_ends_with_the_weights_that_were_best(model, tmp_path, in_folder):
    seen = []
    callback = tilewright.ChipCallback(
        figures([1.0, 3.0, 2.0]), 2, tmp_path / "best" if in_folder else None,
        lambda step, _: seen.append((step, model.classifier.weight.detach().clone())),
    )  # fmt: skip
    trained(model, tmp_path, callback, learning_rate=1e-2)
    assert callback.best_step == 4
    assert [step for step, _ in seen] == [2, 4]
    callback = tilewright.ChipCallback(figures([3.0, 1.0]), 2, None, lambda step, _: seen.append((step, None)))
    before = model.classifier.weight.detach().clone()
    trained(model, tmp_path, callback, learning_rate=1e-2)
    assert callback.best_step == 2
    assert not torch.equal(model.classifier.weight, before)


def test_a_loss_that_is_no_number_stops_a_trainer_as_it_comes(model, tmp_path):
    with torch.no_grad():
        model.classifier.bias.fill_(torch.nan)
    with pytest.raises(InputError, match="the loss is nan at step 1"):
        trained(model, tmp_path, tilewright.ChipCallback())


def test_a_callback_refuses_what_is_not_prepared(model, tmp_path):
    plain = tilewright.restore(model)
    with pytest.raises(InputError, match=r"is not prepared; tilewright\.prepare"):
        trained(plain, tmp_path, tilewright.ChipCallback())
    trained(plain, tmp_path, tilewright.ChipCallback(figures([1.0, 2.0]), 2, control=True))


def test_a_callback_needs_evaluations(model, tmp_path):
    with pytest.raises(InputError, match=r"evaluate gives 3\.0; it must give what tilewright.evaluate does"):
        trained(model, tmp_path, ANYTHING.ChipCallback(lambda _: 3.0, 2))


def test_a_prepared_network_is_cast_and_pickled(model):
    torch.save(model, io.BytesIO())
    ranges = {
        name: value.clone() for name, value in model.state_dict().items() if "range" in name or "learning" in name
    }
    model = model.to(torch.bfloat16).train()
    kept = model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in ranges.items())  # they move by a thousandth at a time
    loss = model(**BATCH, labels=torch.tensor([0, 1])).loss
    loss.backward()
    assert loss.isfinite()


def test_two_layers_of_one_matrix_are_left_as_they_are():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(torch.relu(self.a(x)))

    model = Shared()
    with pytest.raises(InputError, match="is that of several layers of the plan"):
        tilewright.prepare(model, example_inputs=torch.randn(2, 16))
    assert type(model.a) is type(model.b) is nn.Linear


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "pcm-512"}, "target is given beside a plan"),
        ({"attention_bits": 6}, "attention_bits is given beside a plan"),
        ({"leave": "a"}, "must be a list of names"),
        ({"leave": [2]}, "must be a list of names"),
        ({"recipe": 3}, "training recipe is 3; it must be a name"),
        ({"plan": None, "target": 5}, "target is 5; it must be a name"),
        ({"plan": None, "recipe": None}, "training recipe is None"),
    ],
)
def test_what_cannot_be_prepared_with_is_one_sentence(given, said):
    model, x = nn.Linear(8, 4), torch.randn(2, 8)
    plan = tilewright.compile(nn.Linear(8, 4), example_inputs=x)
    beside = {} if "plan" not in given else {"example_inputs": x}
    with pytest.raises(InputError, match=said):
        ANYTHING.prepare(model, **({"plan": plan} | beside | given))
    assert type(model) is nn.Linear


@pytest.mark.parametrize(
    "call",
    [
        lambda: ANYTHING.prepare("model"),
        lambda: ANYTHING.restore("model"),
        lambda: ANYTHING.set_progress("model", 0.5),
        lambda: ANYTHING.after_step(None),
        lambda: ANYTHING.parameter_groups("model"),
        lambda: ANYTHING.parameter_groups(nn.Linear(2, 2), -1.0),
        lambda: ANYTHING.parameter_groups(nn.Linear(2, 2), "0.01"),
        lambda: ANYTHING.load_recipe("digital", ["a=1"]),
        lambda: ANYTHING.load_recipe(5),
        lambda: ANYTHING.ChipCallback(folder=3),
    ],
)
def test_other_types_are_one_sentence(call):
    with pytest.raises(InputError):
        call()
