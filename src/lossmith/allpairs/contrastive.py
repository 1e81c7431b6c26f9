"""The contrastive loss over all pairs of a batch."""

from collections.abc import Callable
from typing import Any, Literal

from lossmith import distances
from lossmith.allpairs import engine
from lossmith.allpairs.base import AllPairsLoss
from lossmith.allpairs.counts import numbers_of
from lossmith.allpairs.measures import Name
from lossmith.allpairs.pairs import Pairs
from lossmith.allpairs.row import Row
from lossmith.core import NonNegative, Positive
from lossmith.core.backend import bounded, keras
from lossmith.core.numerics import hinge, square_root
from lossmith.core.reduction import divide_or_zero
from lossmith.core.tracing import is_traced
from lossmith.core.wording import named

ops = keras.ops
_LEAST = 1e-37
"""The square of a distance below which vectors that differ cannot be told from equal ones."""


class AllPairsContrastive(AllPairsLoss):
    """Contrastive loss of all pairs: classes are pulled together and pushed beyond a margin.

    With D the distance of a pair, m `margin` and m+ `positive_margin`:
    `mean over positives of max(D - m+, 0)^2 + mean over negatives of max(m - D, 0)^2`; without the
    squares if `squared=False`. The means are over all pairs of a kind, or, with
    `average="active"`, over those that are not 0: the loss then does not fade as most negatives
    pass the margin. A kind that has no pair adds nothing. Positives and negatives weigh the same
    however many there are of each.

    A subclass that writes another formula of an anchor finds what `measure` says in its block: for
    the Euclidean distance the square of it.

    It needs a margin in the scale of the embeddings, which should have a length that is bounded;
    a softmax over the batch (`supervised_contrastive`, `nt_xent`) needs none and mostly trains
    better with large batches. Two different items with equal embeddings are not separated.

    Weights: a pair weighs the product of the weights of its items; weight 0 takes an item out.

    Shapes: y_true class ids `(N,)` or labels `(N, L)` of 0 and 1 (a label in common makes a
    positive); y_pred embeddings `(N, D)`, or V views of each item `(N, V, D)`. Batchwise.

    Args:
        margin: the distance to keep between classes; greater than 0, and within reach.
        positive_margin: the distance within a class that costs nothing; 0 or greater.
        squared: whether the hinges are squared.
        average: `"all"` pairs of a kind, or the `"active"` ones.
        distance: `"euclidean"`, `"squared_euclidean"` or `"cosine"`.

    Raises:
        ValueError: if the distance can never reach the margin.

    Relations: `contrastive` of every pair, averaged by kind. pytorch-metric-learning's
    ContrastiveLoss is `squared=False, average="active"` of embeddings of length 1.

    Reference: Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant
    Mapping", CVPR 2006.

    >>> import lossmith as ls
    >>> embeddings = [[0.0, 0.0], [0.0, 0.5], [0.5, 0.0]]
    >>> print(f"{ls.losses.all_pairs_contrastive([0, 0, 1], embeddings):.4f}")
    0.4179
    """

    symmetric = True
    averaged = False
    margin: Positive = 1.0
    positive_margin: NonNegative = 0.0
    squared: bool = True
    average: Literal["all", "active"] = "all"
    distance: Literal["euclidean", "squared_euclidean", "cosine"] = "euclidean"

    def __post_init__(self) -> None:
        """Refuse a margin that the distance can never reach."""
        with named(self.name):
            distances.get(self.distance).check_margin(self.margin)

    @property
    def measure(self) -> Name:  # type: ignore[override]
        """What the engine compares by: the distance, or its square, which costs less."""
        return "squared_euclidean" if self.distance == "euclidean" else self.distance

    def prepare(self, pairs: Pairs) -> Any:
        """One over the number of pairs of each kind, or over those that are active."""
        if self.average == "active":
            return divide_or_zero(1.0, engine.total(self, pairs, self._count_active, 2))
        numbers = numbers_of(pairs)
        numbers = engine.total(self, pairs, _all, 2) if numbers is None else ops.stack(numbers)
        return divide_or_zero(1.0, numbers)

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """Its share of the mean over positives and of the mean over negatives."""
        pull, push = self._costs(*self._hinges(block, square_root))
        value = row.given[0] * row.positives.sum(pull) + row.given[1] * row.negatives.sum(push)
        return value, ops.ones_like(value)

    def slope(self, block: Any, row: Row, weights: Any) -> tuple[Any, Any, Any]:
        """The weighted sums of values and of counts, and the slope of the first."""
        scale = [row.given[kind] * weights[:, None] for kind in (0, 1)]
        costs = self._costs(*self._hinges(block))
        value = ops.sum(row.weighed(row.select(scale[0] * costs[0], scale[1] * costs[1])))
        attraction, repulsion = self._steepness(block)
        slope = row.select(scale[0] * attraction, -scale[1] * repulsion)
        return value, ops.sum(weights), row.weighed(slope)

    def _steepness(self, block: Any) -> tuple[Any, Any]:
        """How fast the cost of a positive rises with the block, and that of a negative falls."""
        if self.distance != "euclidean":
            return self._steepness_in_distance(*self._hinges(block))
        # Not divided by the distance of the hinges: a compiler would have to keep that for both.
        inverse = ops.rsqrt(bounded(block, _LEAST))
        if not self.squared:
            pull, push = self._steepness_in_distance(*self._hinges(block))
            return 0.5 * pull * inverse, 0.5 * push * inverse
        pull = ops.ones_like(block)
        if self._has_margin():
            pull = hinge(1.0 - self.positive_margin * inverse)
        return pull, hinge(self.margin * inverse - 1.0)

    def _steepness_in_distance(self, pull: Any, push: Any) -> tuple[Any, Any]:
        if self.squared:
            return 2.0 * pull, 2.0 * push
        return _active(pull) if self._has_margin() else ops.ones_like(pull), _active(push)

    def _has_margin(self) -> bool:
        return is_traced(self) or bool(self.positive_margin > 0)

    def _costs(self, pull: Any, push: Any) -> tuple[Any, Any]:
        return (ops.square(pull), ops.square(push)) if self.squared else (pull, push)

    def _hinges(self, block: Any, root: Callable[[Any], Any] = ops.sqrt) -> tuple[Any, Any]:
        """How far pairs are from where they cost nothing; a root that is differentiated is safe."""
        distance = root(block) if self.distance == "euclidean" else block
        pull = hinge(distance - self.positive_margin) if self._has_margin() else distance
        return pull, hinge(self.margin - distance)

    def _count_active(self, measured: Any, row: Row) -> tuple[Any, Any]:
        pull, push = self._hinges(measured())
        return row.positives.sum(_active(pull)), row.negatives.sum(_active(push))


def _active(hinged: Any) -> Any:
    return ops.cast(hinged > 0, hinged.dtype)


def _all(measured: Any, row: Row) -> tuple[Any, Any]:
    return row.positives.count(), row.negatives.count()


all_pairs_contrastive = AllPairsContrastive()
