"""Supervised contrastive loss, over the dense matrix of similarities."""

from typing import Any

from lossmith.core import Loss, Positive
from lossmith.core.backend import keras
from lossmith.core.numerics import directions
from lossmith.core.reduction import divide_or_zero

ops = keras.ops


class SupervisedContrastive(Loss):
    """Supervised contrastive loss: every item against all others of its batch.

    With `s_ij` the cosine similarity of embeddings i and j over `temperature`, P(i) the other items
    of the class of i, and A(i) all other items:
    `L_i = mean over p in P(i) of [log(sum over a in A(i) of exp(s_ia)) - s_ip]`,
    averaged over the items that have another of their class. 0 if none has.

    It learns from all B^2 pairs of a batch at once. Batches should hold several items of each
    class. Memory grows with B^2.

    Weights: an item of weight w counts w times as an anchor, as a positive and as a negative, but
    is never its own positive; weight 0 takes it out.

    Shapes: y_true integer class ids `(N,)`; y_pred embeddings `(N, D)` of any length (they are
    normalised here). Batchwise.

    Args:
        temperature: how sharply near negatives are weighed; greater than 0.

    Reference: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020 (the variant L_out).

    >>> import lossmith as ls
    >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> loss = ls.losses.supervised_contrastive(temperature=0.5)
    >>> print(f"{loss([0, 0, 1, 1], embeddings):.4f}")
    0.2395
    """

    targets = "class"
    batchwise = True
    temperature: Positive = 0.1

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The mean over the anchors that have a positive."""
        if len(y_pred.shape) != 2:
            raise ValueError(
                f"{self.name}: y_pred has shape {tuple(y_pred.shape)}; it must hold an embedding "
                "per item, (N, D)."
            )
        weights = ops.ones_like(y_pred[:, 0]) if sample_weight is None else sample_weight
        unit, _ = directions(y_pred)
        similarity = (unit @ ops.transpose(unit)) / self.temperature
        others = 1.0 - ops.eye(ops.shape(y_pred)[0], dtype=similarity.dtype)
        same = ops.cast(ops.equal(y_true[:, None], y_true[None, :]), similarity.dtype) * others
        column = weights[None, :]
        partition = _log_sum_exp(similarity, others * column)
        positives = ops.sum(same * column, axis=1)
        attraction = divide_or_zero(ops.sum(same * column * similarity, axis=1), positives)
        anchors = weights * ops.cast(positives > 0, similarity.dtype)
        return divide_or_zero(ops.sum(anchors * (partition - attraction)), ops.sum(anchors))


def _log_sum_exp(logits: Any, weights: Any) -> Any:
    """`log(sum_j w_ij exp(l_ij))` for each row; 0 for a row without weight."""
    present = weights > 0
    logarithm = ops.log(ops.where(present, weights, ops.ones_like(weights)))
    total = ops.logsumexp(ops.where(present, logits + logarithm, -1e30), axis=1)
    return ops.where(ops.any(present, axis=1), total, ops.zeros_like(total))


supervised_contrastive = SupervisedContrastive()
