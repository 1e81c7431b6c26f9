"""The triplet loss: every positive of an anchor against its negatives."""

import functools
from typing import Any, Literal

from lossmith.allpairs import engine, extremes, violations
from lossmith.allpairs.base import AllPairsLoss
from lossmith.allpairs.measures import Name
from lossmith.allpairs.pairs import Pairs
from lossmith.allpairs.row import Group, Row
from lossmith.core import Positive, tracing
from lossmith.core.backend import keras
from lossmith.core.numerics import hinge

ops = keras.ops


class Triplet(AllPairsLoss):
    """Triplet loss: negatives are to be further away than positives, by a margin.

    With D the distance, for an anchor a, a positive p and a negative n:
    `max(D_ap - D_an + margin, 0)`. `mining` says which triplets count:

    - `"all"`: every valid triplet, averaged over those that are not 0. There are B^3 of them; the
      positives of an anchor are sorted and its negatives put between them, in O(B^2 log B);
    - `"semi_hard"`: for every positive pair the nearest negative that is further away than the
      positive, or the furthest if there is none; averaged over the positive pairs;
    - `"hardest"`: for every anchor its furthest positive and nearest negative, averaged over the
      anchors that have both. It collapses easily at the start of a training.

    Weights: for `"all"`, a triplet weighs the product of its three weights; for `"semi_hard"` a
    pair weighs the product of two, for `"hardest"` an anchor has its own. Weight 0 takes an item
    out.

    Shapes: y_true class ids `(N,)` or labels `(N, L)` of 0 and 1; y_pred embeddings `(N, D)` or
    `(N, V, D)`, mostly of length 1. Batchwise.

    Args:
        margin: how much further away negatives are to be; greater than 0. 0.2 in FaceNet, for
            squared distances of embeddings of length 1.
        mining: which triplets count.
        distance: `"euclidean"`, `"squared_euclidean"` or `"cosine"`.

    Relations: pytorch-metric-learning's TripletMarginLoss over all triplets of unit vectors is
    `"all"`; with its BatchHardMiner `"hardest"`, averaged there over the triplets that are not 0.
    TensorFlow Addons' TripletSemiHardLoss is `"semi_hard"` and its TripletHardLoss `"hardest"`,
    averaged over all items.

    Reference: Schroff, Kalenichenko and Philbin, "FaceNet", CVPR 2015; Hermans, Beyer and Leibe,
    "In Defense of the Triplet Loss for Person Re-Identification", 2017.

    >>> import lossmith as ls
    >>> embeddings = [[0.0], [1.0], [1.5]]
    >>> print(f"{ls.losses.triplet(margin=1.0)([0, 0, 1], embeddings):.4f}")
    1.0000
    """

    margin: Positive = 0.2
    mining: Literal["all", "semi_hard", "hardest"] = "all"
    distance: Literal["euclidean", "squared_euclidean", "cosine"] = "euclidean"

    @property
    def measure(self) -> Name:  # type: ignore[override]
        """What the engine compares by: the distance."""
        return self.distance

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """The sum over an anchor's triplets, and what it is divided by."""
        return self._with_slope(block, row)[:2]

    def evaluate_pairs(self, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
        """The value, and the gradients of both sides if they are wanted; what drivers call."""
        by_rows = functools.partial(super().evaluate_pairs, pairs, gradient)
        if self.mining != "hardest" or not engine.in_tiles(pairs):
            return by_rows()
        loss = tracing.cast(self, pairs.rows.vectors.dtype)
        return extremes.of_hardest_triplets(loss, pairs, gradient, by_rows)

    def slope(self, block: Any, row: Row, weights: Any) -> tuple[Any, Any, Any]:
        """The weighted sums of values and of counts, and the slope of the first."""
        value, count, slope = self._with_slope(block, row)
        return ops.sum(weights * value), ops.sum(weights * count), weights[:, None] * slope

    def _with_slope(self, block: Any, row: Row) -> tuple[Any, Any, Any]:
        if self.mining == "all":
            return violations.of_triplets(engine.driver, block, row, self.margin)
        if self.mining == "hardest":
            return self._hardest(block, row)
        zeros = ops.zeros_like(block[:, 0])
        start = (zeros, ops.zeros_like(block[:, 0]), ops.zeros_like(block))

        def positive(carry: Any, columns: Any, weights: Any) -> Any:
            distance = ops.take_along_axis(block, columns[:, None], axis=1)[:, 0]
            return self._semi_hard(carry, block, row.negatives, columns, distance, weights)

        return row.positives.visit(engine.driver, positive, start)

    def _hardest(self, block: Any, row: Row) -> tuple[Any, Any, Any]:
        positive, negative = row.positives.argmax(block), row.negatives.argmin(block)
        counts = row.positives.any() * row.negatives.any()
        near, far = (
            ops.take_along_axis(block, each[:, None], axis=1)[:, 0] for each in (positive, negative)
        )
        excess = near - far + self.margin
        active = counts * ops.cast(excess > 0, block.dtype)
        slope = ops.zeros_like(block)
        slope = engine.driver.add_entries(slope, positive[:, None], active[:, None])
        slope = engine.driver.add_entries(slope, negative[:, None], -active[:, None])
        return counts * hinge(excess), counts, slope

    def _semi_hard(
        self, carry: Any, block: Any, negatives: Group, columns: Any, distance: Any, weights: Any
    ) -> Any:
        value, count, slope = carry
        further = negatives.where(block > distance[:, None])
        nearest, furthest = further.argmin(block), negatives.argmax(block)
        negative = ops.where(further.any() > 0, nearest, furthest)
        other = ops.take_along_axis(block, negative[:, None], axis=1)[:, 0]
        weights = weights * negatives.any()
        excess = distance - other + self.margin
        active = weights * ops.cast(excess > 0, block.dtype)
        slope = engine.driver.add_entries(slope, columns[:, None], active[:, None])
        slope = engine.driver.add_entries(slope, negative[:, None], -active[:, None])
        return value + weights * hinge(excess), count + weights, slope


triplet = Triplet()
