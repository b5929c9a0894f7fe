"""Classification of images: every kind of file, the model's own preparation, and what is refused."""

import gzip
import io
import json
import pickle
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tilewright
from tilewright.runtime.tasks.finding import make_task
from tilewright.runtime.tasks.images.classification import ImageClassification, ImageClassificationTop5
from tilewright.runtime.tasks.images.files import read_images
from tilewright.runtime.tasks.images.labelled import decoded
from tilewright.runtime.tasks.images.preparation import Preparation
from tilewright.targets.errors import InputError

CLASSES = ["cat", "dog", "frog"]
COUNT = 12
generator = np.random.default_rng(0)
GREY = generator.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8)
COLOUR = generator.integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
LABELS = generator.integers(0, 3, COUNT, dtype=np.uint8)
LABELS[:3] = 0, 1, 2
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


class Network(torch.nn.Module):
    """A convolution and a layer, on images of 8 x 8."""

    def __init__(self, channels: int, classes: int = 3) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, 8, 3, padding=1)
        self.linear = torch.nn.Linear(8 * 64, classes)

    def forward(self, images):
        return self.linear(self.conv(images).relu().flatten(1))


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(3)
    return {
        "grey": Network(1).eval(),
        "colour": Network(3).eval(),
        "many": Network(3, 10).eval(),
        "flat": torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)).eval(),
    }


@pytest.fixture(scope="module")
def plans(networks):
    examples = {"grey": (4, 1, 8, 8), "colour": (4, 3, 8, 8), "many": (4, 3, 8, 8), "flat": (4, 64)}
    made = {
        name: tilewright.compile(network, "ideal", example_inputs=torch.rand(examples[name]))
        for name, network in networks.items()
    }
    model = made["colour"].document.model.model_copy(update={"classes": ["Frog", "dog", "cat"]})
    made["named"] = changed(made["colour"], model=model)
    made["fixed"] = of_shape(made["colour"], ["batch", 3, 8, 8])
    return made


def changed(plan, **update):
    return replace(plan, document=plan.document.model_copy(update=update))


def of_shape(plan, shape):
    return changed(plan, inputs=[plan.document.inputs[0].model_copy(update={"shape": shape})])


def predictions(plan, task):
    return torch.as_tensor(task.predict(tilewright.Session(plan, ideal=True), 5))


def classes_of(network, images, mean=0.0, std=1.0):
    """Classes by torch itself of images [n, h, w, c] in bytes."""
    x = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return network((x - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)).argmax(dim=1)


def png(pixels, **how):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **how)
    return file.getvalue()


def class_folders(root, images=COLOUR, labels=LABELS, names=CLASSES):
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        folder = root / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}.png").write_bytes(png(pixels))
    return root


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder, images=GREY, labels=LABELS, pack=gzip.compress, ending=".gz"):
    folder.mkdir(exist_ok=True)
    (folder / f"t10k-images-idx3-ubyte{ending}").write_bytes(pack(idx(images)))
    (folder / f"t10k-labels-idx1-ubyte{ending}").write_bytes(pack(idx(labels)))
    return folder


def jpeg_npz(path, labels=LABELS):
    files = []
    for pixels in COLOUR:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG")
        files.append(file.getvalue())
    offsets = np.cumsum([0, *map(len, files)])
    np.savez(path, jpeg=np.frombuffer(b"".join(files), np.uint8), offsets=offsets, labels=labels, classes=CLASSES)
    return files


def test_a_folder_of_classes(plans, networks, tmp_path):
    """Files are taken class by class, and classes are numbered in sorted order where the model has no names."""
    folder = class_folders(tmp_path / "data")
    (folder / ".hidden").mkdir()
    (folder / "cat" / "Thumbs.db").write_bytes(b"x")
    order = np.argsort(LABELS, kind="stable")
    task = ImageClassification(plans["colour"], folder, None, mean=MEAN, std=STD)
    assert task.labels == LABELS[order].tolist()
    expected = classes_of(networks["colour"], COLOUR[order], MEAN, STD)
    assert torch.equal(predictions(plans["colour"], task), expected)
    found = tilewright.evaluate(plans["colour"], task, times=["1s"], repeats=1)
    assert found.digital == pytest.approx(100 * float((expected == torch.tensor(task.labels)).float().mean()))
    assert (found.metric, found.examples, found.chance) == ("accuracy, %", COUNT, 100 / 3)


