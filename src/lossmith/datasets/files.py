"""Image files: what the header tells, and the pixels in the format of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossmith.datasets.images import ImageFormat

if TYPE_CHECKING:
    from PIL.Image import Image

# Decoders that read pixels and start no other program (EPS, for one, would start Ghostscript).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
GREY_MODES = {"1", "L", "LA", "La"}
DEEP_MODES = {"F", "I", "I;16", "I;16B", "I;16L", "I;16N"}
SIDEWAYS = {5, 6, 7, 8}
ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Header:
    """What a file says of its image before a pixel is decoded.

    Args:
        size: Height and width as the image is meant to be seen (EXIF orientation applied).
        is_grey: Whether the image has no colours. Palettes count as colour.
        is_deep: Whether a pixel takes more than 8 bits per channel.
        has_alpha: Whether pixels may be transparent.
    """

    size: tuple[int, int]
    is_grey: bool
    is_deep: bool
    has_alpha: bool


def _formats() -> list[str]:
    """Those of `FORMATS` that the installed Pillow was built with."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def image_suffixes() -> frozenset[str]:
    """The file name endings of the formats that are read, in lower case."""
    from PIL import Image

    known, formats = Image.registered_extensions(), _formats()
    return frozenset(suffix for suffix, name in known.items() if name in formats)


def read_header(path: Path) -> Header:
    """Reads size and colour mode without decoding the pixels.

    Raises:
        ValueError: If the file is no readable image.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=_formats()) as image:
            width, height = image.size
            # Asking a PNG without EXIF for its orientation would decode all of it.
            orientation = image.getexif().get(ORIENTATION_TAG) if "exif" in image.info else None
            mode, has_alpha = image.mode, image.has_transparency_data
    except Exception as error:  # decoders raise nearly anything on a broken file
        raise ValueError(_reason(error)) from error
    size = (width, height) if orientation in SIDEWAYS else (height, width)
    return Header(size, mode in GREY_MODES | DEEP_MODES, mode in DEEP_MODES, has_alpha)


def read_image(path: str | PathLike[str], image_format: ImageFormat) -> NDArray[np.float32]:
    """Reads one image file the way the images of a data set were read.

    EXIF orientation is applied, transparency laid over white, the colour mode converted, the size
    changed with antialiasing (stretched, not cropped); 16-bit images keep their depth.

    Args:
        path: Path of an image file.
        image_format: Size and colour mode to bring it to.

    Returns:
        Array of shape `(height, width, channels)`, float32 in [0, 1].

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be decoded; the message names it.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (20, 10), color=51).save(f"{folder}/grey.png")
        ...     pixels = read_image(f"{folder}/grey.png", ImageFormat(4, 8, 3))
        >>> pixels.shape, float(pixels.max())
        ((4, 8, 3), 0.2)
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no image file at {str(path)!r}.")
    try:
        values = decode(Path(path), image_format)
    except ValueError as error:
        raise ValueError(
            f"The image {path} cannot be decoded: {error}. Repair the file, or leave it out."
        ) from error
    white = 255 if values.dtype == np.uint8 else 1
    return values.astype(np.float32) / np.float32(white)


def stretched_from(path: str | PathLike[str], image_format: ImageFormat) -> tuple[int, int] | None:
    """The height and width of an image whose proportions change when it is read.

    Args:
        path: Path of an image file.
        image_format: The format that `read_image` brings it to.

    Returns:
        Height and width of the file, or `None` if the proportions stay, to a pixel.

    Raises:
        ValueError: If the file is no readable image.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (20, 10)).save(f"{folder}/wide.png")
        ...     stretched_from(f"{folder}/wide.png", ImageFormat(28, 28, 1))
        (10, 20)
    """
    height, width = read_header(Path(path)).size
    unstretched = image_format.width * height / width
    return None if abs(unstretched - image_format.height) < 1 else (height, width)


def notes_on_colours(path: str | PathLike[str], image_format: ImageFormat) -> tuple[str, ...]:
    """What `read_image` takes away from the colours of an image, in plain sentences.

    Args:
        path: Path of an image file.
        image_format: The format that `read_image` brings it to.

    Returns:
        A sentence each on colours read as grey and on transparency; none if all is kept.

    Raises:
        ValueError: If the file is no readable image.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (20, 10)).save(f"{folder}/grey.png")
        ...     notes_on_colours(f"{folder}/grey.png", ImageFormat(10, 20, 1))
        ()
    """
    header = read_header(Path(path))
    notes: tuple[str, ...] = ()
    if image_format.channels == 1 and not header.is_grey:
        notes += (f"{path} has colours and is read as grey.",)
    if header.has_alpha:
        notes += (f"{path} may be transparent in places, which are laid over white.",)
    return notes


def decode(path: Path, image_format: ImageFormat) -> NDArray[Any]:
    """Decodes a file to `(H, W, C)`: uint8, or float32 in [0, 1] for more than 8 bits a channel.

    Raises:
        ValueError: If the file cannot be decoded; the message is the bare reason.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=_formats()) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode in DEEP_MODES:
                pixels = _deep_pixels(image, image_format)
            else:
                pixels = np.asarray(_fit(_opaque(image, image_format), image_format))
    except Exception as error:  # decoders raise nearly anything on a broken file
        raise ValueError(_reason(error)) from error
    channels_last = pixels.reshape(image_format.height, image_format.width, -1)
    return np.broadcast_to(channels_last, image_format.shape)


def _opaque(image: Image, image_format: ImageFormat) -> Image:
    """Lays transparency over white and converts to grey or RGB."""
    import PIL.Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image_format.channels == 1 else "RGB")


def _deep_pixels(image: Image, image_format: ImageFormat) -> NDArray[np.float32]:
    """Scales 16-bit and float pixels to [0, 1] before they are resized."""
    import PIL.Image

    values = np.asarray(image, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    white = 65535.0 if image.mode != "F" else 1.0 if high <= 1 else 255.0
    if not 0 <= low <= high <= white:
        raise ValueError(
            f"values from {low:g} to {high:g}, where [0, 65535] (integers) or [0, 1] or [0, 255] "
            "(floats) were expected"
        )
    resized = _fit(PIL.Image.fromarray(values / np.float32(white)), image_format)
    return np.clip(np.asarray(resized), 0.0, 1.0)


def _fit(image: Image, image_format: ImageFormat) -> Image:
    import PIL.Image

    size = (image_format.width, image_format.height)
    return image if image.size == size else image.resize(size, PIL.Image.Resampling.LANCZOS)


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image, or broken"
    return f"{error}".rstrip(".") or type(error).__name__
