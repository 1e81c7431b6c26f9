"""The data of a run: loaded, described so that they are known again, and split."""

import hashlib
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from lossmith.datasets import (
    ArrayImages,
    ImageFormat,
    LabelledImages,
    Split,
    is_folder,
    is_named,
    load,
    load_gallery,
    notes_on_colours,
    read_image,
    stretched_from,
)
from lossmith.datasets.folder import FolderImages
from lossmith.datasets.labelled import listing
from lossmith.siamese.runs import RunFolder
from lossmith.siamese.settings import TrainingSettings
from lossmith_cli.messages import note, tracked

LARGEST_SIDE = 160
"""Folders of larger images are made smaller unless a size was asked for."""


Loader = Callable[..., LabelledImages]


def load_images(source: str, size: tuple[int, int] | None) -> LabelledImages:
    """Loads a data set and says what was noticed on the way."""
    data = _loaded(source, size)
    height, width, _ = data.image_format.shape
    if size is None and is_folder(source) and max(height, width) > LARGEST_SIDE:
        factor = LARGEST_SIDE / max(height, width)
        smaller = max(1, round(height * factor)), max(1, round(width * factor))
        note(
            f"Images of {height} x {width} are used at {smaller[0]} x {smaller[1]} to save time; "
            "--image-size chooses another size."
        )
        data = _loaded(source, smaller)
    return _noted(data)


def _noted(data: LabelledImages) -> LabelledImages:
    for text in data.notes:
        note(text)
    return data


def _loaded(
    source: str,
    size: tuple[int, int] | None,
    channels: int | None = None,
    loader: Loader = load,
) -> LabelledImages:
    with warnings.catch_warnings():
        # What is warned of is among the notes as well.
        warnings.simplefilter("ignore", UserWarning)
        return loader(source, size, channels=channels)


def load_images_for(source: str, run: RunFolder, wanted: ImageFormat) -> LabelledImages:
    """Loads a data set for the network of a run; images of a folder are brought to its format.

    Raises:
        ValueError: If arrays have another format than the images of the training.
    """
    return _in_format(source, run, wanted, load)


def load_gallery_for(source: str, run: RunFolder, wanted: ImageFormat) -> LabelledImages:
    """Loads images to search among for the network of a run; they need neither pairs nor classes.

    Raises:
        ValueError: If arrays have another format than the images of the training, or none is there.
    """
    return _in_format(source, run, wanted, load_gallery)


def _in_format(source: str, run: RunFolder, wanted: ImageFormat, loader: Loader) -> LabelledImages:
    if is_folder(source):
        return _noted(_loaded(source, (wanted.height, wanted.width), wanted.channels, loader))
    data = _noted(_loaded(source, None, loader=loader))
    if data.image_format != wanted:
        raise ValueError(
            f"The network of {run.path} takes images of {wanted}; those of {source} are "
            f"{data.image_format}."
        )
    return data


