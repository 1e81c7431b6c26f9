"""Which items make a pair: index pairs drawn from class labels, without touching the items.

A pair is two item indices with the label 1 (same class) or 0 (different classes).
"""

import operator
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Pairs = tuple[IntArray, npt.NDArray[np.int32]]
"""Item indices `(P, 2)` and labels `(P,)`, 1 for same and 0 for different."""


@dataclass(frozen=True, eq=False)
class Classes:
    """Items grouped by class; class c takes `sizes[c]` places from `starts[c]` on.

    Attributes:
        names: `(C,)`, the labels of the classes, sorted.
        codes: `(N,)`, the class of each item, 0 ... C - 1.
    """

    names: npt.NDArray[Any]
    codes: IntArray

    @classmethod
    def of(cls, labels: npt.ArrayLike) -> "Classes":
        """Groups items by their labels.

        Raises:
            ValueError: If `labels` is not `(N,)` or `(N, 1)`, contains NaN, NaT or None, cannot be
                sorted, or has one class only.
        """
        array = np.asarray(labels)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise ValueError(
                f"labels must have shape (N,) or (N, 1), a class per item. "
                f"Received: shape {array.shape}."
            )
        missing = _is_missing(array)
        if missing.any():
            position = int(np.argmax(missing))
            found = "NaN" if array.dtype.kind == "f" else array[position]
            raise ValueError(
                f"labels must name a class for each item. Received: {found} at position {position}."
            )
        names, codes = _names_and_codes(array)
        if len(names) < 2:
            raise ValueError(
                "Different pairs need items of at least two classes. "
                f"Received: {len(array)} items of {len(names)} class {names.tolist()}."
            )
        return cls(names, codes.astype(np.int64, copy=False))

    @property
    def sizes(self) -> IntArray:
        """The number of items of each class."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.int64, copy=False)

    @property
    def starts(self) -> IntArray:
        """The first place of each class when items are ordered by class."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    def singles(self) -> list[Any]:
        """The labels of the classes with one item, of which no same pair can be made."""
        return self.names[self.sizes == 1].tolist()

    def draw(self, seed: int, epoch: int) -> Pairs:
        """Draws the pairs of an epoch, as `balanced_pairs` describes them."""
        rng = np.random.default_rng([seed, epoch])
        shuffled = rng.permutation(len(self.codes))
        by_class = shuffled[np.argsort(self.codes[shuffled], kind="stable")]
        same = rng.permutation(self._same_pairs(by_class))
        different = rng.permutation(self._different_pairs(by_class, rng))

        place = np.arange(len(same) + len(different))
        same_before = place * len(same) // len(place)
        is_same = (place + 1) * len(same) // len(place) > same_before
        pairs = np.empty((len(place), 2), dtype=np.int64)
        pairs[is_same] = same
        pairs[~is_same] = different
        return pairs, is_same.astype(np.int32)

    def _same_pairs(self, by_class: IntArray) -> IntArray:
        """Each item with the next one of its class, the last one with the first."""
        codes, starts, sizes = self.codes[by_class], self.starts, self.sizes
        place = np.arange(len(by_class))
        following = starts[codes] + (place - starts[codes] + 1) % sizes[codes]
        return np.stack([by_class, by_class[following]], axis=1)[sizes[codes] > 1]

    def _different_pairs(self, by_class: IntArray, rng: np.random.Generator) -> IntArray:
        """Each item with one drawn evenly from the items of all other classes."""
        codes = self.codes[by_class]
        start, size = self.starts[codes], self.sizes[codes]
        place = rng.integers(len(by_class) - size)
        place += np.where(place >= start, size, 0)
        return np.stack([by_class, by_class[place]], axis=1)


