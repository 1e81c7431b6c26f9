"""Losses of a pair: two embeddings (or their distance) and whether they are the same."""

from typing import Any, Literal

from lossmith import distances
from lossmith.core import Loss, Positive
from lossmith.core.backend import keras
from lossmith.core.numerics import hinge
from lossmith.core.wording import named

ops = keras.ops


class Contrastive(Loss):
    """Contrastive loss: same pairs are pulled together, different ones pushed beyond a margin.

    With D the distance of a pair and s = 1 for a same pair, 0 for a different one:
    `f * (s D^2 + (1 - s) max(margin - D, 0)^2)`, where f is `factor`.

    The margin is the distance that different pairs are kept beyond: it is a minimum for them, and
    no limit for same pairs. A different pair further apart than the margin has no gradient. The
    gradient at D = 0 is that of the distance, 0: two different items with equal embeddings are not
    separated by this loss alone. Use it when pairs are what there is; with class labels, a loss
    over all pairs of a batch learns more from each step.

    Shapes: y_true 0 or 1, `(N,)` or `(N, 1)`; y_pred the distances, `(N,)` or `(N, 1)`, or the two
    embeddings of each pair, `(N, 2, D)`. Labels that are neither 0 nor 1 are refused where they can
    be seen; inside a compiled step the formula is linear in the label, so that a label of 0.3 is
    0.3 of a same pair and 0.7 of a different one, which `graded=True` allows everywhere.

    Args:
        margin: the distance to keep between different pairs; greater than 0, and within the reach
            of the distance.
        same: the label of a same pair: 1 as in most libraries, 0 as in the paper.
        factor: a constant factor, 0.5 in the paper; greater than 0.
        distance: of two embeddings; not used when y_pred holds distances.
        graded: whether labels may lie between 0 and 1.

    Raises:
        ValueError: if the distance can never reach the margin.

    Relations: the paper's loss is `contrastive(same=0, factor=0.5, reduction="sum")`; TensorFlow
    Addons' is `contrastive` as it is; sentence-transformers' is
    `contrastive(factor=0.5, margin=0.5, distance="cosine")`.

    Reference: Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant
    Mapping", CVPR 2006.

    >>> import lossmith as ls
    >>> [float(v) for v in ls.losses.contrastive.values([1, 0, 0], [0.5, 0.5, 2.0])]
    [0.25, 0.25, 0.0]
    """

    targets = "pair"
    margin: Positive = 1.0
    same: Literal[0, 1] = 1
    factor: Positive = 1.0
    distance: distances.Name = "euclidean"
    graded: bool = False

    def __post_init__(self) -> None:
        """Refuse a margin that the distance can never reach."""
        with named(self.name):
            distances.get(self.distance).check_margin(self.margin)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each pair."""
        if len(y_pred.shape) == 3:
            y_pred = distances.get(self.distance)(y_pred[:, 0], y_pred[:, 1])
        same = y_true if self.same == 1 else 1.0 - y_true
        pull = same * ops.square(y_pred)
        push = (1.0 - same) * ops.square(hinge(self.margin - y_pred))
        return self.factor * (pull + push)


contrastive = Contrastive()
