"""Every example runs."""

import io
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import tilewright
from tests.conftest import small_bert_config

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_alone(name, *arguments):
    """Output of an example as a program of its own."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def run(monkeypatch, capsys):
    """Output of an example in this process, which has imported all that it needs."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capsys.readouterr()
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_none_is_forgotten():
    tested = {
        "adapters.py", "cost_of_bert.py", "demo.py", "drift_study.py", "fine_tune_glue.py", "first_plan.py",
        "mixed_precision.py", "onnx_model.py", "own_metric.py", "own_target.py", "own_task.py", "resnet_cifar10.py",
        "size_of_a_llama.py", "train_for_the_chip.py", "train_resnet_cifar10.py",
    }  # fmt: skip
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


@pytest.mark.usefixtures("minilm_folder")
def test_demo(tmp_path):
    output = run_alone("demo.py", "--plan", tmp_path / "plan", "--repeats", 1, "--times", "1s,1mo")
    assert "61 on 1 chip of 576" in output
    assert "digital" in output
    assert "1mo" in output
    assert (tmp_path / "plan" / "plan.json").is_file()
    assert (tmp_path / "plan-dynamic" / "plan.json").is_file()
    assert "no input range suits all inputs of encoder.layer.0.output.dense" in " ".join(output.split())
    months = [line.split()[1] for line in output.splitlines() if line.split()[:1] == ["1mo"]]
    static, dynamic = map(float, months)
    assert dynamic > static


def test_first_plan():
    lines = run_alone("first_plan.py").splitlines()
    errors = [float(line.split()[-1]) for line in lines]
    assert len(errors) == 3
    assert 0 < errors[0] < errors[2] < 1


def test_adapters(run):
    *tasks, left = run("adapters.py").splitlines()
    assert [line.split(":")[0] for line in tasks] == ["colours", "shapes"]
    assert "3 classes" in tasks[0]
    assert "5 classes" in tasks[1]
    assert all(0 < float(line.split("relative error ")[1].split(",")[0]) < 0.5 for line in tasks)
    assert left == "['colours', 'shapes']"


def test_cost_of_bert(run):
    output = run("cost_of_bert.py", "--layers", 1, "--hidden", 64, "--heads", 2, "--lengths", "16,32")
    assert "11.3x less than BF16 in energy, 4.7x in area" in output
    assert "all weights on tiles (Burr 2023)" in output
    shares = [float(line.split()[1].rstrip("%")) for line in output.splitlines()[1:3]]
    assert shares[0] == pytest.approx(100 * 2 * 16 / (12 * 64 + 2 * 16), abs=0.06)
    assert shares[0] < shares[1]


def test_size_of_a_llama(run):
    lines = run("size_of_a_llama.py", "--hidden", 256, "--layers", "1,2", "--at", "16,64").splitlines()
    tiles = [int(line.split(": ")[1].split()[0].replace(",", "")) for line in lines if "parameters" in line]
    assert tiles[0] < tiles[1]
    assert len(lines) == 6
    shares = [float(line.split(", ")[1].split("%")[0]) for line in lines if "tokens" in line]
    grows = shares[0] < shares[1], shares[2] < shares[3]
    assert all(grows), "attention grows with the square of the length"


def test_mixed_precision(run):
    lines = run("mixed_precision.py").splitlines()
    losses = [float(line.split()[-3].rstrip(",")) for line in lines if " nJ: " in line]
    measured = [float(line.split()[-1]) for line in lines if " nJ: " in line]
    assert losses == sorted(losses, reverse=True)
    assert measured == sorted(measured, reverse=True)
    assert measured[0] == pytest.approx(losses[0], rel=0.5)
    (correlation,) = [float(line.split()[-1]) for line in lines if line.startswith("rank")]
    assert correlation > 0.8


def test_drift_study(run):
    lines = run("drift_study.py").splitlines()[2:]
    rows = {line.split()[0]: [float(cell) for cell in line.split()[1::3]] for line in lines}
    assert set(rows) == {"none", "global", "per_column", "affine"}
    assert all(errors == sorted(errors) for errors in rows.values()), "errors grow with time"
    assert rows["affine"][-1] < rows["global"][-1] < 0.6 * rows["none"][-1]


def test_onnx_model(run):
    lines = run("onnx_model.py").splitlines()
    assert "onnxruntime" in lines[0]
    places = {line.split()[0]: line.split()[1] for line in lines if line.startswith("  ")}
    assert places["conv.weight"] == places["head.weight"] == "analog"
    assert places["norm.scale"] == "digital"
    errors = [float(line.split()[-1].rstrip("%")) for line in lines if line.startswith("after")]
    assert len(errors) == 3
    assert 0 < errors[0] < errors[2] < 100


def test_own_target(run):
    lines = run("own_target.py").splitlines()
    assert float(lines[1].split()[-1]) < float(lines[0].split()[-1])
    errors = {line.split(":")[0].strip(): float(line.split()[-1]) for line in lines[2:]}
    assert errors["ideal"] < 1e-4 < errors["my-pcm"] < errors["pcm-512"]