def test_classes_are_the_models_own(plans, tmp_path):
    """The model counts frog first: names decide, whatever their capitals, unless they are not to."""
    folder = class_folders(tmp_path / "data")
    order = np.sort(LABELS)
    task = ImageClassification(plans["named"], folder, None)
    assert task.labels == [2 - label for label in order]
    assert ImageClassification(plans["named"], folder, None, by_name=False).labels == order.tolist()
    (folder / "dog").rename(folder / "dig")
    with pytest.raises(InputError, match="label 'dig' is no class of the model; did you mean 'dog'"):
        ImageClassification(plans["named"], folder, None)


def test_arrays_of_every_layout(plans, networks, tmp_path):
    expected = classes_of(networks["colour"], COLOUR)
    as_fractions = COLOUR.astype(np.float32) / 255
    cases: list[dict[str, Any]] = [
        {"images": COLOUR, "labels": LABELS},
        {"images": COLOUR.transpose(0, 3, 1, 2), "labels": LABELS[:, None]},
        {"x_test": as_fractions, "y_test": LABELS.astype(np.int64)},
        {"test_images": as_fractions.transpose(0, 3, 1, 2), "test_labels": LABELS},
        {"images": COLOUR, "labels": np.array([str(label) for label in LABELS])},
    ]
    path = tmp_path / "data.npz"
    for arrays in cases:
        np.savez_compressed(path, **arrays)
        task = ImageClassification(plans["colour"], path, None)
        assert task.labels == LABELS.tolist()
        assert torch.equal(predictions(plans["colour"], task), expected)


def test_grey_images_flat_or_not(plans, networks, tmp_path):
    np.savez(tmp_path / "data.npz", images=GREY, labels=LABELS)
    x = torch.tensor(GREY) / 255
    with torch.inference_mode():
        expected = {"flat": networks["flat"](x.flatten(1)).argmax(1), "grey": networks["grey"](x[:, None]).argmax(1)}
    folders = [write_idx(tmp_path / "packed"), write_idx(tmp_path / "plain", pack=bytes, ending="")]
    for data in [tmp_path / "data.npz", *folders, folders[0] / "t10k-images-idx3-ubyte.gz"]:
        for name, classes in expected.items():
            task = ImageClassification(plans[name], data, None)
            assert task.labels == LABELS.tolist()
            assert torch.equal(predictions(plans[name], task), classes)


def test_jpeg_files_one_after_another(plans, networks, tmp_path):
    files = jpeg_npz(tmp_path / "data.npz")
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
    task = ImageClassification(plans["named"], tmp_path / "data.npz", None, mean=MEAN, std=STD)
    assert torch.equal(predictions(plans["named"], task), classes_of(networks["colour"], pixels, MEAN, STD))
    assert task.labels == [2 - label for label in LABELS.tolist()]


@pytest.mark.parametrize("classes", [10, 100])
def test_cifar(plans, classes, tmp_path):
    """Both versions, with their names; crop and size bring 32 x 32 to the 8 x 8 of the network."""
    images, labels = generator.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8), [3, 9, 0, 7]
    coarse = b"\x01" if classes == 100 else b""
    content = b"".join(coarse + bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))
    (tmp_path / ("test_batch.bin" if classes == 10 else "test.bin")).write_bytes(content)
    names = [f"class {number}" for number in range(classes)]
    (tmp_path / ("batches.meta.txt" if classes == 10 else "fine_label_names.txt")).write_text("\n".join(names) + "\n")
    task = ImageClassification(plans["many"], tmp_path, None, crop=8)
    (name,) = task.samples[0]
    assert task.labels == labels
    assert torch.equal(task.samples[2][name], torch.tensor(images[2, :, 12:20, 12:20]) / 255)
    found = read_images(tmp_path, 3)
    assert found.classes == names


