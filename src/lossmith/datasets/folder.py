"""A folder of images with one sub-folder per class."""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossmith.datasets.files import Header, decode, image_suffixes, read_header, read_image
from lossmith.datasets.images import ArrayImages, ImageFormat, Images
from lossmith.datasets.labelled import (
    LabelledImages,
    listing,
    notes_on_single_items,
    require_two_classes,
)

Notes = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Images that are decoded from their files at every request.

    Args:
        root: The folder that the names of the files start from.
        files: Paths of the files, relative to `root`.
        image_format: Size and colour mode that all of them are brought to.
    """

    root: Path
    files: tuple[Path, ...]
    image_format: ImageFormat

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: height, width, channels."""
        return self.image_format.shape

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """The images at an index array, slice or integer, float32 in [0, 1]."""
        chosen = np.asarray(np.arange(len(self))[index])
        pixels = np.empty((*chosen.shape, *self.shape), dtype=np.float32)
        for place, item in np.ndenumerate(chosen):
            pixels[place] = read_image(self.root / self.files[item], self.image_format)
        return pixels

    def name(self, index: int) -> str:
        """The path of the file within the folder."""
        return _shown(self.files[index])


@dataclass(frozen=True)
class _ImageFile:
    """A readable image; the first part of its path, from the root on, is the class folder."""

    path: Path
    header: Header

    @property
    def class_folder(self) -> str:
        return self.path.parts[0]


def load_folder(
    root: Path,
    image_size: tuple[int, int] | None,
    channels: int | None,
    memory_limit: int,
) -> LabelledImages:
    """Reads a folder with one sub-folder per class; see `lossmith.datasets.load`."""
    class_folders, notes = _class_folders(root)
    paths, others = _image_paths(root, class_folders)
    notes += _note("Files that are no images, left alone", others)
    files, broken = _read_headers(root, paths)
    _require_classes(files, root, notes + _broken_note(broken))
    image_format, format_notes = _common_format(
        [file.header for file in files], image_size, channels
    )
    images: Images
    if _fits(files, image_format, memory_limit):
        files, images, undecodable = _decode_all(root, files, image_format)
        broken += undecodable
    else:
        images = FolderImages(root, tuple(file.path for file in files), image_format)
    lost = _broken_note(broken) + _empty_note(class_folders, files)
    for note in lost:
        warnings.warn(note, stacklevel=3)
    _require_classes(files, root, notes + lost)
    folders, ids = np.unique([file.class_folder for file in files], return_inverse=True)
    class_names = tuple(_shown(folder) for folder in folders)
    labels = ids.astype(np.int64)
    notes += lost + format_notes + notes_on_single_items(labels, class_names)
    return LabelledImages(images, labels, class_names, notes=notes)


def _class_folders(root: Path) -> tuple[list[Path], Notes]:
    """Lists the sub-folders by name, and notes what lies beside them."""
    suffixes = image_suffixes()
    entries = [entry for entry in sorted(root.iterdir()) if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir()]
    # A link to the folder or to one above would bring every image in again under its name.
    loops = [folder for folder in folders if root.resolve().is_relative_to(folder.resolve())]
    files = [entry for entry in entries if not entry.is_dir()]
    loose = [file.name for file in files if file.suffix.lower() in suffixes]
    others = [file.name for file in files if file.suffix.lower() not in suffixes]
    notes = (
        _note("Images outside the class folders, left out", loose)
        + _note("Files outside the class folders, left alone", others)
        + _note("Links back to the folder itself, left out", [loop.name for loop in loops])
    )
    return [folder for folder in folders if folder not in loops], notes


