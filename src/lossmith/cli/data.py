"""The data of a run: loaded, described so that they are known again, and split."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from lossmith.cli.messages import note
from lossmith.datasets import ImageFormat, LabelledImages, Split, load
from lossmith.siamese.runs import RunFolder
from lossmith.siamese.settings import TrainingSettings

LARGEST_SIDE = 160
"""Folders of larger images are made smaller unless a size was asked for."""


def parse_image_size(text: str | None) -> tuple[int, int] | None:
    """`"64"` or `"48x64"` (height x width) as two numbers.

    Raises:
        ValueError: If it is neither.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError(
            f"An image size is a number of pixels or height x width, such as 64 or 48x64. "
            f"Received: {text!r}."
        )
    return int(sides[0]), int(sides[-1])


def load_images(source: str, size: tuple[int, int] | None) -> LabelledImages:
    """Loads a data set and says what was noticed on the way."""
    data = load(source, size)
    height, width, _ = data.image_format.shape
    if size is None and Path(source).is_dir() and max(height, width) > LARGEST_SIDE:
        factor = LARGEST_SIDE / max(height, width)
        smaller = max(1, round(height * factor)), max(1, round(width * factor))
        note(
            f"Images of {height} x {width} are used at {smaller[0]} x {smaller[1]} to save time; "
            "--image-size chooses another size."
        )
        data = load(source, smaller)
    for text in data.notes:
        note(text)
    return data


def describe(source: str, data: LabelledImages) -> dict[str, Any]:
    """What identifies the data, as JSON can hold it."""
    path = Path(source)
    return {
        "source": str(path.resolve()) if path.exists() else source,
        "images": len(data),
        "image_format": asdict(data.image_format),
        "classes": list(data.class_names),
        "labels_sha256": hashlib.sha256(np.asarray(data.labels, dtype="<i8").tobytes()).hexdigest(),
    }


@dataclass(frozen=True)
class RunConfig:
    """What the configuration of a run says.

    Attributes:
        data: What identifies the data, as `describe` gives it.
        image_format: The format of the images.
        settings: What the network was trained with.
    """

    data: dict[str, Any]
    image_format: ImageFormat
    settings: TrainingSettings

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
                settings=TrainingSettings.from_dict(content["settings"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{run.path / 'config.json'} is not as `lossmith train` wrote it: {error!r}."
            ) from error


def split(data: LabelledImages, settings: TrainingSettings) -> Split:
    """The training, validation and test parts.

    Raises:
        ValueError: If there are too few images to hold any out.
    """
    validation = settings.validation_share
    test = 0.0 if data.test else settings.test_share
    parts = data.split((1.0 - validation - test, validation, test), seed=settings.seed)
    for part in parts:
        if not len(part) or np.bincount(part.labels).max() < 2:
            raise ValueError(
                f"{len(data)} images of {len(data.class_names)} classes are too few to hold some "
                "out: at least one class needs 6 images, two each for training, validation and "
                "test."
            )
    return parts
