"""What the formula of an anchor sees: a block of rows, and groups of partners to reduce over."""

from typing import Any

from lossmith.core.backend import keras
from lossmith.core.reduction import divide_or_zero

ops = keras.ops
_LOWEST = -1e30


class Group:
    """Some of the partners of each row: its positives, its negatives or all others.

    Every reduction takes a block `(rows, partners)` and returns `(rows,)`. A partner of weight w
    counts w times; one of weight 0 is not there.
    """

    def __init__(self, members: Any, weights: Any, ones: Any, partners: Any) -> None:
        """Make the group of some partners.

        Args:
            members: booleans `(rows, partners)`, `None` for all.
            weights: of the partners, `(partners,)`, `None` if all are 1.
            ones: a 1 for each row, `(rows,)`.
            partners: how many there are.
        """
        self._members, self._weights = members, weights
        self._ones, self._partners = ones, partners

    def count(self) -> Any:
        """How many there are (the sum of their weights)."""
        if self._members is None:
            return self._ones * ops.cast(self._partners, self._ones.dtype)
        return ops.sum(self._weighed(ops.cast(self._members, self._ones.dtype)), axis=1)

    def any(self) -> Any:
        """1 where there is one, else 0."""
        if self._members is None:
            return self._ones
        return ops.cast(ops.any(self._members, axis=1), self._ones.dtype)

    def sum(self, block: Any) -> Any:
        """The sum."""
        return ops.sum(self._weighed(self._chosen(block, 0.0)), axis=1)

    def mean(self, block: Any) -> Any:
        """The mean; 0 of nothing."""
        return divide_or_zero(self.sum(block), self.count())

    def max(self, block: Any, empty: float = _LOWEST) -> Any:
        """The largest; `empty` if there is none."""
        return ops.max(self._chosen(block, empty), axis=1)

    def min(self, block: Any, empty: float = -_LOWEST) -> Any:
        """The smallest; `empty` if there is none."""
        return ops.min(self._chosen(block, empty), axis=1)

    def argmax(self, block: Any) -> Any:
        """The column of the largest."""
        return ops.argmax(self._chosen(block, _LOWEST), axis=1)

    def logsumexp(self, block: Any) -> Any:
        """The logarithm of the sum of the exponentials; -1e30 of nothing."""
        chosen = self._chosen(block, _LOWEST)
        largest = ops.stop_gradient(ops.max(chosen, axis=1, keepdims=True))
        total = ops.sum(self._weighed(ops.exp(self._chosen(block - largest, _LOWEST))), axis=1)
        exists = total > 0
        logarithm = ops.log(ops.where(exists, total, ops.ones_like(total)))
        return ops.where(exists, logarithm + largest[:, 0], ops.full_like(total, _LOWEST))

    def _chosen(self, block: Any, other: float) -> Any:
        if self._members is None:
            return block
        return ops.where(self._members, block, other)

    def _weighed(self, block: Any) -> Any:
        return block if self._weights is None else block * self._weights


class Row:
    """A block of anchors: who their partners are, and what `prepare` has given.

    Attributes:
        positives: partners of the same class (with a label in common), never the item itself.
        negatives: partners of other classes.
        others: both.
        given: what the loss' `prepare` returned.
    """

    def __init__(
        self, members: tuple[Any, Any, Any], weights: Any, ones: Any, partners: Any, given: Any
    ) -> None:
        """Make the groups from the booleans of positives, negatives and others."""
        self.positives, self.negatives, self.others = (
            Group(each, weights, ones, partners) for each in members
        )
        self.given = given


def members(labels: Any, partners: Any, itself: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Who is positive, negative or either, `(rows, partners)` each.

    Args:
        labels: of the rows, ids or one row of labels each.
        partners: of the columns.
        itself: where row and column are one item; `None` if they never are.
        weights: of the columns, or `None`.
    """
    if len(labels.shape) == 1:
        same = ops.equal(labels[:, None], partners[None, :])
    else:
        same = ops.matmul(labels, ops.transpose(partners)) > 0
    others = None if itself is None else ops.logical_not(itself)
    if weights is not None:
        present = ops.not_equal(weights, 0)[None, :]
        others = present if others is None else ops.logical_and(others, present)
    negatives = ops.logical_not(same)
    if others is None:
        return same, negatives, None
    if weights is not None or len(labels.shape) > 1:
        negatives = ops.logical_and(negatives, others)
    return ops.logical_and(same, others), negatives, others