def test_five_likeliest(plans, networks, tmp_path):
    np.savez(tmp_path / "data.npz", images=COLOUR, labels=np.arange(COUNT) % 10)
    with torch.inference_mode():
        scores = networks["many"](torch.tensor(COLOUR).permute(0, 3, 1, 2) / 255)
    labels = torch.arange(COUNT) % 10
    ranks = (scores > scores.gather(1, labels[:, None])).sum(dim=1)
    found = tilewright.evaluate(
        plans["many"], "image-classification-top5", tmp_path / "data.npz", times=["1s"], repeats=1
    )
    assert found.digital == pytest.approx(100 * float((ranks < 5).float().mean()))
    assert (found.metric, found.chance) == ("top-5 accuracy, %", 50.0)
    np.savez(tmp_path / "data.npz", images=COLOUR, labels=LABELS)
    with pytest.raises(InputError, match="the model has 3 classes"):
        ImageClassificationTop5(plans["colour"], tmp_path / "data.npz", None)


def test_a_limit_takes_classes_in_turn(plans, tmp_path):
    """A limit takes the classes in turn where data lie class by class, and the first examples of other data."""
    np.savez(tmp_path / "sorted.npz", images=COLOUR, labels=np.sort(LABELS))
    np.savez(tmp_path / "mixed.npz", images=COLOUR, labels=LABELS)
    task = ImageClassification(plans["colour"], tmp_path / "sorted.npz", 5)
    assert task.labels == [0, 1, 2, 0, 1]
    second_dog = int(np.flatnonzero(np.sort(LABELS) == 1)[1])
    (name,) = task.samples[0]
    assert torch.equal(task.samples[4][name], torch.tensor(COLOUR[second_dog]).permute(2, 0, 1) / 255)
    assert ImageClassification(plans["colour"], tmp_path / "mixed.npz", 5).labels == LABELS[:5].tolist()
    folder = class_folders(tmp_path / "data")
    assert ImageClassification(plans["named"], folder, 4).labels == [2, 1, 0, 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "cannot be read"),
        (b"[]", "preprocessor_config.json: "),
        (b"{}", "image processor 'none' is not known"),
        ({"do_pad": True}, "'ViTImageProcessor' pads images"),
        ({"size": {"longest_edge": 9}}, "size is {'longest_edge': 9}; allowed are height and width"),
        ({"size": -8, "do_normalize": False}, r"config.json: size is \(-8, -8\); it must be"),
        ({"size": 8, "resample": 9}, "resample is 9; allowed are 0 to 5"),
        ({"size": 8, "image_mean": [float("nan")], "image_std": 1}, "image_mean"),
        ({"size": 8, "image_mean": 0.5}, "has no image_mean or no image_std"),
        ({"size": 8, "image_mean": 0.5, "image_std": 0}, "deviations are more than 0"),
        ({"size": 8, "do_center_crop": True}, "crop_size is None"),
        ({"size": "large"}, "preprocessor_config.json: size"),
    ],
)
def test_processors_that_are_none(plans, content, words, tmp_path):
    if isinstance(content, dict):
        content = json.dumps({"image_processor_type": "ViTImageProcessor", "resample": 2, **content}).encode()
    plan = replace(plans["colour"], tokenizer_files={"preprocessor_config.json": content})
    with pytest.raises(InputError, match=words):
        ImageClassification(plan, npz(tmp_path), None)


