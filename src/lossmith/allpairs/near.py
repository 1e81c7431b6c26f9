"""Near pairs: their differences computed one by one, in memory that does not grow with them.

Where each row of a block has few of them (its duplicates, its class), one pair of each row is
visited at a time; where there are many, all pairs are, some features at a time.
"""

from typing import Any

from lossmith.allpairs import measures
from lossmith.allpairs.measures import Name
from lossmith.core.backend import keras

ops = keras.ops
_FEW = 24


def corrected(driver: Any, measure: Name, block: Any, near: Any, rows: Any, columns: Any) -> Any:
    """The block with the distance of every near pair taken from the difference of its vectors."""

    def few(block: Any) -> Any:
        def visit(block: Any, column: Any, chosen: Any) -> Any:
            difference = rows - ops.take(columns, column, axis=0)
            current = ops.take_along_axis(block, column[:, None], axis=1)[:, 0]
            exact = measures.exact(measure, difference)
            return driver.put_entries(block, column, ops.where(chosen, exact, current))

        return _one_of_each_row(driver, near, visit, block)

    def many(block: Any) -> Any:
        return ops.where(near, measures.exact_all(driver, measure, rows, columns), block)

    return driver.switch(_how_many(near), [lambda block: block, few, many], block)


def gradients(driver: Any, weights: Any, near: Any, rows: Any, columns: Any) -> tuple[Any, Any]:
    """`sum_j W_ij (a_i - b_j)` for the rows and its counterpart for the columns, of near pairs."""
    nothing = ops.zeros_like(rows), ops.zeros_like(columns)

    def few(carry: Any) -> Any:
        def visit(carry: Any, column: Any, chosen: Any) -> Any:
            weight = ops.take_along_axis(weights, column[:, None], axis=1)
            weight = ops.where(chosen[:, None], weight, 0.0)
            step = weight * (rows - ops.take(columns, column, axis=0))
            return carry[0] + step, driver.scatter_rows(carry[1], column, -step)

        return _one_of_each_row(driver, near, visit, carry)

    def many(carry: Any) -> Any:
        chosen = ops.where(near, weights, 0.0)
        features = int(rows.shape[1])

        def visit(k: Any, carry: Any) -> Any:
            a, b = ops.take(rows, k, axis=1), ops.take(columns, k, axis=1)
            step = chosen * (a[:, None] - b[None, :])
            here = ops.arange(1, dtype="int32")
            return (
                driver.put_rows(carry[0], k, here, ops.sum(step, axis=1)[None]),
                driver.put_rows(carry[1], k, here, -ops.sum(step, axis=0)[None]),
            )

        turned = tuple(ops.transpose(each) + 0.0 for each in carry)
        turned = driver.loop(features, visit, turned)
        return tuple(ops.transpose(each) for each in turned)

    return driver.switch(_how_many(near), [lambda carry: carry, few, many], nothing)


def _how_many(near: Any) -> Any:
    """0: none; 1: few in each row; 2: many."""
    most = ops.max(ops.sum(ops.cast(near, "int32"), axis=1))
    return ops.cast(most > 0, "int32") + ops.cast(most > _FEW, "int32")


def _one_of_each_row(driver: Any, near: Any, visit: Any, carry: Any) -> Any:
    columns = ops.shape(near)[1]
    index = ops.arange(columns, dtype="int32")[None, :]
    most = ops.max(ops.sum(ops.cast(near, "int32"), axis=1))

    def body(_: Any, state: Any) -> Any:
        last, carry = state
        later = ops.logical_and(near, index > last[:, None])
        column = ops.min(ops.where(later, index, columns), axis=1)
        chosen = column < columns
        return column, visit(carry, ops.minimum(column, columns - 1), chosen)

    before = ops.full_like(ops.argmax(near, axis=1), -1, dtype="int32")
    return driver.loop(most, body, (before, carry))[1]

