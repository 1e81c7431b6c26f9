"""Pairs as Keras data sets that hold indices and read the items batch by batch.

Each yields `((a, b), label)` with label 1.0 for same and 0.0 for different, as float32 `(batch,)`,
and goes into `model.fit`, `evaluate` and `predict` as it is. A batch depends on seed, epoch and
index only, so any number of workers gives the same data.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from lossmith.siamese.distance_counts import checked_labels
from lossmith.siamese.pair_sampling import (
    Classes,
    Pairs,
    classes_for_balanced_pairs,
    natural_number,
    positive_number,
)


class Items(Protocol):
    """What pairs are made of: an array, or a reader of items that do not fit in memory."""

    def __len__(self) -> int:
        """The number of items."""

    def __getitem__(self, indices: Any, /) -> Any:
        """The items at an array of indices, as an array of shape `(len(indices), ...)`."""


class PairDataset(keras.utils.PyDataset):
    """Batches of the pairs that `draw(seed, epoch)` gives for each epoch."""

    def __init__(
        self,
        left: Items,
        right: Items,
        draw: Callable[[int, int], Pairs],
        batch_size: int,
        seed: int,
        initial_epoch: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._left = left
        self._right = right
        self._draw = draw
        self._batch_size = positive_number("batch_size", batch_size)
        self._seed = natural_number("seed", seed)
        self._epoch = natural_number("initial_epoch", initial_epoch)
        # One attribute, so that a worker never reads the pairs of two epochs.
        self._drawn = self._draw(self._seed, self._epoch)

    @property
    def epoch(self) -> int:
        """The epoch whose pairs are given out, counted from `initial_epoch`."""
        return self._epoch

    @property
    def pairs(self) -> npt.NDArray[np.int64]:
        """`(P, 2)`: the item indices of this epoch's pairs, in the order given out."""
        return self._drawn[0]

    @property
    def pair_labels(self) -> npt.NDArray[np.int32]:
        """`(P,)`: 1 for each same pair of this epoch and 0 for each different one, in order."""
        return self._drawn[1]

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self._drawn[1]) // self._batch_size)

    def __getitem__(
        self, index: int
    ) -> tuple[tuple[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[np.float32]]:
        """The batch `((a, b), label)` at `index`; the last one may be smaller."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: index {index}.")
        pairs, labels = self._drawn
        batch = slice(index * self._batch_size, (index + 1) * self._batch_size)
        left, right = pairs[batch].T
        items = (np.asarray(self._left[left]), np.asarray(self._right[right]))
        return items, labels[batch].astype(np.float32)

    def on_epoch_end(self) -> None:
        """Draws the pairs of the next epoch."""
        self._epoch += 1
        self._drawn = self._draw(self._seed, self._epoch)


class LabelPairs(PairDataset):
    """Balanced pairs of labelled items, drawn anew for each epoch.

    In an epoch each of the N items is the left one of one same and of one different pair, `2 N`
    pairs in all, and same and different ones alternate: see `balanced_pairs`. An item whose class
    has no other takes part in different pairs only, with a warning. Memory grows with the number
    of items: two indices for each pair of one epoch.

    `fit` ends an epoch once before its first, so it trains on the pairs of the epochs
    `initial_epoch + 1`, `initial_epoch + 2`, ...; a training that goes on with `initial_epoch=k`
    here and in `fit` has the pairs that it would have had without the interruption. The pairs
    change from epoch to epoch; for validation, where they should not, use
    `ReadyPairs(x, *balanced_pairs(labels))`.

    Args:
        x: N items: an array `(N, ...)`, or any object with `len` that gives an array for an array
            of indices, such as a reader of image files.
        labels: `(N,)` or `(N, 1)`, the class of each item: integers, strings, anything sortable.
        batch_size: Pairs in a batch.
        seed: A non-negative integer; equal seeds give equal pairs.
        initial_epoch: The epoch to start with, as for `fit`, to go on with a training.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: If `x` and `labels` differ in length, `labels` has one class only, no class
            with two items, NaN or another shape, or a number is out of its range.

    Example:
    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(6, 2)
    >>> data = LabelPairs(x, labels=[0, 0, 0, 1, 1, 1], batch_size=4)
    >>> (a, b), same = data[0]
    >>> len(data), a.shape, b.shape, same.tolist()
    (3, (4, 2), (4, 2), [0.0, 1.0, 0.0, 1.0])
    """

    def __init__(
        self,
        x: Items,
        labels: npt.ArrayLike,
        batch_size: int = 128,
        seed: int = 0,
        initial_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        """Groups the items by class and draws the pairs of the first epoch."""
        classes = classes_for_balanced_pairs(labels)
        check_one_label_each(x, classes)
        super().__init__(x, x, classes.draw, batch_size, seed, initial_epoch, **kwargs)


class ReadyPairs(PairDataset):
    """Given pairs of items, by index.

    Args:
        x: N items: an array `(N, ...)`, or any object with `len` that gives an array for an array
            of indices, such as a reader of image files.
        pairs: `(P, 2)` integers in [0, N): the two items of each pair.
        labels: `(P,)` or `(P, 1)`, 1 for same and 0 for different.
        batch_size: Pairs in a batch.
        shuffle: Whether each epoch has the pairs in another order; for training.
        seed: A non-negative integer; the seed of the order.
        initial_epoch: The epoch to start with, as for `fit`, to go on with a training.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: If a label is neither 0 nor 1, an index is out of range, lengths differ, there
            are no pairs, or a number is out of its range.

    Example:
    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(6, 2)
    >>> data = ReadyPairs(x, pairs=[[0, 1], [0, 5]], labels=[1, 0])
    >>> (a, b), same = data[0]
    >>> b.tolist(), same.tolist()
    ([[2.0, 3.0], [10.0, 11.0]], [1.0, 0.0])
    """

    def __init__(
        self,
        x: Items,
        pairs: npt.ArrayLike,
        labels: npt.ArrayLike,
        batch_size: int = 128,
        shuffle: bool = False,
        seed: int = 0,
        initial_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        """Checks pairs and labels and orders them for the first epoch."""
        draw = partial(
            _shuffled if shuffle else _as_given,
            _checked_pairs(pairs, labels, checked_length("x", x)),
        )
        super().__init__(x, x, draw, batch_size, seed, initial_epoch, **kwargs)


class AlignedPairs(PairDataset):
    """Given pairs as two collections of items: pair p is `left[p]` and `right[p]`.

    Args:
        left: P items: an array `(P, ...)`, or any object with `len` that gives an array for an
            array of indices, such as a reader of image files.
        right: P items.
        labels: `(P,)` or `(P, 1)`, 1 for same and 0 for different.
        batch_size: Pairs in a batch.
        shuffle: Whether each epoch has the pairs in another order; for training.
        seed: A non-negative integer; the seed of the order.
        initial_epoch: The epoch to start with, as for `fit`, to go on with a training.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: If a label is neither 0 nor 1, lengths differ, there are no pairs, or a number
            is out of its range.

    Example:
    >>> import numpy as np
    >>> data = AlignedPairs(np.zeros((2, 3)), np.ones((2, 3)), labels=[1, 0])
    >>> (a, b), same = data[0]
    >>> a.shape, same.tolist()
    ((2, 3), [1.0, 0.0])
    """

    def __init__(
        self,
        left: Items,
        right: Items,
        labels: npt.ArrayLike,
        batch_size: int = 128,
        shuffle: bool = False,
        seed: int = 0,
        initial_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        """Checks lengths and labels and orders the pairs for the first epoch."""
        pair_count = checked_length("left", left)
        if checked_length("right", right) != pair_count:
            raise ValueError(
                "left and right must have one item per pair. "
                f"Received: {pair_count} and {len(right)} items."
            )
        row = np.arange(pair_count)
        draw = partial(
            _shuffled if shuffle else _as_given,
            _checked_pairs(np.stack([row, row], axis=1), labels, pair_count),
        )
        super().__init__(left, right, draw, batch_size, seed, initial_epoch, **kwargs)


def _as_given(given: Pairs, seed: int, epoch: int) -> Pairs:
    del seed, epoch
    return given


def _shuffled(given: Pairs, seed: int, epoch: int) -> Pairs:
    pairs, labels = given
    order = np.random.default_rng([seed, epoch]).permutation(len(labels))
    return pairs[order], labels[order]


def check_one_label_each(x: Items, classes: Classes) -> None:
    """Refuse items that are not as many as their labels.

    Raises:
        ValueError: If they are not.
        TypeError: If `x` cannot be indexed by an array.
    """
    item_count = checked_length("x", x)
    if item_count != len(classes.codes):
        raise ValueError(
            "x and labels must have one entry per item. "
            f"Received: {item_count} items and {len(classes.codes)} labels."
        )


def checked_length(name: str, items: Items) -> int:
    """The number of items.

    Raises:
        TypeError: If they cannot be indexed by an array, or are no numbers.
    """
    if isinstance(items, list | tuple) or not hasattr(items, "__getitem__"):
        raise TypeError(
            f"{name} must be an array, or an object that gives an array for an array of indices. "
            f"Received: {type(items).__name__}. For a list of equal shapes use np.asarray({name})."
        )
    if getattr(items, "dtype", None) == np.dtype(object):
        raise TypeError(
            f"{name} must hold numbers. Received: an array of dtype object; items of different "
            "shapes have to be brought to one shape first."
        )
    return len(items)


def _checked_pairs(pairs: npt.ArrayLike, labels: npt.ArrayLike, item_count: int) -> Pairs:
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(
            "pairs must be integers of shape (P, 2), the indices of two items each. "
            f"Received: shape {array.shape}, dtype {array.dtype}."
        )
    if len(array) == 0:
        raise ValueError("There are no pairs. Pass at least one pair.")
    outside = ((array < 0) | (array >= item_count)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"pairs must hold indices from 0 to {item_count - 1}, for {item_count} items. "
            f"Received: {array[row].tolist()} at position {row}."
        )
    same = checked_labels(labels)
    if len(same) != len(array):
        raise ValueError(
            f"labels must have one entry per pair. Received: {len(same)} labels and "
            f"{len(array)} pairs."
        )
    return array.astype(np.int64, copy=False), same.astype(np.int32)