def test_images_are_read_once_a_pass_and_named(plans, tmp_path, monkeypatch):
    """No image is read before it is needed, each once a pass; another preparation is another measurement."""
    folder = class_folders(tmp_path / "data")
    read: list[str] = []

    def counted(content, what, channels):
        read.append(what)
        return decoded(content, what, channels)

    monkeypatch.setattr("tilewright.runtime.tasks.images.folder.decoded", counted)
    plan = plans["colour"]
    task = ImageClassification(plan, folder, None)
    assert read == []
    predictions(plan, task)
    assert len(read) == len(set(read)) == COUNT
    cases: list[tuple[int | None, dict[str, Any]]] = [
        (None, {}), (5, {}), (None, {"mean": 0.5}), (None, {"std": MEAN}),
    ]  # fmt: skip
    names = {ImageClassification(plan, folder, limit, **options).fingerprint() for limit, options in cases}
    assert task.fingerprint() in names
    assert len(names) == 4


PROCESSORS: dict[str, dict[str, Any]] = {
    "ViT": {"size": {"height": 8, "width": 8}, "image_mean": MEAN, "image_std": STD},
    "ConvNext": {"size": {"shortest_edge": 8}, "crop_pct": 0.8},
    "CLIP": {"size": {"shortest_edge": 9}, "crop_size": {"height": 8, "width": 8}, "image_mean": MEAN},
    "DeiT": {"size": {"height": 11, "width": 9}, "crop_size": {"height": 8, "width": 8}, "resample": 0},
    "Bit": {"do_resize": False, "crop_size": {"height": 8, "width": 8}, "do_normalize": False},
}


@pytest.mark.parametrize("kind", PROCESSORS)
def test_the_models_own_processor(plans, kind, tmp_path):
    """Inputs are those of transformers' processor with Pillow, of images of several sizes, grey, and transparent."""
    import transformers

    made = getattr(transformers, f"{kind}ImageProcessorPil")(**PROCESSORS[kind])
    made.save_pretrained(tmp_path)
    content = (tmp_path / "preprocessor_config.json").read_bytes()
    plan = replace(plans["colour"], tokenizer_files={"preprocessor_config.json": content})
    folder = tmp_path / "data" / "0"
    folder.mkdir(parents=True)
    shapes = [(20, 13, 3), (13, 20, 3), (8, 8, 3), (5, 30, 3), (16, 16, 4)]
    images = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    for number, pixels in enumerate(images):
        (folder / f"{number}.png").write_bytes(png(pixels))
    task = ImageClassification(plan, tmp_path / "data", None)
    for sample, pixels in zip(task.samples, images, strict=True):
        given = Image.fromarray(pixels)
        if pixels.shape[2] == 4:
            given = Image.alpha_composite(Image.new("RGBA", given.size, "white"), given).convert("RGB")
        expected = made(given, return_tensors="pt")["pixel_values"][0]
        (value,) = sample.values()
        assert torch.allclose(value, expected, atol=1e-6)


