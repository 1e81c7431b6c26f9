"""Losses that weigh every pair of an anchor by how far it is from where it should be."""

from typing import Any

from lossmith.allpairs.base import AllPairsLoss, TwoEncoderLoss
from lossmith.allpairs.row import Row
from lossmith.allpairs.sums import Slope, Stage, Sums, in_range
from lossmith.core import Fraction, NonNegative, Positive
from lossmith.core.backend import keras
from lossmith.core.numerics import hinge

ops = keras.ops


class Siglip(TwoEncoderLoss):
    """SigLIP's sigmoid loss between two encoders: every pair is a question of its own.

    With `s_ij` the cosine similarity of the first view of item i and the second of item j, z = 1
    for a positive pair and -1 else: `1/N sum_ij log(1 + exp(-z_ij (scale s_ij + bias)))`.

    No pair depends on another, so it works with small batches, where a softmax has few negatives.
    The bias starts the many negatives off as right; it should be near `-scale`. With large batches
    `clip` learns as well; neither is for a single encoder of labelled items.

    Weights: a pair weighs the product of the weights of its items; weight 0 takes an item out.

    Shapes: y_true ids `(N,)`, `np.arange(N)` if each item is its own, or labels `(N, L)`; y_pred
    the outputs of both encoders, of any length, stacked: `(N, 2, D)`. Batchwise.

    Args:
        scale: the inverse temperature; greater than 0. The paper learns it, from 10 on.
        bias: added to the scaled similarity; learned in the paper, from -10 on.

    Relations: `clip` with a sigmoid in the place of the softmax.

    Reference: Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023.

    >>> import lossmith as ls
    >>> views = [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]
    >>> print(f"{ls.losses.siglip([0, 1], views):.4f}")
    0.6932
    """

    scale: Positive = 10.0
    bias: float = -10.0

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """The sum over all partners."""
        logits = self.scale * block + self.bias
        positives = row.positives.sum(ops.softplus(-logits))
        value = positives + row.negatives.sum(ops.softplus(logits))
        return value, ops.ones_like(value)


