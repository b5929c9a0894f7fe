"""Preparation of images as a model's own preprocessor_config.json says, which a plan carries beside its graph."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.images.preparation import FILTERS, Preparation, Sides, preparation
from tilewright.targets.errors import InputError, first_problem, nearest
from tilewright.targets.shown import shown

FILE = "preprocessor_config.json"
SQUARE = frozenset({"Beit", "DeiT", "Pvt", "ViT"})
"""Kinds of processors that take a size of one number for both sides; all others for the shorter one."""
CROPPING = frozenset({"Bit", "CLIP", "ChineseCLIP", "DeiT", "MobileNetV1", "MobileNetV2"})
"""Kinds that crop where their file does not say."""
KINDS = SQUARE | CROPPING | {"ConvNext", "Siglip"}
"""Kinds of processors whose steps are these; the others do something of their own."""
WARPED = 384
"""Smallest size that ConvNext's processor resizes to without keeping the aspect ratio and cropping."""


class _Config(BaseModel, extra="ignore", allow_inf_nan=False):
    image_processor_type: str | None = None
    feature_extractor_type: str | None = None
    do_resize: bool | None = True
    size: int | list[int] | dict[str, int | None] | None = None
    resample: int | None = None
    crop_pct: float | None = None
    do_center_crop: bool | None = None
    crop_size: int | list[int] | dict[str, int | None] | None = None
    do_rescale: bool | None = True
    rescale_factor: float | None = 1 / 255
    do_normalize: bool | None = True
    image_mean: float | list[float] | None = None
    image_std: float | list[float] | None = None
    do_pad: bool | None = False


def own_preparation(plan: Plan) -> Preparation | None:
    """The preparation that a plan's model asks for; None if its folder had no preprocessor_config.json.

    Raises ``InputError`` for a file that is damaged, or of a kind of processor that does something else.
    """
    content = plan.tokenizer_files.get(FILE)
    if content is None:
        return None
    try:
        values: Any = json.loads(content)
        config = _Config.model_validate(values)
    except ValidationError as error:
        raise InputError(f"the plan's {FILE}: {first_problem(error, _Config)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the plan's {FILE} cannot be read: {error}") from error
    try:
        return _of(config, _kind(config), "do_center_crop" in values)
    except InputError as error:
        raise InputError(f"the plan's {FILE}: {error}") from error


def _kind(config: _Config) -> str:
    name = config.image_processor_type or config.feature_extractor_type or "none"
    kind = name.removesuffix("Fast").removesuffix("Pil").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    if kind not in KINDS or config.do_pad:
        what = "pads images" if kind in KINDS else "is not known"
        known = nearest(name, [f"{known}ImageProcessor" for known in KINDS])
        raise InputError(
            f"image processor {shown(name)} {what}; give the task's options size, mean and std instead, or "
            f"another processor; {known}"
        )
    return kind


def _of(config: _Config, kind: str, says_crop: bool) -> Preparation:
    size = _sides(config.size, kind in SQUARE, "size") if config.do_resize else None
    crops = config.do_center_crop if says_crop else kind in CROPPING
    crop = _sides(config.crop_size, True, "crop_size") if crops else None
    if kind == "ConvNext" and isinstance(size, int):
        if size < WARPED:
            size, crop = int(size / (config.crop_pct or 224 / 256)), (size, size)
        else:
            size = size, size
    if size is not None and config.resample not in range(len(FILTERS)):
        raise InputError(f"resample is {config.resample}; allowed are 0 to {len(FILTERS) - 1}")
    normalises = bool(config.do_normalize)
    if normalises and (config.image_mean is None or config.image_std is None):
        raise InputError("it normalises, and has no image_mean or no image_std")
    found = preparation(
        size,
        crop,
        None if size is None else FILTERS[config.resample or 0],
        config.rescale_factor if config.do_rescale else 1.0,
        config.image_mean if normalises else None,
        config.image_std if normalises else None,
    )
    return found or Preparation()


def _sides(value: Any, square: bool, name: str) -> Sides | int:
    if isinstance(value, dict):
        given = {key: side for key, side in value.items() if side is not None}
        if given.keys() == {"height", "width"}:
            return given["height"], given["width"]
        if given.keys() == {"shortest_edge"} and name == "size":
            return int(given["shortest_edge"])
    elif isinstance(value, list) and len(value) == 2:
        return value[0], value[1]
    elif isinstance(value, int):
        return (value, value) if square else value
    raise InputError(f"{name} is {shown(value)}; allowed are height and width, or the shortest_edge")
