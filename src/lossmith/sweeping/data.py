"""The data of a sweep, and the order in which every training meets it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossmith.core.backend import keras

tree = keras.tree


@dataclass(frozen=True)
class Data:
    """Arrays as `fit` takes them: inputs, targets and, if there are any, weights of samples."""

    arrays: tuple[Any, ...]

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(tree.flatten(self.arrays)[0])

    def rows(self, indices: Any) -> tuple[Any, ...]:
        """A batch."""
        return tree.map_structure(lambda array: array[indices], self.arrays)

    def checksum(self) -> str:
        """Equal for equal data."""
        digest = hashlib.sha256()
        for array in tree.flatten(self.arrays):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def data(what: str, x: Any, y: Any, sample_weight: Any = None) -> Data:
    """Check and keep arrays; floating ones get Keras' `floatx`, as in `fit`.

    Raises:
        TypeError: if something is no array of numbers.
        ValueError: if there are no samples, or the lengths differ.
    """
    given = (x, y) if sample_weight is None else (x, y, sample_weight)
    for each in given:
        if isinstance(each, keras.utils.PyDataset):
            raise TypeError(_no_arrays(what, type(each).__name__))
    arrays = tree.map_structure(lambda each: _array(what, each), given)
    lengths = [len(array) for array in tree.flatten(arrays)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(
            f"sweep: {what} must hold one target (and weight) for each of one or more samples; "
            f"the lengths are {lengths}."
        )
    return Data(tuple(arrays))


def validation(given: Any) -> Data:
    """The validation data, `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        TypeError: if it is something else.
    """
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise TypeError(
            "sweep: validation_data must be (x, y) or (x, y, sample_weight), by which candidates "
            f"are compared; got {type(given).__name__}."
        )
    return data("validation_data", *given)


def _array(what: str, given: Any) -> np.ndarray:
    if hasattr(given, "detach") or hasattr(given, "numpy"):
        given = keras.ops.convert_to_numpy(given)
    array = np.asarray(given)
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        got = f"{type(given).__name__} (shape {array.shape}, dtype {array.dtype})"
        raise TypeError(_no_arrays(what, got))
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array


def _no_arrays(what: str, got: str) -> str:
    return (
        f"sweep: {what} must be arrays of numbers, since every candidate trains on the same "
        f"batches; got {got}."
    )


class Batches(keras.utils.PyDataset):
    """The batches of a training in the order of the epoch that is told."""

    def __init__(self, data: Data, order: "Order", seed: int, batch_size: int) -> None:
        super().__init__()
        self._data, self._order_of, self._seed, self._size = data, order, seed, batch_size
        self.set_epoch(0)

    def set_epoch(self, number: int) -> None:
        """Draw the order of an epoch."""
        self._order = self._order_of(self._seed, number)

    def __len__(self) -> int:
        return -(-self._data.size // self._size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """A batch."""
        return self._data.rows(self._order[index * self._size : (index + 1) * self._size])


Order = Callable[[int, int], np.ndarray]


def order_of(size: int, shuffle: bool) -> Order:
    """The rows in the order of an epoch, from the seed and the number of the epoch."""

    def shuffled(seed: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, epoch]).permutation(size)

    def as_given(seed: int, epoch: int) -> np.ndarray:
        return np.arange(size)

    return shuffled if shuffle else as_given
