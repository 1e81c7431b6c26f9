"""Sequences of images that are read by index, in memory or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageFormat:
    """The size and colour mode to which all images of a data set are brought.

    `dataclasses.asdict(image_format)` is ready for JSON, `ImageFormat(**loaded)` brings it back.

    Args:
        height: Rows, in pixels.
        width: Columns, in pixels.
        channels: 1 for grey, 3 for RGB.

    Raises:
        ValueError: If a size is not a positive integer or `channels` is neither 1 nor 3.

    Example:
        >>> ImageFormat(height=28, width=28, channels=1).shape
        (28, 28, 1)
    """

    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        """Refuses what cannot be the format of an image."""
        for name in ("height", "width"):
            size = getattr(self, name)
            if not isinstance(size, int) or size < 1:
                raise ValueError(
                    f"The {name} of an image is a positive integer number of pixels; got {size!r}."
                )
        if self.channels not in (1, 3):
            raise ValueError(
                f"Images have 1 (grey) or 3 (RGB) channels; got channels={self.channels!r}."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels, as Keras' layers take them."""
        return self.height, self.width, self.channels

    def __str__(self) -> str:
        """The format for people, such as `28 x 28 grey`."""
        return f"{self.height} x {self.width} {'grey' if self.channels == 1 else 'RGB'}"


class Images(Protocol):
    """What every source of images offers, wherever the images lie."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: height, width, channels."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """The images at an index array, slice or integer, float32 in [0, 1]."""
        ...

    def name(self, index: int) -> str:
        """What people call the image: its path in the folder, or its number."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images held in one array and scaled to [0, 1] as they are read.

    Args:
        values: Array of shape `(N, H, W, C)`, kept in its own dtype.
        white: The value that stands for 1.0, such as 255 for `uint8`.
        names: What people call each image, where it has a name.
    """

    values: NDArray[Any]
    white: float
    names: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: height, width, channels."""
        height, width, channels = self.values.shape[1:]
        return height, width, channels

    def __len__(self) -> int:
        """Number of images."""
        return len(self.values)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """The images at an index array, slice or integer, float32 in [0, 1]."""
        return self.values[index].astype(np.float32) / np.float32(self.white)

    def name(self, index: int) -> str:
        """The name of the image, or its number."""
        return f"image {index}" if self.names is None else self.names[index]


@dataclass(frozen=True, eq=False)
class ChosenImages:
    """Some images of another source, chosen by index; nothing is copied."""

    source: Images
    chosen: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: height, width, channels."""
        return self.source.shape

    def __len__(self) -> int:
        """Number of images."""
        return len(self.chosen)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """The images at an index array, slice or integer, float32 in [0, 1]."""
        return self.source[self.chosen[index]]

    def name(self, index: int) -> str:
        """What the source calls the image."""
        return self.source.name(int(self.chosen[index]))