def _is_missing(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which labels are NaN, NaT, None or another word for nothing."""
    if labels.dtype.kind in "fmM":
        return np.isnan(labels)
    if labels.dtype.kind == "O":
        return np.array([_is_nothing(label) for label in labels], dtype=bool)
    return np.zeros(len(labels), dtype=bool)


def _is_nothing(label: Any) -> bool:
    try:
        return label is None or not bool(label == label)  # NaN differs from itself
    except (TypeError, ValueError):  # that of pandas is neither equal nor different
        return True


def _names_and_codes(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], IntArray]:
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            "labels must be of one kind that can be sorted, such as numbers or strings. "
            f"Received: {' and '.join(kinds)}."
        ) from error
    return names, codes


def classes_for_balanced_pairs(labels: npt.ArrayLike) -> Classes:
    """Groups items by their labels, warning of classes of which no same pair can be made.

    Raises:
        ValueError: If `labels` are not as `balanced_pairs` describes them.
    """
    classes = Classes.of(labels)
    singles = classes.singles()
    if len(singles) == len(classes.names):
        raise ValueError(
            "Same pairs need a class with at least two items. "
            f"Received: {len(singles)} classes of one item each."
        )
    if singles:
        warnings.warn(
            f"No same pair can be made of the classes with a single item, {_listed(singles)}: "
            "these items take part in different pairs only.",
            stacklevel=3,
        )
    return classes


def balanced_pairs(labels: npt.ArrayLike, seed: int = 0, epoch: int = 0) -> Pairs:
    """Draws same and different pairs in which every item takes part.

    Each item is the left one of one same and of one different pair, `2 N` pairs for N items. The
    right item of the same pairs is each item once too, drawn within the class; that of a different
    pair is drawn evenly from the items of all other classes. Same and different pairs alternate,
    so consecutive batches are balanced as well. An item whose class has no other is in different
    pairs only (with a warning naming the class); the two kinds are then interleaved in proportion.

    Args:
        labels: `(N,)` or `(N, 1)`, the class of each item: integers, strings, anything sortable.
        seed: A non-negative integer.
        epoch: A non-negative integer; each epoch of a seed has other pairs.

    Returns:
        Item indices `(P, 2)` and labels `(P,)`, 1 for same and 0 for different.

    Raises:
        ValueError: If `labels` has another shape, contains NaN, has one class only, or no class
            with two items; if seed or epoch is negative.

    Example:
    >>> pairs, same = balanced_pairs(["cat", "cat", "dog", "dog"], seed=1)
    >>> pairs.shape, same.tolist()
    ((8, 2), [0, 1, 0, 1, 0, 1, 0, 1])
    """
    seed, epoch = natural_number("seed", seed), natural_number("epoch", epoch)
    return classes_for_balanced_pairs(labels).draw(seed, epoch)


def lab_pairs(labels: npt.ArrayLike, seed: int = 0) -> Pairs:
    """The pairs of the Siamese lab: neighbours of a class, alternating with a random other class.

    With n the size of the smallest class less one, class d contributes for each i < n the same
    pair of its items i and i + 1, then the different pair of its item i and item i of a class
    drawn evenly from the others. Later items of larger classes are left out. Fashion-MNIST gives
    119,980 pairs for training and 19,980 for testing.

    Args:
        labels: `(N,)` or `(N, 1)`, the class of each item.
        seed: A non-negative integer.

    Returns:
        Item indices `(P, 2)` and labels `(P,)`, 1 for same and 0 for different.

    Raises:
        ValueError: If `labels` has another shape, contains NaN, has one class only, or a class
            with a single item.

    Example:
    >>> pairs, same = lab_pairs([0, 0, 0, 1, 1, 1])
    >>> pairs[::2].tolist()
    [[0, 1], [1, 2], [3, 4], [4, 5]]
    """
    seed = natural_number("seed", seed)
    classes = Classes.of(labels)
    if classes.singles():
        raise ValueError(
            "The lab's pairs need at least two items of each class. "
            f"Received: one item of {_listed(classes.singles())}."
        )
    class_count, steps = len(classes.names), int(classes.sizes.min()) - 1
    by_class = np.argsort(classes.codes, kind="stable")
    place = classes.starts[:, None] + np.arange(steps)
    other = np.random.default_rng(seed).integers(1, class_count, size=(class_count, steps))
    other = (np.arange(class_count)[:, None] + other) % class_count
    left = by_class[place]
    following = by_class[place + 1]
    unlike = by_class[classes.starts[other] + np.arange(steps)]
    pairs = np.stack([left, following, left, unlike], axis=-1).reshape(-1, 2)
    return pairs, np.tile(np.array([1, 0], dtype=np.int32), class_count * steps)


def exhaustive_pairs(
    labels: npt.ArrayLike, block_size: int = 2**18
) -> Iterator[tuple[IntArray, IntArray, npt.NDArray[np.int32]]]:
    """Goes through all N (N - 1) / 2 pairs of distinct items, a block at a time.

    Args:
        labels: `(N,)` or `(N, 1)`, the class of each item.
        block_size: The number of pairs in a block; the last one may have fewer.

    Returns:
        An iterator of `(i, j, same)`, each `(block,)`, with i < j and `same` 1 or 0; i ascends,
        and j within i.

    Raises:
        ValueError: If `labels` has another shape, contains NaN or has one class only, or
            `block_size` is not positive.

    Example:
    >>> for i, j, same in exhaustive_pairs(["a", "b", "a"], block_size=2):
    ...     print(i, j, same)
    [0 0] [1 2] [0 1]
    [1] [2] [0]
    """
    if natural_number("block_size", block_size) == 0:
        raise ValueError("block_size must be positive. Received: 0.")
    return _blocks(Classes.of(labels).codes, block_size)


def _blocks(
    codes: IntArray, block_size: int
) -> Iterator[tuple[IntArray, IntArray, npt.NDArray[np.int32]]]:
    rows = np.arange(len(codes) + 1)
    # The pairs are numbered row by row; row i holds the pairs (i, i + 1) ... (i, N - 1).
    row_starts = rows * (2 * len(codes) - rows - 1) // 2
    total = int(row_starts[-2])
    for start in range(0, total, block_size):
        end = min(start + block_size, total)
        first, last = np.searchsorted(row_starts[:-1], [start, end - 1], side="right") - 1
        bounds = np.clip(row_starts[first : last + 2], start, end)
        i = np.repeat(rows[first : last + 1], np.diff(bounds))
        j = np.arange(start, end) - row_starts[i] + i + 1
        yield i, j, (codes[i] == codes[j]).astype(np.int32)


def natural_number(name: str, value: int) -> int:
    """`value` as a Python integer.

    Raises:
        ValueError: If it is not an integer of at least 0.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"{name} must be a non-negative integer. Received: {value!r}.")
    return number


def positive_number(name: str, value: int) -> int:
    """`value` as a Python integer.

    Raises:
        ValueError: If it is not an integer of at least 1.
    """
    number = natural_number(name, value)
    if number == 0:
        raise ValueError(f"{name} must be positive. Received: 0.")
    return number


def _listed(names: list[Any], most: int = 10) -> str:
    """The first names for a message."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + rest
