"""Where numbers are among sorted bounds, for backends that have no fast way of their own."""

from typing import Any

from lossmith.core.backend import keras

ops = keras.ops


def by_halving(bounds: Any, block: Any) -> Any:
    """How many of the rising bounds of its row `(rows, bounds)` each entry of a block reaches."""
    number = bounds.shape[1]
    reached = ops.zeros_like(block, dtype="int32")
    step = 1 << (number.bit_length() - 1)
    while step:
        ahead = reached + step
        bound = ops.take_along_axis(bounds, ops.minimum(ahead, number) - 1, axis=1)
        reached = ops.where(ops.logical_and(ahead <= number, bound <= block), ahead, reached)
        step //= 2
    return reached
