"""Class-balanced batches of labelled items, P classes with K items each."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.backend import keras
from lossmith.siamese.dealing import dealt, filled_up
from lossmith.siamese.pair_sampling import Classes, IntArray, natural_number
from lossmith.siamese.pairs import Items, check_one_label_each

_LEAST = 4
"""Items in the smallest batch: two classes with two items each."""
_LONGEST = 2
"""An epoch has at most so many times the batches that the groups of all classes fill."""


class ClassBatches(keras.utils.PyDataset):
    """Items with class ids, for losses over all pairs of a batch; drawn anew for each epoch.

    Every batch has P classes with K items each, side by side. P is `batch_size / group_size`, or
    the number of classes if there are fewer; K is `group_size`, and more where so few classes leave
    room in the batch, up to the median size of a class. All batches are of one size (a compiled
    step is compiled once), P K, which is `batch_size` or a little less.

    A class of n items has `g = ceil(n / K)` groups of K, and all classes together fill
    `F = ceil(sum of g / P)` batches, about N / (P K). A class is in a batch once, so its g groups
    need as many batches. An epoch has `L = min(max(F, largest g), 2 F)` batches: as many as the
    largest class needs, but no more than twice what the items fill.

    - Every class has its turn in every epoch, and so has every item of a class with `g <= L`; that
      is all of them, as long as no class has more than about 2 / P of the items.
    - A larger class is in every batch, with no item twice in an epoch, and has all its items after
      `k = ceil(n / (L K))` epochs: the epochs 1 to k, then k + 1 to 2 k, and so on. k is P / 2,
      rounded up, at most.
      With P = 32 and K = 4, 3 classes of 2,000 items and 40 of 5 make epochs of 100 batches, where
      the items alone would fill 49 and all items of the large classes would need 500. Five epochs
      have them all.

    What is repeated, drawn at random:

    - items of a class whose size K does not divide, to fill up its last K places;
    - all items of a class with fewer than K, as often as there is room for among K; only there an
      item is in a batch more than once;
    - small classes as a whole, beside larger ones, the smallest first: what is left of the L P
      places for groups goes to them.

    As with `LabelPairs`, `fit` trains on the epochs `initial_epoch + 1`, `initial_epoch + 2`, ...,
    and a training that goes on with `initial_epoch=k` here and in `fit` has the batches that it
    would have had without the interruption.

    Args:
        x: N items: an array `(N, ...)`, or any object with `len` that gives an array for an array
            of indices, such as a reader of image files.
        labels: `(N,)` or `(N, 1)`, the class of each item: integers, strings, anything sortable.
        batch_size: Items in a batch, at most; fewer if there are not as many.
        seed: A non-negative integer; equal seeds give equal batches.
        initial_epoch: The epoch to start with, as for `fit`, to go on with a training.
        group_size: Items of a class in a batch, at least.
        paired: Whether the items of a batch come in pairs of one class, `(P K / 2, 2, ...)` with
            one id for a pair, as a loss of two views takes them. K is even then.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: If `x` and `labels` differ in length, no class has two items, `labels` has one
            class only, NaN or another shape, or a number is out of its range.

    Example:
    >>> import numpy as np
    >>> data = ClassBatches(np.zeros((10, 2)), labels=[0, 1] * 5, batch_size=4, group_size=2)
    >>> items, class_ids = data[0]
    >>> len(data), items.shape, class_ids.tolist()
    (3, (4, 2), [0, 0, 1, 1])
    """

    def __init__(
        self,
        x: Items,
        labels: npt.ArrayLike,
        batch_size: int = 128,
        seed: int = 0,
        initial_epoch: int = 0,
        group_size: int = 4,
        paired: bool = False,
        **kwargs: Any,
    ) -> None:
        """Groups the items by class and draws the batches of the first epoch."""
        super().__init__(**kwargs)
        classes = Classes.of(labels)
        check_one_label_each(x, classes)
        if classes.sizes.max() < 2:
            raise ValueError(
                "Batches need a class with two items or more: nothing is the same as anything "
                f"else here. Received: {len(x)} items, each of a class of its own."
            )
        for name, value, least in (
            ("batch_size", batch_size, _LEAST),
            ("group_size", group_size, 2),
        ):
            if natural_number(name, value) < least:
                raise ValueError(f"{name} must be at least {least}. Received: {value}.")
        self._x = x
        self._classes = classes
        self._paired = paired
        self._per_batch, self._group_size = batch_shape(
            classes.sizes, batch_size, group_size, paired
        )
        groups = -(-classes.sizes // self._group_size)
        filled = -(-int(groups.sum()) // self._per_batch)
        self._batches = min(max(filled, int(groups.max())), _LONGEST * filled)
        self._groups = np.minimum(groups, self._batches)
        self._seed = natural_number("seed", seed)
        self._epoch = natural_number("initial_epoch", initial_epoch)
        self._indices = self._draw()

    @property
    def class_ids(self) -> IntArray:
        """`(N,)`: the class of each item, numbered in the order of the sorted labels."""
        return self._classes.codes

    @property
    def indices(self) -> IntArray:
        """`(batches, P K)`: the items of each batch of this epoch."""
        return self._indices

    def __len__(self) -> int:
        """The number of batches."""
        return self._batches

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """The batch `(items, class_ids)` at `index`."""
        chosen = self._indices[index]
        items, class_ids = np.asarray(self._x[chosen]), self.class_ids[chosen].astype(np.int32)
        if self._paired:
            return items.reshape(-1, 2, *items.shape[1:]), class_ids[::2]
        return items, class_ids

    def on_epoch_end(self) -> None:
        """Draws the batches of the next epoch."""
        self._epoch += 1
        self._indices = self._draw()

    def _draw(self) -> IntArray:
        rng = np.random.default_rng([self._seed, self._epoch])
        batches = self._batches
        groups = filled_up(self._groups, batches * self._per_batch, rng)
        by_class = np.argsort(self.class_ids, kind="stable")
        members = np.split(by_class, self._classes.starts[1:])
        members = [self._turn(number, each) for number, each in enumerate(members)]
        order = rng.permutation(len(members))
        items = np.concatenate([self._grouped(members[c], int(groups[c]), rng) for c in order])
        # Groups of a class go into different batches.
        batch_of_group = dealt(batches, groups[order], rng)
        return items[np.argsort(batch_of_group, kind="stable")].reshape(batches, -1)

    def _turn(self, number: int, members: IntArray) -> IntArray:
        """The items of a class for this epoch: all, or its next ones if it has too many."""
        most = self._batches * self._group_size
        if len(members) <= most:
            return members
        deal, turn = divmod(self._epoch, -(-len(members) // most))
        order = np.random.default_rng([self._seed, deal, number + 1]).permutation(members)
        return np.take(order, np.arange(turn * most, (turn + 1) * most), mode="wrap")

    def _grouped(self, members: IntArray, groups: int, rng: np.random.Generator) -> IntArray:
        """`(groups, K)` items of a class; each of them at least once, if the groups suffice."""
        size = self._group_size
        if len(members) < size:
            return np.stack([np.resize(rng.permutation(members), size) for _ in range(groups)])
        hands = np.full(groups, size)
        return members[dealt(len(members), hands, rng)].reshape(groups, size)


def batch_shape(
    sizes: IntArray, batch_size: int, group_size: int = 4, paired: bool = False
) -> tuple[int, int]:
    """P and K: the classes in a batch of `ClassBatches`, and the items of each of them.

    Args:
        sizes: The number of items of each class, two classes or more.
        batch_size: Items in a batch, at most.
        group_size: Items of a class in a batch, at least.
        paired: Whether K has to be even.
    """
    room = max(_LEAST, min(batch_size, int(sizes.sum())))
    classes = min(len(sizes), max(2, room // group_size))
    items = min(room // classes, max(group_size, int(np.median(sizes))))
    return classes, items - items % 2 if paired else items
