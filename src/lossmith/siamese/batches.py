"""Batches of labelled items in which every item meets others of its class."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.backend import keras
from lossmith.siamese.pair_sampling import Classes, IntArray, natural_number
from lossmith.siamese.pairs import Items, check_one_label_each


class ClassBatches(keras.utils.PyDataset):
    """Items with class ids, for losses over all pairs of a batch; drawn anew for each epoch.

    An epoch has the items in random order, but in groups of `group_size` of one class, so that a
    batch holds several items of a class also when there are many classes. All batches are of one
    size (a compiled step is compiled once); the items left over at the end of an epoch have their
    turn in other epochs.

    As with `LabelPairs`, `fit` trains on the epochs `initial_epoch + 1`, `initial_epoch + 2`, ...,
    and a training that goes on with `initial_epoch=k` here and in `fit` has the batches that it
    would have had without the interruption.

    Args:
        x: N items: an array `(N, ...)`, or any object with `len` that gives an array for an array
            of indices, such as a reader of image files.
        labels: `(N,)` or `(N, 1)`, the class of each item: integers, strings, anything sortable.
        batch_size: Items in a batch; all of them if there are fewer.
        seed: A non-negative integer; equal seeds give equal batches.
        initial_epoch: The epoch to start with, as for `fit`, to go on with a training.
        group_size: Items of one class that stay together, as far as the class has so many.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: If `x` and `labels` differ in length, no class has two items, `labels` has one
            class only, NaN or another shape, or a number is out of its range.

    Example:
    >>> import numpy as np
    >>> data = ClassBatches(np.zeros((10, 2)), labels=[0, 1] * 5, batch_size=4, group_size=2)
    >>> items, class_ids = data[0]
    >>> len(data), items.shape, class_ids.shape
    (2, (4, 2), (4,))
    """

    def __init__(
        self,
        x: Items,
        labels: npt.ArrayLike,
        batch_size: int = 128,
        seed: int = 0,
        initial_epoch: int = 0,
        group_size: int = 4,
        **kwargs: Any,
    ) -> None:
        """Groups the items by class and orders them for the first epoch."""
        super().__init__(**kwargs)
        classes = Classes.of(labels)
        check_one_label_each(x, classes)
        if classes.sizes.max() < 2:
            raise ValueError(
                "Batches need a class with two items or more: nothing is the same as anything "
                f"else here. Received: {len(x)} items, each of a class of its own."
            )
        for name, value in (("batch_size", batch_size), ("group_size", group_size)):
            if natural_number(name, value) < 2:
                raise ValueError(f"{name} must be at least 2. Received: {value}.")
        self._x = x
        self._class_ids = classes.codes
        self._batch_size = min(batch_size, len(x))
        self._group_size = group_size
        self._seed = natural_number("seed", seed)
        self._epoch = natural_number("initial_epoch", initial_epoch)
        self._order = self._draw()

    @property
    def indices(self) -> IntArray:
        """`(batches, batch_size)`: the items of each batch of this epoch."""
        return self._order.reshape(len(self), self._batch_size)

    def __len__(self) -> int:
        """The number of batches."""
        return len(self._class_ids) // self._batch_size

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """The batch `(items, class_ids)` at `index`."""
        chosen = self.indices[index]
        return np.asarray(self._x[chosen]), self._class_ids[chosen].astype(np.int32)

    def on_epoch_end(self) -> None:
        """Draws the batches of the next epoch."""
        self._epoch += 1
        self._order = self._draw()

    def _draw(self) -> IntArray:
        generator = np.random.default_rng([self._seed, self._epoch])
        groups = list(self._groups(generator))
        order = np.concatenate([groups[place] for place in generator.permutation(len(groups))])
        return order[: len(self) * self._batch_size]

    def _groups(self, generator: np.random.Generator) -> Iterator[IntArray]:
        shuffled = generator.permutation(len(self._class_ids))
        by_class = shuffled[np.argsort(self._class_ids[shuffled], kind="stable")]
        first_of_class = np.flatnonzero(np.diff(self._class_ids[by_class])) + 1
        for members in np.split(by_class, first_of_class):
            yield from np.split(members, range(self._group_size, len(members), self._group_size))
