"""Classification of images by a model with one logit a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.images.files import read_images
from tilewright.runtime.tasks.images.labelled import LabelledImages
from tilewright.runtime.tasks.images.network_input import ImageInput
from tilewright.runtime.tasks.images.preparation import Preparation, preparation
from tilewright.runtime.tasks.images.processor import own_preparation
from tilewright.runtime.tasks.logits import LOGITS, class_loss
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.metrics import TOP, accuracy, accuracy_of_top
from tilewright.runtime.tasks.task import Sample, Task
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_flags


class ImageClassification(Task):
    """Classes of images: the largest logit is the class. Labels are the model's class names, or their numbers."""

    metric_of: Callable[[int], Metric] = staticmethod(accuracy)
    """Function from the number of classes to the metric."""

    def __init__(
        self,
        plan: Plan,
        data: Path,
        limit: int | None,
        *,
        size: int | Sequence[int] | None = None,
        crop: int | Sequence[int] | None = None,
        resample: str | None = None,
        scale: float | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        by_name: bool = True,
    ) -> None:
        """Find the images of a folder of classes, an .npz file, IDX files or CIFAR's. They are read as they are needed.

        size, crop, resample, scale, mean, std: see ``Preparation``; if one is given, all are those of the options, else
        all are those of the model's own preprocessor_config.json. by_name: False where the data's classes are the
        model's in the same order, whatever their names. With a limit, classes of data that lie class by class take
        turns. Raises ``InputError`` for data that do not fit.
        """
        check_flags(by_name=by_name)
        given = preparation(size, crop, resample, scale, mean, std)
        prepare = given or own_preparation(plan) or Preparation()
        takes = ImageInput(plan)
        images = read_images(data, takes.channels)
        self.output, classes = _logits(plan)
        names = plan.document.model.classes
        labels = _class_numbers(images, names if by_name else None)
        if classes is None:
            classes = len(names) if names else max(labels) + 1
        if max(labels) >= classes:
            raise InputError(f"label {max(labels)} is no class of the model, which has {classes} of them, from 0 on")
        chosen = _first(labels, limit)
        self.labels = [labels[number] for number in chosen]
        self.samples = _PreparedImages(images, chosen, prepare, takes)
        self.metric = self.metric_of(classes)

    def loss(self, numbers: Sequence[int], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the classes."""
        return class_loss(outputs[self.output], [self.labels[number] for number in numbers])

    def taught(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The output that tells the classes apart [samples, classes]."""
        return outputs[self.output]

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The class of each image [samples]."""
        return outputs[self.output].argmax(dim=-1)


class ImageClassificationTop5(ImageClassification):
    """Classes of images, right if the label is among the five largest logits."""

    metric_of: Callable[[int], Metric] = staticmethod(accuracy_of_top)

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The five likeliest classes of each image, the likeliest first [samples, 5]."""
        return outputs[self.output].topk(TOP, dim=-1).indices


class _PreparedImages(Sequence[Sample]):
    """Inputs of images, each made when it is asked for: those of all images may be larger than memory."""

    def __init__(self, images: LabelledImages, chosen: list[int], prepare: Preparation, takes: ImageInput) -> None:
        self._images, self._chosen, self._prepare, self._takes = images, chosen, prepare, takes

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, place: Any) -> Any:
        number = self._chosen[place]
        what = self._images.name(number)
        return {self._takes.name: self._takes.fitted(self._prepare(self._images.pixels(number), what), what)}


def _logits(plan: Plan) -> tuple[str, int | None]:
    """Name of the output that tells the classes apart, and their number where it is known."""
    outputs = plan.document.outputs
    flat = [record for record in outputs if len(record.shape) == 2]
    found = [record for record in flat if record.name == LOGITS] or flat
    if len(found) != 1:
        shapes = ", ".join(f"{record.name} {record.shape}" for record in outputs)
        raise InputError(
            f"image classification needs one output [batch, classes], or one that is called {LOGITS}; the plan gives "
            f"{shapes}"
        )
    size = found[0].shape[1]
    return found[0].name, size if isinstance(size, int) else None


def _class_numbers(images: LabelledImages, names: Sequence[str] | None) -> list[int]:
    """Numbers of the model's classes: by name where both have names, else as the data count them."""
    if images.classes is None:
        return class_numbers(images.labels, names)
    if max(images.labels) >= len(images.classes):
        raise InputError(f"label {max(images.labels)} is none of the data's {len(images.classes)} names of classes")
    if names is None:
        return [int(label) for label in images.labels]
    by_label = sorted(set(images.labels))
    numbers = dict(zip(by_label, class_numbers([images.classes[label] for label in by_label], names), strict=True))
    return [numbers[label] for label in images.labels]


def _first(labels: list[int], limit: int | None) -> list[int]:
    """Numbers of the first examples; of those that lie class by class, the first of each, then the second ones."""
    numbers = list(range(len(labels)))
    if limit is None or len(list(groupby(labels))) > len(set(labels)):
        return numbers[:limit]
    turns = [turn for _, of_class in groupby(labels) for turn, _ in enumerate(of_class)]
    return sorted(numbers, key=turns.__getitem__)[:limit]
