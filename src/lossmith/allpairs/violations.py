"""All triplets of a block of anchors, without visiting them.

The distances of an anchor's positives, sorted and moved by the margin, are bounds; a negative
violates the positives whose bounds are beyond it. So each negative is put between two bounds, and
prefix sums over the bounds hold what all triplets add up to: O(B^2 log k) for k positives per
anchor.
"""

from typing import Any

from lossmith.allpairs.row import LOWEST, Row
from lossmith.core.backend import bounded, keras, running_sum

ops = keras.ops
_SIZES = (16, 128, 1024)
"""How many positives of each anchor are sorted at a time: the least that holds all is used."""


def of_triplets(driver: Any, block: Any, row: Row, margin: Any) -> tuple[Any, Any, Any]:
    """The hinges of all triplets of each anchor, how many are not 0, and the slope of the first.

    Args:
        driver: the backend's loops.
        block: distances, `(anchors, partners)`.
        row: the groups of partners.
        margin: what a negative is to be further away than a positive.

    Returns:
        Weighted sums `(anchors,)`, weighted counts `(anchors,)` and `(anchors, partners)`.
    """
    sizes = _sizes(block.shape[1])
    most = row.positives.most()

    def some(size: int, carry: Any) -> Any:
        return _nearest(driver, size, carry, block, row, margin)

    def once(size: int) -> Any:
        return lambda carry: some(size, carry)

    def repeatedly(carry: Any) -> Any:
        size = sizes[-1]
        return driver.loop((most + (size - 1)) // size, lambda _, carry: some(size, carry), carry)

    zeros = ops.zeros_like(block[:, 0])
    start = (row.positives.chosen(-block, LOWEST), zeros, zeros, ops.zeros_like(block))
    index = sum((ops.cast(most > size, "int32") for size in sizes[:-1]), ops.zeros((), "int32"))
    branches = [*(once(size) for size in sizes[:-1]), repeatedly]
    return tuple(driver.switch(index, branches, start)[1:])


def _sizes(partners: int | None) -> list[int]:
    """The sizes that can occur; the number of partners is open in some graphs."""
    if partners is None or partners > _SIZES[-1]:
        return list(_SIZES)
    return [*(size for size in _SIZES if size < partners), partners]


def _nearest(driver: Any, size: int, carry: Any, block: Any, row: Row, margin: Any) -> Any:
    """Add the triplets of the nearest positives that are left, and take those away."""
    left, value, count, slope = carry
    nearest, columns = driver.largest(left, size)
    weights = row.positives.weights_of(columns) * ops.cast(nearest > 0.5 * LOWEST, block.dtype)
    # Where no positive is left a bound has weight 0; it is kept in the scale of the others.
    bounds = bounded(margin - nearest, most=margin + ops.amax(block))
    bins = driver.place(bounds, block)
    violating = row.negatives.entries(ops.ones_like(block))
    # The sums are of what is positive, so that nothing cancels.
    ahead = ops.take_along_axis(bounds, ops.minimum(bins, size - 1), axis=1) - block
    numbers = running_sum(driver.bin_sums(violating, bins, size))
    hinges = driver.bin_sums(violating * ahead, bins, size)
    hinges = ops.concatenate(
        [hinges[:, :1], hinges[:, 1:] + numbers[:, :-1] * (bounds[:, 1:] - bounds[:, :-1])], axis=1
    )
    hinges = running_sum(hinges)
    beyond = ops.flip(running_sum(ops.flip(weights, axis=1)), axis=1)
    beyond = ops.concatenate([beyond, ops.zeros_like(beyond[:, :1])], axis=1)
    slope = slope - violating * ops.take_along_axis(beyond, bins, axis=1)
    slope = driver.add_entries(slope, columns, weights * numbers)
    return (
        driver.put_entries(left, columns, ops.full_like(nearest, LOWEST)),
        value + ops.sum(weights * hinges, axis=1),
        count + ops.sum(weights * numbers, axis=1),
        slope,
    )
