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
    """A readable image: its path from the root on, and what its header says."""

    path: Path
    header: Header


@dataclass(frozen=True)
class _Content:
    """What lies directly in a folder, sorted and without what is hidden."""

    folders: list[Path]
    loops: list[Path]
    images: list[Path]
    others: list[Path]

    @classmethod
    def of(cls, root: Path) -> _Content:
        suffixes = image_suffixes()
        entries = [entry for entry in sorted(root.iterdir()) if not entry.name.startswith(".")]
        folders = [entry for entry in entries if entry.is_dir()]
        # A link to the folder or to one above would bring every image in again under its name.
        loops = [folder for folder in folders if root.resolve().is_relative_to(folder.resolve())]
        files = [entry for entry in entries if not entry.is_dir()]
        return cls(
            folders=[folder for folder in folders if folder not in loops],
            loops=loops,
            images=[file for file in files if file.suffix.lower() in suffixes],
            others=[file for file in files if file.suffix.lower() not in suffixes],
        )


def load_folder(
    root: Path,
    image_size: tuple[int, int] | None,
    channels: int | None,
    memory_limit: int,
) -> LabelledImages:
    """Reads a folder with one sub-folder per class; see `lossmith.datasets.load`."""
    content = _Content.of(root)
    notes = (
        _note("Images outside the class folders, left out", _names(content.images))
        + _note("Files outside the class folders, left alone", _names(content.others))
        + _note("Links back to the folder itself, left out", _names(content.loops))
    )
    paths, others = _image_paths(root, content.folders)
    notes += _note("Files that are no images, left alone", others)
    files, broken = _read_headers(root, paths)
    _require_classes(files, root, notes + _broken_note(broken))
    files, images, format_notes, undecodable = _read(
        root, files, image_size, channels, memory_limit
    )
    lost = _broken_note(broken + undecodable) + _empty_note(content.folders, files)
    for note in lost:
        warnings.warn(note, stacklevel=4)
    _require_classes(files, root, notes + lost)
    labels, class_names = _numbered([_class_folder(file) for file in files])
    notes += lost + format_notes + notes_on_single_items(labels, class_names)
    return LabelledImages(images, labels, class_names, notes=notes)


def load_gallery_folder(
    root: Path,
    image_size: tuple[int, int] | None,
    channels: int | None,
    memory_limit: int,
) -> LabelledImages:
    """Reads all images of a folder; see `lossmith.datasets.load_gallery`."""
    content = _Content.of(root)
    below, others = _image_paths(root, content.folders)
    own = [path.relative_to(root) for path in content.images]
    files, broken = _read_headers(root, [*own, *below])
    _require_images(files, root, broken)
    files, images, notes, undecodable = _read(root, files, image_size, channels, memory_limit)
    broken += undecodable
    _require_images(files, root, broken)
    lost = _broken_note(broken)
    for note in lost:
        warnings.warn(note, stacklevel=4)
    labels, class_names = _numbered(
        [_class_folder(file) if len(file.path.parts) > 1 else root.resolve().name for file in files]
    )
    left = _note("Files that are no images, left alone", [*_names(content.others), *others])
    left += _note("Links back to the folder itself, left out", _names(content.loops))
    return LabelledImages(images, labels, class_names, notes=left + lost + notes)


def _read(
    root: Path,
    files: list[_ImageFile],
    image_size: tuple[int, int] | None,
    channels: int | None,
    memory_limit: int,
) -> tuple[list[_ImageFile], Images, Notes, list[str]]:
    """The images in one format, of which files, notes on that, and what cannot be decoded."""
    image_format, notes = _common_format([file.header for file in files], image_size, channels)
    if not _fits(files, image_format, memory_limit):
        images = FolderImages(root, tuple(file.path for file in files), image_format)
        return files, images, notes, []
    decoded, pixels, undecodable = _decode_all(root, files, image_format)
    return decoded, pixels, notes, undecodable


def _class_folder(file: _ImageFile) -> str:
    return file.path.parts[0]


def _numbered(folders: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class ids and their names, from the folder of each image."""
    names, ids = np.unique(folders, return_inverse=True)
    return ids.astype(np.int64), tuple(_shown(name) for name in names)


def _image_paths(root: Path, folders: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Lists the files that are images by their names, and the others, relative to the root."""
    suffixes = image_suffixes()
    images: list[Path] = []
    others: list[Path] = []
    for path in (path for folder in folders for path in _walk(folder)):
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
    transparent = sum(header.has_alpha for header in headers)
    if transparent:
        notes += (
            f"{transparent} of {len(headers)} images may be transparent in places, which are laid "
            "over white.",
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
    names = sorted({_shown(_class_folder(file)) for file in files})
    advice = [
        "Put the images of each class into a sub-folder of its own, such as "
        f"{root / 'cat' / '1.jpg'} and {root / 'dog' / '1.jpg'}.",
        *notes,
    ]
    require_two_classes(names, f"the folder {root}", " " + " ".join(advice))


def _require_images(files: Sequence[_ImageFile], root: Path, broken: Sequence[str]) -> None:
    if not files:
        told = " ".join([f"A gallery needs an image; {root} has none.", *_broken_note(broken)])
        raise ValueError(told)


def _broken_note(broken: Sequence[str]) -> Notes:
    return _note("Images that cannot be read, left out", broken)


def _empty_note(class_folders: Iterable[Path], files: Iterable[_ImageFile]) -> Notes:
    used = {_class_folder(file) for file in files}
    empty = [folder.name for folder in class_folders if folder.name not in used]
    return _note("Class folders without a readable image, left out", empty)


def _note(what: str, items: Sequence[str | Path]) -> Notes:
    if not items:
        return ()
    return (f"{what}: {len(items)} ({listing([_shown(item) for item in items])}).",)


def _names(entries: Iterable[Path]) -> list[str]:
    return [entry.name for entry in entries]


def _shown(path: str | Path) -> str:
    """A path as valid Unicode, also where its bytes are not."""
    return os.fsencode(path).decode("utf-8", "replace")
