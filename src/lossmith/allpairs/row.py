"""What the formula of an anchor sees: a block of rows, and groups of partners to reduce over."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lossmith.core.backend import keras
from lossmith.core.reduction import divide_or_zero

ops = keras.ops
LOWEST = -1e30
"""Stands for a similarity that is not there."""


class Group:
    """Some of the partners of each row: its positives, its negatives or all others.

    Every reduction takes a block `(rows, partners)` and returns `(rows,)`. A partner of weight w
    counts w times; one of weight 0 is not there.
    """

    def __init__(self, members: Any, weights: Any, dtype: Any) -> None:
        """Make the group of some partners.

        Args:
            members: booleans `(rows, partners)`.
            weights: of the partners, `(partners,)`, `None` if all are 1.
            dtype: of the blocks.
        """
        self._members, self._weights, self._dtype = members, weights, dtype

    def where(self, chosen: Any) -> "Group":
        """Those of the group that are chosen, booleans `(rows, partners)`."""
        return Group(ops.logical_and(self._members, chosen), self._weights, self._dtype)

    def count(self) -> Any:
        """How many there are (the sum of their weights)."""
        if self._weights is None:
            return ops.cast(ops.count_nonzero(self._members, axis=1), self._dtype)
        return ops.sum(self._weighed(ops.cast(self._members, self._dtype)), axis=1)

    def any(self) -> Any:
        """1 where there is one, else 0."""
        return ops.cast(ops.any(self._members, axis=1), self._dtype)

    def sum(self, block: Any) -> Any:
        """The sum."""
        return ops.sum(self.entries(block), axis=1)

    def mean(self, block: Any) -> Any:
        """The mean; 0 of nothing."""
        return divide_or_zero(self.sum(block), self.count())

    def max(self, block: Any, empty: float = LOWEST) -> Any:
        """The largest; `empty` if there is none."""
        return ops.amax(self.chosen(block, empty), axis=1)

    def min(self, block: Any, empty: float = -LOWEST) -> Any:
        """The smallest; `empty` if there is none."""
        return ops.amin(self.chosen(block, empty), axis=1)

    def argmax(self, block: Any) -> Any:
        """The column of the largest."""
        return ops.cast(ops.argmax(self.chosen(block, -np.inf), axis=1), "int32")

    def argmin(self, block: Any) -> Any:
        """The column of the smallest."""
        return self.argmax(-block)

    def visit(self, driver: Any, visit: Callable[[Any, Any, Any], Any], carry: Any) -> Any:
        """Visit one of each row at a time; `visit` gets the carry, columns and weights."""

        def weighed(carry: Any, columns: Any, chosen: Any) -> Any:
            weights = ops.cast(chosen, self._dtype)
            if self._weights is not None:
                weights = weights * ops.take(self._weights, columns)
            return visit(carry, columns, weights)

        return each_in_rows(driver, self._members, weighed, carry)

    def entries(self, block: Any) -> Any:
        """The block times the weights of the group, 0 for all others."""
        return self._weighed(self.chosen(block, 0.0))

    def weights_of(self, columns: Any) -> Any:
        """The weights of the partners in some columns."""
        if self._weights is None:
            return ops.ones_like(columns, dtype=self._dtype)
        return ops.take(self._weights, columns)

    def most(self) -> Any:
        """The largest number of them in any row, without weights."""
        return ops.max(ops.count_nonzero(self._members, axis=1), initial=0)

    def chosen(self, block: Any, other: float) -> Any:
        """The block with another number for all that are not of the group."""
        return ops.where(self._members, block, other)

    def logsumexp(self, block: Any) -> Any:
        """The logarithm of the sum of the exponentials; -1e30 of nothing."""
        chosen = self.chosen(block, LOWEST)
        largest = ops.stop_gradient(ops.amax(chosen, axis=1, keepdims=True))
        total = ops.sum(self._weighed(ops.exp(self.chosen(block - largest, LOWEST))), axis=1)
        exists = total > 0
        logarithm = ops.log(ops.where(exists, total, ops.ones_like(total)))
        return ops.where(exists, logarithm + largest[:, 0], ops.full_like(total, LOWEST))

    def _weighed(self, block: Any) -> Any:
        return block if self._weights is None else block * self._weights


class Row:
    """A block of anchors: who their partners are, and what `prepare` has given.

    Attributes:
        positives: partners of the same class (with a label in common), never the item itself.
        negatives: partners of other classes.
        given: what the loss' `prepare` returned.
    """

    def __init__(self, positives: Any, negatives: Any, weights: Any, dtype: Any, given: Any):
        """Make the groups from the booleans of positives and negatives, `(rows, partners)`."""
        self._members, self._weights, self._dtype = (positives, negatives), weights, dtype
        self.positives, self.negatives = (
            Group(each, weights, dtype) for each in (positives, negatives)
        )
        self.given = given

    @property
    def others(self) -> Group:
        """Positives and negatives."""
        return Group(ops.logical_or(*self._members), self._weights, self._dtype)

    def select(self, positives: Any, negatives: Any) -> Any:
        """One number for each positive, another for each negative, 0 for what is neither."""
        ours, others = self._members
        return ops.where(ours, positives, ops.where(others, negatives, 0.0))

    def weighed(self, block: Any) -> Any:
        """The block times the weights of the partners."""
        return block if self._weights is None else block * self._weights


def members(
    labels: Any, partners: Any, weights: Any, without_itself: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Who is positive and who is negative, `(rows, partners)` each.

    Args:
        labels: of the rows, ids `(rows,)` or which labels each has `(labels, rows)`.
        partners: of the columns.
        weights: of the columns, or `None`.
        without_itself: makes a mask false where row and column are one item.
    """
    if len(labels.shape) == 1:
        same = ops.equal(labels[:, None], partners[None, :])
    else:
        same = ops.matmul(ops.transpose(labels), partners) > 0
    negatives, positives = ops.logical_not(same), without_itself(same)
    if len(labels.shape) > 1:
        negatives = without_itself(negatives)
    if weights is not None:
        present = ops.not_equal(weights, 0)[None, :]
        positives, negatives = (ops.logical_and(each, present) for each in (positives, negatives))
    return positives, negatives


def each_in_rows(driver: Any, members: Any, visit: Any, carry: Any) -> Any:
    """Visit the members of every row, one of each row at a time, in the order of the columns.

    Args:
        driver: the backend's loops.
        members: booleans `(rows, columns)`.
        visit: `(carry, columns, chosen)` to the next carry: a column of each row `(rows,)`, and
            whether it is a member; rows with fewer members than others run out of them.
        carry: what the visits change.
    """
    columns = ops.shape(members)[1]
    index = ops.arange(columns, dtype="int32")[None, :]
    most = ops.amax(ops.count_nonzero(members, axis=1))

    def body(_: Any, state: Any) -> Any:
        last, carry = state
        later = ops.logical_and(members, index > last[:, None])
        column = ops.amin(ops.where(later, index, columns), axis=1)
        chosen = column < columns
        return column, visit(carry, ops.minimum(column, columns - 1), chosen)

    before = ops.full_like(ops.count_nonzero(members, axis=1), -1, dtype="int32")
    return driver.loop(most, body, (before, carry))[1]
