"""How many pairs of a batch are positive, from its labels alone."""

from typing import Any

from lossmith.allpairs.engine import driver
from lossmith.allpairs.pairs import Pairs
from lossmith.core.backend import keras

ops = keras.ops


def numbers_of(pairs: Pairs) -> tuple[Any, Any] | None:
    """How many pairs are positive and how many negative.

    `None` where only a look at all pairs tells: for weights, several labels per item, items of two
    sides and a number of items that is open.
    """
    ids, weights = pairs.rows.labels, pairs.rows.weights
    items = ids.shape[0]
    if pairs.columns is not None or weights is not None or len(ids.shape) > 1 or not items:
        return None
    ordered = ops.sort(ids)
    steps = ops.cast(ordered[1:] != ordered[:-1], "int32")
    classes = ops.concatenate([ops.zeros((1,), "int32"), ops.cumsum(steps)])
    ones = ops.ones((1, items), dtype=pairs.rows.vectors.dtype)
    sizes = driver.bin_sums(ones, classes[None, :], items)
    return ops.sum(sizes * ops.relu(sizes - 1.0)), ops.sum(sizes * (items - sizes))