def test_a_task_of_ones_own(tmp_path):
    torch.manual_seed(0)
    model, x = torch.nn.Linear(8, 3), torch.randn(30, 8)
    classes = model(x).argmax(dim=1)
    tilewright.compile(model, example_inputs=x[:2]).save(tmp_path / "plan")
    np.savez(tmp_path / "data.npz", x=x.numpy(), y=classes.numpy())
    command = [sys.executable, "-m", "tilewright", "evaluate", tmp_path / "plan", "--data", tmp_path / "data.npz"]
    done = subprocess.run(
        [*command, "--task", f"{EXAMPLES / 'own_task.py'}:Largest", "--times", "1s", "--json"],
        check=True, capture_output=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["digital"], found["examples"], found["metric"]) == (100.0, 30, "accuracy, %")


def test_own_metric():
    second, month = (line.split() for line in run_alone("own_metric.py").splitlines())
    assert second[-2:] == month[-2:] == ["100", "%"]
    assert 50 < float(month[1]) < float(second[1]) < 100


@pytest.fixture
def small_resnet(tmp_path):
    """Weights of the smallest ResNet for CIFAR-10, and images of one colour each: it is right about seven of eight."""
    network = runpy.run_path(str(EXAMPLES / "resnet_cifar10.py"))["ResNet"]
    torch.manual_seed(0)
    model = network(depth=1).eval()
    save_file(model.state_dict(), tmp_path / "resnet8.safetensors")
    files = []
    for colour in np.random.default_rng(0).integers(0, 256, (8, 1, 1, 3), dtype=np.uint8):
        file = io.BytesIO()
        Image.fromarray(np.tile(colour, (32, 32, 1))).save(file, "JPEG")
        files.append(file.getvalue())
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
    with torch.inference_mode():
        classes = model(torch.tensor(pixels).permute(0, 3, 1, 2) / 255).argmax(dim=1)
    labels = classes.numpy().copy()
    labels[0] = (labels[0] + 1) % 10
    offsets = np.cumsum([0, *map(len, files)])
    np.savez(tmp_path / "images.npz", jpeg=np.frombuffer(b"".join(files), np.uint8), offsets=offsets, labels=labels)
    return tmp_path / "resnet8.safetensors", tmp_path / "images.npz"


def test_resnet_cifar10(run, small_resnet, tmp_path):
    given = *small_resnet, "-o", tmp_path / "plan", "--samples", 4
    assert "'resnet8' on pcm-512: 8 layers" in run("resnet_cifar10.py", *given)
    plan = tilewright.load(tmp_path / "plan")
    found = tilewright.evaluate(plan, "image-classification", tmp_path / "images.npz", times=["1s"], repeats=1)
    assert found.digital == 87.5


def test_train_resnet_cifar10(run, small_resnet, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    weights, images = small_resnet
    begun = load_file(weights)
    for recipe, target in (("digital", "pcm-512"), ("ftj-thesis", "pcm-512")):
        folder = tmp_path / recipe
        given = weights, images, "-o", folder, "--recipe", recipe, "--target", target, "--epochs", 2, "--device", "cpu"
        assert f"'{recipe}' on {target}: 8 layers" in run("train_resnet_cifar10.py", *given)
        made = load_file(folder / "trained.safetensors")
        assert made.keys() == begun.keys()
        assert not torch.equal(made["conv1.weight"], begun["conv1.weight"])
        plan = tilewright.load(folder / "plan")
        choices = [decision.choice for layer in plan.document.layers for decision in layer.option.decisions]
        assert ("input range: the checkpoint's own" in choices) == (recipe != "digital")


def test_fine_tuning_on_glue(run, minilm_folder, tmp_path):
    """Entailed is what is said again. The printed figure is tilewright's own, and a seed names a model."""
    from transformers import AutoTokenizer, BertModel

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)
    torch.manual_seed(0)
    BertModel(small_bert_config(vocab_size=len(tokenizer))).save_pretrained(tmp_path / "small")
    tokenizer.save_pretrained(tmp_path / "small")
    words = ["cat", "dog", "sea", "hill", "boat"]
    pairs = [(f"The {one} is old.", f"The {two} is old.") for one in words for two in words]
    rows = [f"0\t{one}\t{two}\t{'entailment' if one == two else 'not_entailment'}" for one, two in pairs]
    for name, share in (("train.tsv", rows * 2), ("dev.tsv", rows[::2])):
        (tmp_path / name).write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *share]) + "\n")
    options = ["--data", tmp_path, "--epochs", 2, "--limit", 48, "--rate", 1e-3]
    lines = [run("fine_tune_glue.py", "rte", tmp_path / "small", *options, "-o", tmp_path / made) for made in "ab"]
    assert lines[0].splitlines()[-2].startswith("step 4 of 4, loss")
    weights = [(tmp_path / made / "model.safetensors").read_bytes() for made in "ab"]
    assert weights[0] == weights[1]
    plan = tilewright.compile(tmp_path / "a")
    assert plan.document.model.classes == ["entailment", "not_entailment"]
    found = tilewright.evaluate(plan, "glue/rte", tmp_path, times=["1s"], repeats=1)
    assert f"rte: accuracy {found.digital:.2f} on 13 examples" in lines[0]


def test_a_network_trained_for_the_chip_loses_less(run):
    digital, for_chip = run("train_for_the_chip.py", "--steps", 100).splitlines()
    assert digital.startswith("trained digitally")
    found = [float(line.split(", ")[2].split()[0]) for line in (digital, for_chip)]
    assert found[1] > found[0] + 3  # several standard errors of five chips