def read_query(path: Path, wanted: ImageFormat) -> np.ndarray:
    """Reads one image and says so if its proportions change, or colours or transparency go.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    image = read_image(path, wanted)
    for text in notes_on_colours(path, wanted):
        note(text)
    size = stretched_from(path, wanted)
    if size is not None:
        note(
            f"{path} is {size[0]} x {size[1]} (height x width) and is stretched to "
            f"{wanted.height} x {wanted.width}: what it shows changes its proportions."
        )
    return image


def describe(source: str, data: LabelledImages) -> dict[str, Any]:
    """Where the data lie and what identifies them, as JSON can hold it."""
    return {
        "source": source if is_named(source) else str(Path(source).resolve()),
        **identity(data),
    }


def identity(data: LabelledImages) -> dict[str, Any]:
    """What data are the same by, wherever they lie: labels, and names or pixels."""
    digest = hashlib.sha256(np.asarray(data.labels, dtype="<i8").tobytes())
    if isinstance(data.images, ArrayImages) and data.images.names is None:
        digest.update(np.ascontiguousarray(data.images.values).data)
    else:
        names = (data.images.name(index) for index in range(len(data)))
        digest.update("\0".join(names).encode())
    return {
        "images": len(data),
        "image_format": asdict(data.image_format),
        "classes": list(data.class_names),
        "sha256": digest.hexdigest(),
    }


@dataclass(frozen=True)
class RunConfig:
    """What the configuration of a run says.

    Attributes:
        data: Where the data lie and what identifies them, as `describe` gives it.
        image_format: The format of the images.
        preset: Where the settings came from that were not asked for.
        settings: What the network was trained with.
    """

    data: dict[str, Any]
    image_format: ImageFormat
    preset: str
    settings: TrainingSettings

    def difference_of(self, data: LabelledImages) -> str | None:
        """What tells data from those of the training, `None` if nothing, wherever they lie now."""
        found = identity(data)
        if found.items() <= self.data.items():
            return None
        kept = self.data["classes"]
        gone = [name for name in kept if name not in found["classes"]]
        new = [name for name in found["classes"] if name not in kept]
        said = [
            f"{what}: {listing(names)}"
            for what, names in (("without the classes", gone), ("with new classes", new))
            if names
        ]
        if not said and len(data) != self.data["images"]:
            said.append(f"{len(data):,} images, where the training had {self.data['images']:,}")
        if data.image_format != self.image_format:
            said.append(f"{data.image_format}, where the training had {self.image_format}")
        return "; ".join(said) or "as many images, but other ones, or of other names or labels"

    def lacks_images(self, data: LabelledImages) -> bool:
        """Whether these may be the data of the training with some images gone."""
        return len(data) < self.data["images"] and set(data.class_names) <= {*self.data["classes"]}

    @classmethod
    def of(cls, run: RunFolder) -> Self:
        """Reads the configuration of a run.

        Raises:
            ValueError: If the file is not what `lossmith train` wrote.
        """
        content = run.config()
        try:
            return cls(
                data=content["data"],
                image_format=ImageFormat(**content["data"]["image_format"]),
                preset=content["preset"],
                settings=TrainingSettings.from_dict(content["settings"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            told = error if type(error) is ValueError else repr(error)
            raise ValueError(
                f"{run.path / 'config.json'} is not as `lossmith train` wrote it: {told}"
            ) from error


def check_readable(data: LabelledImages) -> None:
    """Decode every image once that is read as it is needed, so that a damaged one shows at once.

    Otherwise a training would end at the first batch with that image, after minutes or hours.
    Images in memory have been decoded already.

    Raises:
        ValueError: If some cannot be decoded; the message names them.
    """
    if not isinstance(data.images, FolderImages):
        return
    pool = ThreadPoolExecutor()
    try:
        tried = pool.map(partial(_failure_of, data.images), range(len(data)))
        shown = tracked(tried, len(data), "Seeing that every image can be read")
        failures = [failure for failure in shown if failure]
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for no image that is not begun
    if failures:
        raise ValueError(listing(failures))


def _failure_of(images: FolderImages, index: int) -> str | None:
    try:
        images[[index]]
    except (ValueError, OSError) as error:
        return str(error)
    return None


def split(data: LabelledImages, settings: TrainingSettings) -> Split:
    """The training, validation and test parts.

    Raises:
        ValueError: If there are too few images to hold any out, or to make the lab's pairs of.
    """
    validation = settings.validation_share
    test = 0.0 if data.test else settings.test_share
    parts = data.split((1.0 - validation - test, validation, test), seed=settings.seed)
    for part in parts:
        per_class = np.bincount(part.labels, minlength=2)
        if per_class.max() < 2 or np.count_nonzero(per_class) < 2:
            raise ValueError(
                f"{len(data)} images of {len(data.class_names)} classes are too few to hold some "
                "out: give at least two classes with at least 6 images each, two each for "
                "training, validation and test."
            )
    if settings.pairing == "lab":
        _check_lab_pairs(parts)
    return parts


def _check_lab_pairs(parts: Split) -> None:
    """Refuse before the training what would end it with nothing to show for it."""
    for what, part in (("training", parts.train), ("test", parts.test)):
        per_class = np.bincount(part.labels, minlength=len(part.class_names))
        single = [part.class_names[place] for place in np.flatnonzero(per_class == 1)]
        if single:
            raise ValueError(
                f"The lab's pairs need two images of a class; the {what} part has one only of: "
                f"{listing(single)}. Add images of it, take the class away, or leave the lab's "
                "preset out."
            )