class MultiSimilarity(AllPairsLoss):
    """Multi-similarity loss: soft maxima over the informative positives and negatives.

    With `s_ij` the cosine similarity, for every anchor i:
    `1/alpha log(1 + sum over positives of exp(-alpha (s_ij - base)))
    + 1/beta log(1 + sum over negatives of exp(beta (s_ij - base)))`, averaged over all items.
    Only pairs that are informative enter: negatives more similar than the least similar positive
    less `epsilon`, and positives less similar than the most similar negative plus `epsilon`;
    `epsilon=None` takes all.

    One of the best losses for classes with few items each. An anchor needs both kinds of pairs
    for mining; one without either costs nothing then.

    Weights: an item of weight w counts w times as an anchor, as a positive and as a negative;
    weight 0 takes it out.

    Shapes: y_true class ids `(N,)` or labels `(N, L)` of 0 and 1; y_pred embeddings of any length
    `(N, D)` or `(N, V, D)`. Batchwise.

    Args:
        alpha: how sharply positives are weighed; greater than 0, 2 in the paper.
        beta: how sharply negatives are weighed; greater than 0, 50 in the paper.
        base: the similarity between positives and negatives, 0.5 in the authors' code.
        epsilon: the slack of mining, 0 or greater, 0.1 in the paper; `None` for no mining.

    Relations: pytorch-metric-learning's MultiSimilarityLoss is `epsilon=None`; with its
    MultiSimilarityMiner it is this one.

    Reference: Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric
    Learning", CVPR 2019.

    >>> import lossmith as ls
    >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
    >>> loss = ls.losses.multi_similarity(epsilon=None)
    >>> print(f"{loss([0, 0, 1, 1], embeddings):.4f}")
    0.2662
    """

    alpha: Positive = 2.0
    beta: Positive = 50.0
    base: float = 0.5
    epsilon: NonNegative | None = 0.1

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """Both soft maxima."""
        positives, negatives = row.positives, row.negatives
        if self.epsilon is not None:
            fixed = ops.stop_gradient(block)
            hardest = negatives.max(fixed)[:, None], positives.min(fixed)[:, None]
            positives = positives.where(fixed - self.epsilon < hardest[0])
            negatives = negatives.where(fixed + self.epsilon > hardest[1])
        pull = ops.softplus(positives.logsumexp(self.alpha * (self.base - block))) / self.alpha
        push = ops.softplus(negatives.logsumexp(self.beta * (block - self.base))) / self.beta
        return pull + push, ops.ones_like(pull)

    def sums(self) -> Sums | None:
        """The sums below the soft maxima, if no pair is left out."""
        below, above = 1.0 + self.base, 1.0 - self.base
        lowest = -max(self.alpha * above, self.beta * below)
        usable = in_range(lowest, max(self.alpha * below, self.beta * above))
        if self.epsilon is not None or not usable:
            return None
        stages = Stage(1, self._push), Stage(1, self._pull, of_positives=True)
        return Sums(stages, self._cost, (Slope(self._slope_of_both),))

    def _push(self, block: Any, row: Row) -> tuple[Any]:
        return (row.negatives.chosen(self._pushing(block), 0.0),)

    def _pull(self, block: Any, row: Row) -> tuple[Any]:
        return (row.positives.chosen(self._pulling(block), 0.0),)

    def _cost(self, *sums: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """Both soft maxima."""
        push, pull = sums
        value = ops.log1p(pull) / self.alpha + ops.log1p(push) / self.beta
        return value, ops.ones_like(value), (1.0 / (1.0 + pull), 1.0 / (1.0 + push))

    def _slope_of_both(self, block: Any, row: Row, ours: Any, theirs: Any) -> Any:
        """The share of a partner in the soft maximum of its kind."""
        pull, push = (ours[kind] + theirs[kind] for kind in (0, 1))
        return row.select(-pull * self._pulling(block), push * self._pushing(block))

    def _pulling(self, block: Any) -> Any:
        return ops.exp(self.alpha * (self.base - block))

    def _pushing(self, block: Any) -> Any:
        return ops.exp(self.beta * (block - self.base))


class Circle(AllPairsLoss):
    """Circle loss: each similarity is weighed by its distance from its optimum.

    With `s` the cosine similarity and m `margin`, for every anchor:
    `log(1 + sum over negatives of exp(gamma a_n (s_n - m))
    * sum over positives of exp(-gamma a_p (s_p - (1 - m))))`, where `a_n = max(s_n + m, 0)` and
    `a_p = max(1 + m - s_p, 0)`, averaged over the anchors that have both kinds of pairs.

    The weights a are taken as constants in the gradient, as in the paper, which therefore is not
    the derivative of the value.

    Pairs that are far from where they should be learn fastest, without mining. Where items of one
    class are wrongly labelled that is a drawback, as for `triplet(mining="hardest")`.

    Weights: an item of weight w counts w times as an anchor, as a positive and as a negative;
    weight 0 takes it out.

    Shapes: y_true class ids `(N,)` or labels `(N, L)` of 0 and 1; y_pred embeddings of any length
    `(N, D)` or `(N, V, D)`. Batchwise.

    Args:
        margin: the relaxation, between 0 and 1; 0.25 in the paper for faces, 0.4 for retrieval.
        gamma: the scale; greater than 0, 256 in the paper for faces, 80 for retrieval.

    Relations: pytorch-metric-learning's CircleLoss, which averages over the anchors whose loss is
    not 0. Keras' Circle has the same formula over the dense matrix.

    Reference: Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
    CVPR 2020.

    >>> import lossmith as ls
    >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
    >>> print(f"{ls.losses.circle(gamma=1.0)([0, 0, 1, 1], embeddings):.4f}")
    1.0273
    """

    margin: Fraction = 0.4
    gamma: Positive = 80.0

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """The soft maximum over both kinds of pairs."""
        fixed = ops.stop_gradient(block)
        pull = hinge(1.0 + self.margin - fixed) * (1.0 - self.margin - block)
        push = hinge(fixed + self.margin) * (block - self.margin)
        logits = row.positives.logsumexp(self.gamma * pull)
        logits = logits + row.negatives.logsumexp(self.gamma * push)
        return ops.softplus(logits), row.positives.any() * row.negatives.any()


class LiftedStructure(AllPairsLoss):
    """Lifted structure loss: soft maxima over the distances of an anchor's pairs.

    With D the distance: `max(log(sum over positives of exp(D)) + log(sum over negatives of
    exp(margin - D)), 0)` for every anchor, averaged over those that have both kinds of pairs.

    This is the generalised form of Hermans et al., which takes all positives of an anchor at once;
    the original squares a term for each positive pair, with the negatives of both its ends.

    All pairs of an anchor have a part, the hard ones most. As with any margin the embeddings need a
    bounded length; `supervised_contrastive` needs no margin and is mostly the better start.

    Weights: an item of weight w counts w times as an anchor, as a positive and as a negative;
    weight 0 takes it out.

    Shapes: y_true class ids `(N,)` or labels `(N, L)` of 0 and 1; y_pred embeddings `(N, D)` or
    `(N, V, D)`, of bounded length. Batchwise.

    Args:
        margin: how much further than positives negatives are to be; greater than 0, 1 in the paper.

    Relations: pytorch-metric-learning's GeneralizedLiftedStructureLoss with `neg_margin=margin`,
    which averages over all items. TensorFlow Addons has the original form.

    Reference: Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person
    Re-Identification", 2017; Oh Song et al., "Deep Metric Learning via Lifted Structured Feature
    Embedding", CVPR 2016.

    >>> import lossmith as ls
    >>> embeddings = [[0.0], [1.0], [2.0]]
    >>> print(f"{ls.losses.lifted_structure([0, 0, 1], embeddings):.4f}")
    0.5000
    """

    measure = "euclidean"
    margin: Positive = 1.0

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """The hinge of both soft maxima."""
        both = row.positives.any() * row.negatives.any()
        value = row.positives.logsumexp(block) + row.negatives.logsumexp(self.margin - block)
        return hinge(value), both


siglip = Siglip()
multi_similarity = MultiSimilarity()
circle = Circle()
lifted_structure = LiftedStructure()
