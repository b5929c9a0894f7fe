"""Labelled images as readers of files give them, and the pixels of a PNG or JPEG file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilewright.targets.errors import InputError

Pixels = np.ndarray[Any, Any]
"""Image [height, width, channels]: whole numbers from 0 to 255 (uint8), or fractions."""
MOST_PIXELS = 2**26
"""Largest number of pixels of one image."""
LARGEST_ARRAYS = 2**33
"""Largest number of bytes of all images of a file that holds them as plain numbers."""


def _numbered(number: int) -> str:
    return f"image {number}"


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images, each read when it is asked for.

    pixels: function from an image's number to its pixels. labels: one an image, names of classes or numbers. classes:
    names of the classes that numbers stand for; None where the data have none. name: function from an image's number
    to what sentences call it.
    """

    pixels: Callable[[int], Pixels]
    labels: list[Any]
    classes: list[str] | None = None
    name: Callable[[int], str] = _numbered


def decoded(content: bytes, what: str, channels: int | None) -> Pixels:
    """Pixels of a PNG or JPEG file of 8 bits a channel, on white where it is transparent.

    what: the file's name, for sentences. channels: 1 for grey, 3 for red, green and blue, whatever the file has; any
    other number or None for what it has. Raises ``InputError`` for other files, damaged ones and too large ones.
    """
    pillow = import_pillow()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            pillow.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image,
        ):
            if image.width * image.height > MOST_PIXELS:
                raise InputError(f"{what} has {image.width} x {image.height} pixels, allowed are {MOST_PIXELS:,}")
            if image.mode[0] in "IF":
                raise InputError(f"{what} has more than 8 bits a channel, which are not read")
            if image.has_transparency_data:
                page = pillow.new("RGBA", image.size, "white")
                image = pillow.alpha_composite(page, image.convert("RGBA"))  # noqa: PLW2901
            is_grey = channels == 1 or (channels != 3 and image.mode in ("1", "L"))
            pixels = np.asarray(image.convert("L" if is_grey else "RGB"))
    except InputError:
        raise
    except pillow.UnidentifiedImageError as error:  # its message names a place in memory
        raise InputError(f"{what} cannot be read as PNG or JPEG: it begins as neither does, or is damaged") from error
    except Exception as error:  # Pillow raises what its decoders do
        raise InputError(f"{what} cannot be read as PNG or JPEG: {str(error) or type(error).__name__}") from error
    return pixels.reshape(*pixels.shape[:2], -1)


def import_pillow() -> Any:
    """Pillow's module ``Image``. Raises ``InputError`` if it is not installed."""
    try:
        import PIL.Image
    except ImportError as error:
        raise InputError(
            f"reading images needs the package pillow ({error}); install it: pip install 'tilewright[tasks]'"
        ) from error
    return PIL.Image
