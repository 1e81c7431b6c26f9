"""Losses that put a softmax over the partners of each anchor."""

from typing import Any

from lossmith.allpairs.base import AllPairsLoss
from lossmith.allpairs.row import Row
from lossmith.core import Positive
from lossmith.core.backend import keras

ops = keras.ops


class SupervisedContrastive(AllPairsLoss):
    """Supervised contrastive loss: every item against all others of its batch.

    With `s_ij` the cosine similarity of embeddings i and j over `temperature`, P(i) the other items
    of the class of i, and A(i) all other items:
    `L_i = log(sum over a in A(i) of exp(s_ia)) - mean over p in P(i) of s_ip`,
    averaged over the items that have another of their class. 0 if none has. That is the paper's
    L_out; with `inside=True` its L_in, where the mean over the positives is taken of `exp(s_ip)`,
    inside the logarithm. The paper finds L_out to train better.

    It learns from all B^2 pairs of a batch at once. Batches should hold several items of each
    class; for two views of each item without classes, give ids that are all distinct, and it is
    NT-Xent. Memory grows with B.

    Weights: an item of weight w counts w times as an anchor, as a positive and as a negative, but
    is never its own positive; weight 0 takes it out.

    Shapes: y_true class ids `(N,)` or labels `(N, L)` of 0 and 1 (a label in common makes a
    positive); y_pred embeddings of any length `(N, D)` (they are normalised here), or V views of
    each item `(N, V, D)`. Batchwise.

    Args:
        temperature: how sharply near negatives are weighed; greater than 0, 0.1 in the paper.
        inside: whether the mean over the positives is taken inside the logarithm.

    Relations: with one positive per anchor both variants are NT-Xent. pytorch-metric-learning's
    SupConLoss is L_out, averaged over the anchors whose loss is not 0. The paper's code multiplies
    by the temperature (over a base temperature of 0.07).

    Reference: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020.

    >>> import lossmith as ls
    >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> loss = ls.losses.supervised_contrastive(temperature=0.5)
    >>> print(f"{loss([0, 0, 1, 1], embeddings):.4f}")
    0.2395
    """

    temperature: Positive = 0.1
    inside: bool = False

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """Partition less attraction, for the anchors that have a positive."""
        logits = block / self.temperature
        has_positive = row.positives.any()
        if self.inside:
            count = ops.where(has_positive > 0, row.positives.count(), 1.0)
            attraction = row.positives.logsumexp(logits) - ops.log(count)
        else:
            attraction = row.positives.mean(logits)
        value = row.others.logsumexp(logits) - attraction
        return ops.where(has_positive > 0, value, 0.0), has_positive


supervised_contrastive = SupervisedContrastive()