def _image_paths(root: Path, class_folders: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Lists the files that are images by their names, and the others, relative to the root."""
    suffixes = image_suffixes()
    images: list[Path] = []
    others: list[Path] = []
    for path in (path for folder in class_folders for path in _walk(folder)):
        is_image = path.suffix.lower() in suffixes and path.is_file()
        (images if is_image else others).append(path.relative_to(root))
    return images, others


def _walk(folder: Path) -> Iterator[Path]:
    """Visits the files that are not hidden, sorted, without following links to folders."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


def _read_headers(root: Path, paths: Iterable[Path]) -> tuple[list[_ImageFile], list[str]]:
    files: list[_ImageFile] = []
    broken: list[str] = []
    for path in paths:
        try:
            files.append(_ImageFile(path, read_header(root / path)))
        except ValueError as error:
            broken.append(f"{_shown(path)}: {error}")
    return files, broken


def _common_format(
    headers: Sequence[Header],
    image_size: tuple[int, int] | None,
    channels: int | None,
) -> tuple[ImageFormat, Notes]:
    """Chooses the one size and colour mode, and notes what is changed to reach it."""
    sizes = Counter(header.size for header in headers)
    height, width = sizes.most_common(1)[0][0] if image_size is None else image_size
    grey = sum(header.is_grey for header in headers)
    if channels is None:
        channels = 1 if grey == len(headers) else 3
    notes: Notes = ()
    resized = len(headers) - sizes[height, width]
    if resized:
        why = "the most common size" if image_size is None else "the size wanted"
        notes += (
            f"{resized} of {len(headers)} images have another size than {height} x {width} "
            f"(height x width, {why}) and are resized to it, stretched where the shape differs.",
        )
    if grey and channels == 3:
        notes += (f"{grey} of {len(headers)} images are grey and read as RGB.",)
    if grey < len(headers) and channels == 1:
        notes += (
            f"{len(headers) - grey} of {len(headers)} images have colours and are read as grey.",
        )
    return ImageFormat(height, width, channels), notes


def _fits(files: Sequence[_ImageFile], image_format: ImageFormat, memory_limit: int) -> bool:
    """Whether all images can be held in memory as bytes without losing depth."""
    is_deep = any(file.header.is_deep for file in files)
    return not is_deep and len(files) * math.prod(image_format.shape) <= memory_limit


def _decode_all(
    root: Path, files: Sequence[_ImageFile], image_format: ImageFormat
) -> tuple[list[_ImageFile], ArrayImages, list[str]]:
    pixels = np.empty((len(files), *image_format.shape), dtype=np.uint8)
    decoded: list[_ImageFile] = []
    broken: list[str] = []
    for file in files:
        try:
            pixels[len(decoded)] = decode(root / file.path, image_format)
            decoded.append(file)
        except ValueError as error:
            broken.append(f"{_shown(file.path)}: {error}")
    names = tuple(_shown(file.path) for file in decoded)
    return decoded, ArrayImages(pixels[: len(decoded)], white=255, names=names), broken


def _require_classes(files: Iterable[_ImageFile], root: Path, notes: Notes) -> None:
    names = sorted({_shown(file.class_folder) for file in files})
    noticed = f" ({' '.join(notes)})" if notes else ""
    advice = (
        " Put the images of each class into a sub-folder of its own, such as "
        f"{root / 'cat' / '1.jpg'} and {root / 'dog' / '1.jpg'}."
    )
    require_two_classes(names, f"the folder {root}{noticed}", advice)


def _broken_note(broken: Sequence[str]) -> Notes:
    return _note("Images that cannot be read, left out", broken)


def _empty_note(class_folders: Iterable[Path], files: Iterable[_ImageFile]) -> Notes:
    used = {file.class_folder for file in files}
    empty = [folder.name for folder in class_folders if folder.name not in used]
    return _note("Class folders without a readable image, left out", empty)


def _note(what: str, items: Sequence[str | Path]) -> Notes:
    if not items:
        return ()
    return (f"{what}: {len(items)} ({listing([_shown(item) for item in items])}).",)


def _shown(path: str | Path) -> str:
    """A path as valid Unicode, also where its bytes are not."""
    return os.fsencode(path).decode("utf-8", "replace")
