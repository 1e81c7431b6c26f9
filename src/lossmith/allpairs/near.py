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
    amount: Any
    """0: there are none; 1: each row has few; 2: some row has many."""


class All(NamedTuple):
    """A small batch, of which all pairs are taken as near."""

    differences: Any
    """Of the vectors of every pair, `(rows, columns, features)`."""


def found(driver: Any, some: Any, mask: Callable[[], Any]) -> Near:
    """The near pairs under a mask, which is looked at only if there may be some."""

    def counted(_: Any) -> Any:
        most = ops.amax(ops.count_nonzero(mask(), axis=1))
        return ops.cast(most > 0, "int32") + ops.cast(most > _FEW, "int32")

    none = ops.zeros((), dtype="int32")
    return Near(mask, driver.switch(ops.cast(some, "int32"), [lambda _: none, counted], none))


def corrected(driver: Any, measure: Name, block: Any, near: Near, rows: Any, columns: Any) -> Any:
    """The block with the distance of every near pair taken from the difference of its vectors."""

    def few(block: Any) -> Any:
        def visit(block: Any, column: Any, chosen: Any) -> Any:
            difference = rows - ops.take(columns, column, axis=0)
            current = ops.take_along_axis(block, column[:, None], axis=1)[:, 0]
            exact = measures.exact(measure, difference)
            exact = ops.where(chosen, exact, current)
            return driver.put_entries(block, column[:, None], exact[:, None])

        return each_in_rows(driver, near.mask(), visit, block)

    def many(block: Any) -> Any:
        return ops.where(near.mask(), measures.exact_all(driver, measure, rows, columns), block)

    return driver.switch(near.amount, [lambda block: block, few, many], block)


def split(
    driver: Any, weights: Any, near: Near, rows: Any, columns: Any, of_columns: Any
) -> tuple[Any, Any, Any]:
    """Take near pairs out of the weights W, and give `sum_j W_ij (a_i - b_j)` of them.

    Args:
        driver: the backend's loops.
        weights: W, `(rows, columns)`.
        near: the near pairs.
        rows: the vectors a.
        columns: the vectors b.
        of_columns: what the gradient of the columns is added to; `None` if it is not wanted.

    Returns:
        The other weights, the gradient of the rows and that of the columns.
    """

    def few(carry: Any) -> Any:
        def visit(carry: Any, column: Any, chosen: Any) -> Any:
            weight = ops.take_along_axis(weights, column[:, None], axis=1)
            weight = ops.where(chosen[:, None], weight, 0.0)
            step = weight * (rows - ops.take(columns, column, axis=0))
            if len(carry) == 1:
                return (carry[0] + step,)
            return carry[0] + step, driver.scatter_rows(carry[1], column, -step)

        _, *carry = carry
        return others(), *each_in_rows(driver, near.mask(), visit, tuple(carry))

    def many(carry: Any) -> Any:
        chosen = ops.where(near.mask(), weights, 0.0)
        one = ops.arange(1, dtype="int32")

        def visit(k: Any, carry: Any) -> Any:
            step = ops.take(rows, k, axis=1)[:, None] - ops.take(columns, k, axis=1)[None, :]
            step = chosen * step
            sums = ops.sum(step, axis=1)[None], -ops.sum(step, axis=0)[None]
            return tuple(
                driver.add_rows(each, k, one, new)
                for each, new in zip(carry, sums[: len(carry)], strict=True)
            )

        _, *carry = carry
        turned = tuple(ops.transpose(each) for each in carry)
        turned = driver.loop(ops.shape(rows)[1], visit, turned)
        return others(), *(ops.transpose(each) for each in turned)

    def others() -> Any:
        return ops.where(near.mask(), 0.0, weights)

    start = (weights, ops.zeros_like(rows), *([] if of_columns is None else [of_columns]))
    result = driver.switch(near.amount, [lambda carry: carry, few, many], start)
    return result if of_columns is not None else (*result, None)