@pytest.mark.parametrize("family", ["resnet", "vit"])
def test_a_huggingface_model_with_its_processor(family, tmp_path):
    """Classes and logits of PNG files are those of transformers' own processor and model, by the model's names."""
    import transformers

    torch.manual_seed(0)
    names = {"id2label": dict(enumerate(["frog", "cat", "dog"])), "label2id": {"frog": 0, "cat": 1, "dog": 2}}
    if family == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **names
        )
        model = transformers.ResNetForImageClassification(config).eval()
        processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32})
    else:
        config = transformers.ViTConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32,
            patch_size=8, **names,
        )  # fmt: skip
        model = transformers.ViTForImageClassification(config).eval()
        processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    images = [generator.integers(0, 256, (40 + 3 * n, 50 - 2 * n, 3), dtype=np.uint8) // (1 + n) for n in range(6)]
    inputs = torch.cat([processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"] for pixels in images])
    with torch.no_grad():  # so that the images are not all of one class
        last = model.classifier[-1] if family == "resnet" else model.classifier
        last.bias -= model(inputs).logits.mean(dim=0)
        logits = model(inputs).logits
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    class_folders(tmp_path / "data", images, [0, 1, 2, 0, 1, 2])

    plan = tilewright.compile(tmp_path / "model", "ideal")
    saved = tilewright.load(plan.save(tmp_path / "plan"))
    task = make_task(saved, "image-classification", tmp_path / "data", None)
    order = [0, 3, 1, 4, 2, 5]
    assert task.labels == [1, 1, 2, 2, 0, 0]
    session = tilewright.Session(saved, ideal=True)
    for number, sample in zip(order, task.samples, strict=True):
        found = session({name: value[None] for name, value in sample.items()})["logits"][0]
        assert torch.allclose(found, logits[number], atol=1e-4 * float(logits[number].abs().max()))
    assert predictions(saved, task).tolist() == [int(logits[number].argmax()) for number in order]
    assert len(set(predictions(saved, task).tolist())) > 1


def test_options_take_the_place_of_the_models_own(plans, tmp_path):
    content = json.dumps({"image_processor_type": "EfficientNetImageProcessor"}).encode()
    plan = replace(plans["colour"], tokenizer_files={"preprocessor_config.json": content})
    np.savez(tmp_path / "data.npz", images=COLOUR.repeat(2, axis=1).repeat(2, axis=2), labels=LABELS)
    with pytest.raises(InputError, match="image processor 'EfficientNetImageProcessor' is not known; give the task's"):
        ImageClassification(plan, tmp_path / "data.npz", None)
    task = ImageClassification(plan, tmp_path / "data.npz", None, size=8, resample="nearest", scale=1)
    (value,) = task.samples[0].values()
    assert torch.equal(value, torch.tensor(COLOUR[0]).permute(2, 0, 1).float())


def test_a_small_image_is_cropped_with_zeros_around():
    pixels = np.ones((3, 6, 1), np.float32)
    found = Preparation(crop=(6, 3))(pixels, "image")
    assert found.shape == (1, 6, 3)
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 1, 0]


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def npz(folder, **arrays):
    return only(folder, **{"images": COLOUR, "labels": LABELS, **arrays})


def only(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def lying_npz(folder):
    """A terabyte by its header."""
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(folder / "data.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("images", "labels"):
            archive.writestr(f"{name}.npy", header.getvalue() + bytes(100))
    return folder / "data.npz"


def file(folder, path, content):
    """The folder, with a file in it."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)
    return folder


def without_labels(folder):
    next(write_idx(folder).glob("*labels*")).unlink()
    return folder


HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**20, 2**20)
IDX_NAME = "t10k-images-idx3-ubyte"
BROKEN = {
    "pickled npz": (lambda f: npz(f, images=np.array([Evil()], dtype=object)), "holds Python objects"),
    "lying npz": (lying_npz, "bytes by its header"),
    "no npz": (lambda f: file(f, "data.npz", b"x") / "data.npz", "not a readable .npz"),
    "no images": (lambda f: npz(f, images=COLOUR[:0], labels=LABELS[:0]), "has no images"),
    "whole numbers": (lambda f: npz(f, images=COLOUR.astype(np.int64)), "is int64; allowed are uint8 and floating"),
    "five dimensions": (lambda f: npz(f, images=COLOUR[..., None]), r"has shape \[12, 8, 8, 3, 1\]"),
    "five channels": (lambda f: npz(f, images=np.zeros((12, 8, 8, 5))), r"has shape \[12, 8, 8, 5\]"),
    "fewer labels": (lambda f: npz(f, labels=LABELS[:-1]), "12 images and 11 labels"),
    "one-hot labels": (lambda f: npz(f, labels=np.eye(3)[LABELS]), "must be whole numbers or names"),
    "unknown number": (lambda f: npz(f, labels=LABELS + 7), "label 9 is no class of the model, which has 3"),
    "number below 0": (lambda f: npz(f, labels=LABELS.astype(int) - 1), "label '-1' is no number of a class"),
    "unknown word": (lambda f: npz(f, labels=np.array(["cat"] * COUNT)), "label 'cat' is no number of a class"),
    "other names": (lambda f: only(f, pictures=COLOUR), "holds pictures; images are images and labels, x_test"),
    "wrong offsets": (lambda f: only(f, jpeg=LABELS, offsets=np.array([0, 99]), labels=LABELS[:1]), "must grow from 0"),
    "no JPEG": (lambda f: only(f, jpeg=LABELS, offsets=np.array([0, 9]), labels=LABELS[:1]), "image 0 of .*cannot be"),
    "unnamed number": (
        lambda f: only(f, jpeg=LABELS, offsets=np.array([0, 9]), labels=LABELS[1:2], classes=["a"]),
        "label 1 is none of the data's 1 names",
    ),
    "grey images": (lambda f: npz(f, images=GREY), "image 0 has 1 channel.s., and input 'images' takes 3"),
    "high images": (lambda f: npz(f, images=COLOUR.repeat(2, 1)), "image 0 is 16 x 8 pixels, and .* takes 8 x 8"),
    "cut IDX": (lambda f: write_idx(f, pack=lambda content: content[:-5]), "768 bytes by its header .*, and 763 in"),
    "long IDX": (lambda f: write_idx(f, pack=lambda content: content + b"x"), "and more in truth"),
    "cut gzip": (lambda f: write_idx(f, pack=lambda content: gzip.compress(content)[:-20]), "IDX .* cannot be read"),
    "wrong magic": (lambda f: write_idx(f, GREY[0]), "begins with 00000802, and an IDX file of bytes in 3"),
    "empty IDX": (lambda f: file(f, IDX_NAME, b""), "begins with nothing"),
    "huge IDX": (lambda f: file(f, IDX_NAME, HUGE), "bytes by its header, allowed are"),
    "IDX of no pixels": (lambda f: write_idx(f, GREY[:, :0]), r"has shape \[12, 0, 8\], and so no images"),
    "IDX without labels": (without_labels, "there is no IDX file .*t10k-labels-idx1-ubyte"),
    "empty folder": (lambda f: f, "has no folders"),
    "empty class": (lambda f: (f / "cat").mkdir() or f, "cat' of a class has no PNG or JPEG files"),
    "text": (lambda f: file(f, "cat/a.png", b"hello"), "image .*a.png' cannot be read as PNG or JPEG"),
    "cut PNG": (lambda f: file(f, "cat/a.png", png(COLOUR[0])[:-60]), "cannot be read as PNG or JPEG"),
    "GIF": (lambda f: file(f, "cat/a.gif", b"GIF89a"), "is of no kind that is read"),
    "GIF as PNG": (lambda f: file(f, "cat/a.png", b"GIF89a" + bytes(20)), "cannot be read as PNG or JPEG"),
    "16 bits": (lambda f: file(f, "cat/a.png", png(np.zeros((8, 8), np.uint16))), "more than 8 bits a channel"),
    "many pixels": (lambda f: file(f, "cat/a.png", png(np.zeros((9000, 9000), np.uint8))), "9000 x 9000 pixels"),
    "CIFAR in pickles": (lambda f: file(f, "test_batch", pickle.dumps({})), "is a pickle.*binary version"),
    "pickle": (lambda f: file(f, "data_batch_1", b"x") / "data_batch_1", "is a pickle.*binary version"),
    "cut CIFAR": (lambda f: file(f, "test_batch.bin", bytes(3000)), "is 3,000 bytes; CIFAR-10 has 3,073"),
    "tar": (lambda f: file(f, "data.tar", b"x") / "data.tar", "of no kind that is read"),
    "nothing": (lambda f: f / "nothing", "there is no file or folder of images"),
}  # fmt: skip
"""Writers of data into a folder, and words of what is said of them."""


@pytest.mark.parametrize("what", BROKEN)
def test_data_that_do_not_fit(plans, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write, words = BROKEN[what]
    with pytest.raises(InputError, match=words):
        ImageClassification(plans["fixed"], write(tmp_path), None).fingerprint()
    assert not Path("ran").exists()


def test_arrays_are_bounded(plans, tmp_path, monkeypatch):
    monkeypatch.setattr("tilewright.runtime.tasks.images.arrays.LARGEST_ARRAYS", 2000)
    with pytest.raises(InputError, match="holds 2,316 bytes of arrays, allowed are 2,000"):
        ImageClassification(plans["colour"], npz(tmp_path), None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "8x8"}, "size is '8x8'; it must be the shorter side's length"),
        ({"crop": [8, 8, 3]}, r"crop is \[8, 8, 3\]; it must be one for both"),
        ({"size": 0}, "size is 0"),
        ({"mean": "grey"}, "mean is 'grey'; it must be a number"),
        ({"mean": [0.1, 0.2]}, "has 3 channel.s., and mean has 2 numbers"),
        ({"std": [0.1, 0, 0.2]}, "deviations are more than 0"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"scale": [1, 2]}, "scale is .* one number"),
        ({"by_name": "no"}, "by_name is 'no'; allowed: true, false"),
        ({"resample": "cubic", "size": 8}, "resample is 'cubic'; did you mean 'bicubic'"),
        ({"size": 8, "crop": 9}, "image 0 is 9 x 9 pixels, and input 'images' takes 8 x 8"),
    ],
)
def test_options_that_are_none(plans, options, words, tmp_path):
    with pytest.raises(InputError, match=words):
        ImageClassification(plans["fixed"], npz(tmp_path), None, **options).fingerprint()


def of_name(output, name):
    return output.model_copy(update={"name": name})


def test_of_several_outputs_the_logits_count(plans, tmp_path):
    (output,) = plans["fixed"].document.outputs
    several = changed(plans["fixed"], outputs=[of_name(output, "features"), of_name(output, "logits")])
    assert ImageClassification(several, npz(tmp_path), None).output == "logits"


def test_numbers_that_are_too_large_or_no_fractions(plans, tmp_path):
    images, labels = np.full((3, 8, 8, 3), 200.0), np.arange(3)
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    with pytest.raises(InputError, match="is float64 and holds whole numbers up to 200; store them as uint8"):
        ImageClassification(plans["fixed"], tmp_path / "a.npz", None)
    np.savez(tmp_path / "c.npz", images=images / 255, labels=labels)
    with pytest.raises(InputError, match="image 0 has, prepared, numbers that are not finite in 32 bits"):
        ImageClassification(plans["fixed"], tmp_path / "c.npz", None, std=1e-300).fingerprint()


def test_plans_that_are_of_no_images(plans, tmp_path):
    plan, data = plans["fixed"], npz(tmp_path)
    (record,), (output,) = plan.document.inputs, plan.document.outputs
    other = record.model_copy(update={"name": "other", "shape": ["batch", 5]})
    plans_and_words = [
        (of_shape(plan, ["batch", 3, 8]), "images need one input of 4 dimensions, or one of 2; the plan takes images"),
        (changed(plan, inputs=[record, record]), "images need one input of 4 dimensions"),
        (changed(plan, inputs=[record, other]), "gives 'images' alone; the plan takes images .*, other .'batch', 5."),
        (of_shape(plan, ["batch", 5]), "image 0 has 3 x 8 x 8 numbers, and input 'images' takes 5"),
        (changed(plan, outputs=[output.model_copy(update={"shape": ["batch", 3, 8, 8]})]), "needs one output"),
        (changed(plan, outputs=[of_name(output, "features"), of_name(output, "scores")]), "needs one output"),
    ]
    for made, words in plans_and_words:
        with pytest.raises(InputError, match=words):
            ImageClassification(made, data, None).fingerprint()


def test_channels_last(plans, tmp_path):
    (value,) = (
        ImageClassification(of_shape(plans["fixed"], ["batch", 8, 8, 3]), npz(tmp_path), None).samples[0].values()
    )
    assert torch.equal(value, torch.tensor(COLOUR[0]) / 255)
