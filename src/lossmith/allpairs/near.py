"""Near pairs: their differences computed one by one, in memory that does not grow with them.

Where each row of a block has few of them (its duplicates, its class), one pair of each row is
visited at a time; where there are many, all pairs are, some features at a time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from lossmith.allpairs import measures
from lossmith.allpairs.measures import Name
from lossmith.allpairs.row import each_in_rows
from lossmith.core.backend import keras

ops = keras.ops
_FEW = 24


class Near(NamedTuple):
    """The near pairs of a block."""

    mask: Callable[[], Any]
    """Booleans `(rows, columns)`, which take time only if they are asked for."""
    many: Any
    """0: each row has few; 1: some row has many."""


class All(NamedTuple):
    """A small batch, of which all pairs are taken as near."""

    differences: Any
    """Of the vectors of every pair, `(features, rows, columns)`."""


class Unresolved(NamedTuple):
    """Near pairs whose differences are not computed: what is made of them is not a number."""

    mask: Any
    """Booleans `(rows, columns)`."""


def found(mask: Callable[[], Any]) -> Near:
    """The near pairs under a mask."""
    most = ops.amax(ops.count_nonzero(mask(), axis=1))
    return Near(mask, ops.cast(most > _FEW, "int32"))


def corrected(driver: Any, measure: Name, block: Any, near: Near, rows: Any, columns: Any) -> Any:
    """The block with the distance of every near pair taken from the difference of its vectors."""

    def few(block: Any) -> Any:
        def visit(block: Any, column: Any, chosen: Any) -> Any:
            difference = rows - ops.take(columns, column, axis=1)
            current = ops.take_along_axis(block, column[:, None], axis=1)[:, 0]
            exact = measures.exact(measure, difference)
            exact = ops.where(chosen, exact, current)
            return driver.put_entries(block, column[:, None], exact[:, None])

        return each_in_rows(driver, near.mask(), visit, block)

    def many(block: Any) -> Any:
        return ops.where(near.mask(), measures.exact_all(driver, measure, rows, columns), block)

    return driver.switch(near.many, [few, many], block)


def split(
    driver: Any, weights: Any, near: Near, rows: Any, columns: Any, both: bool
) -> tuple[Any, ...]:
    """Take near pairs out of the weights W, and give `sum_j W_ij (a_i - b_j)` of them.

    Args:
        driver: the backend's loops.
        weights: W, `(rows, columns)`.
        near: the near pairs.
        rows: the vectors a, `(d, rows)`.
        columns: the vectors b, `(d, columns)`.
        both: whether the gradient of the columns is wanted.

    Returns:
        The other weights, the gradient of the rows and, if it is wanted, that of the columns.
    """

    def few(carry: Any) -> Any:
        def visit(carry: Any, column: Any, chosen: Any) -> Any:
            weight = ops.take_along_axis(weights, column[:, None], axis=1)[:, 0]
            weight = ops.where(chosen, weight, 0.0)
            step = ops.transpose(weight * (rows - ops.take(columns, column, axis=1)))
            if len(carry) == 1:
                return (carry[0] + step,)
            return carry[0] + step, driver.scatter_rows(carry[1], column, -step)

        turned = each_in_rows(
            driver, near.mask(), visit, tuple(ops.transpose(each) for each in carry)
        )
        return others(), *(ops.transpose(each) for each in turned)

    def many(carry: Any) -> Any:
        chosen = ops.where(near.mask(), weights, 0.0)
        one = ops.arange(1, dtype="int32")

        def visit(k: Any, carry: Any) -> Any:
            step = ops.take(rows, k, axis=0)[:, None] - ops.take(columns, k, axis=0)[None, :]
            step = chosen * step
            sums = ops.sum(step, axis=1)[None], -ops.sum(step, axis=0)[None]
            return tuple(
                driver.add_rows(each, k, one, new)
                for each, new in zip(carry, sums[: len(carry)], strict=True)
            )

        return others(), *driver.loop(ops.shape(rows)[0], visit, carry)

    def others() -> Any:
        return ops.where(near.mask(), 0.0, weights)

    start = (ops.zeros_like(rows), *([ops.zeros_like(columns)] if both else []))
    return tuple(driver.switch(near.many, [few, many], start))
