"""Images with their classes, and the split into training, validation and test parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossmith.datasets.images import ChosenImages, ImageFormat, Images


class Split(NamedTuple):
    """Three parts of a data set that have no item in common."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images, the class of each, and what was noticed while they were read.

    Args:
        images: Source of the images: `images[index]` is float32 in [0, 1] of shape `(n, H, W, C)`.
        labels: Class ids `(N,)`, integers in `0 .. len(class_names) - 1`.
        class_names: The name of each class id.
        test: The official test part, where the data set has one.
        notes: What a reader of the results should know, in plain sentences.

    Raises:
        ValueError: If `images` and `labels` differ in length or a label has no class name.

    Example:
        >>> import numpy as np
        >>> from lossmith.datasets import ArrayImages
        >>> images = ArrayImages(np.zeros((20, 8, 8, 1), np.uint8), white=255)
        >>> data = LabelledImages(images, np.repeat([0, 1], 10), ("cat", "dog"))
        >>> train, validation, test = data.split((0.6, 0.2, 0.2), seed=0)
        >>> len(train), len(validation), len(test)
        (12, 4, 4)
        >>> train.images[:5].shape
        (5, 8, 8, 1)
    """

    images: Images
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    test: LabelledImages | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses labels that do not fit the images or the class names."""
        if self.labels.shape != (len(self.images),):
            raise ValueError(
                f"Every image needs one label: got {len(self.images)} images and labels of shape "
                f"{self.labels.shape}."
            )
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise ValueError(
                f"Labels are class ids from 0 to {len(self.class_names) - 1}, one for each of the "
                f"{len(self.class_names)} class names; got labels from {self.labels.min()} to "
                f"{self.labels.max()}."
            )

    def __len__(self) -> int:
        """Number of images, without those of the official test part."""
        return len(self.labels)

    @property
    def image_format(self) -> ImageFormat:
        """Size and colour mode of the images."""
        return ImageFormat(*self.images.shape)

    def subset(self, index: ArrayLike) -> LabelledImages:
        """Gives the items at an integer index array `(n,)`, in that order, without copying images.

        Args:
            index: Positions of the items, each in `0 .. len(self) - 1`.

        Returns:
            The chosen items under the same class names, without an official test part.

        Example:
            >>> import numpy as np
            >>> from lossmith.datasets import ArrayImages
            >>> images = ArrayImages(np.zeros((3, 8, 8, 1), np.uint8), white=255)
            >>> LabelledImages(images, np.array([0, 1, 1]), ("cat", "dog")).subset([2, 0]).labels
            array([1, 0])
        """
        chosen = np.asarray(index, dtype=np.intp)
        labels = self.labels[chosen]
        return LabelledImages(
            ChosenImages(self.images, chosen),
            labels,
            self.class_names,
            notes=notes_on_single_items(labels, self.class_names),
        )

    def split(self, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> Split:
        """Splits the items into training, validation and test parts, class by class.

        Every class goes into every part that has a share, where it has items enough: with two items
        or more a part (which make a "same" pair) if it can, else with one. An official test part
        stays the test part; the items here then go to training and validation in the ratio of
        their fractions.

        Args:
            fractions: Shares of training, validation and test; not negative, with sum 1.
            seed: Seed of the shuffling; the same seed gives the same parts.

        Returns:
            A `Split` of three parts, each in the order of the items in the data set.

        Raises:
            ValueError: If `fractions` are not three shares with sum 1 or training has none.
        """
        shares = _checked_fractions(fractions)
        if self.test is not None:
            shares = np.array([shares[0], shares[1], 0.0]) / (shares[0] + shares[1])
        generator = np.random.default_rng(seed)
        part_of = np.empty(len(self), dtype=np.intp)
        for class_id in range(len(self.class_names)):
            members = np.flatnonzero(self.labels == class_id)
            parts = np.repeat(np.arange(3), _items_per_part(len(members), shares))
            part_of[generator.permutation(members)] = parts
        train, validation, test = (
            self.subset(np.flatnonzero(part_of == part)) for part in range(3)
        )
        return Split(train, validation, test if self.test is None else self.test)


def _checked_fractions(fractions: Sequence[float]) -> NDArray[np.float64]:
    shares = np.asarray(fractions, dtype=np.float64)
    if (
        shares.shape != (3,)
        or not (shares >= 0).all()
        or not math.isclose(shares.sum(), 1.0, abs_tol=1e-6)
        or shares[0] == 0
    ):
        raise ValueError(
            "`fractions` are the shares of training, validation and test: three numbers >= 0 with "
            f"sum 1, the first above 0, such as (0.8, 0.1, 0.1); got {fractions!r}."
        )
    return shares


def _items_per_part(items: int, shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Shares out the items of one class: whole numbers close to `items * shares`."""
    used = (shares > 0).astype(np.intp)
    least = used * min(2, items // used.sum())
    wanted = items * shares
    counts = np.maximum(np.floor(wanted + 1e-9).astype(np.intp), least)
    while counts.sum() > items:
        counts[np.argmax(np.where(counts > least, counts - wanted, -np.inf))] -= 1
    while counts.sum() < items:
        counts[np.argmax(np.where(used, wanted - counts, -np.inf))] += 1
    return counts


def notes_on_single_items(labels: NDArray[np.int64], names: Sequence[str]) -> tuple[str, ...]:
    """Says which classes have one item only and therefore no "same" pair."""
    counts = np.bincount(labels, minlength=len(names))
    single = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if not single:
        return ()
    classes = "1 class has" if len(single) == 1 else f"{len(single)} classes have"
    return (f'{classes} one image only, which makes "different" pairs only: {listing(single)}.',)


def listing(names: Sequence[str], limit: int = 5) -> str:
    """Writes the first names out and counts the rest: `a, b and 3 more`."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def require_two_classes(names: Sequence[str], where: str, advice: str = "") -> None:
    """Refuses data without a pair of different classes; `advice` says how to mend them."""
    if len(names) < 2:
        found = f"one only: {names[0]}" if names else "none"
        raise ValueError(
            f"Pairs of different images need two classes or more; {where} has {found}.{advice}"
        )
