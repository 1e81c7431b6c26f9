"""Losses that put a softmax over the partners of each anchor."""

from typing import Any

from lossmith.allpairs.base import AllPairsLoss, TwoEncoderLoss
from lossmith.allpairs.row import Row
from lossmith.allpairs.sums import Slope, Stage, Sums, in_range
from lossmith.core import Positive
from lossmith.core.backend import keras
from lossmith.core.reduction import divide_or_zero

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
        if not self.inside:
            return _cross_entropy(logits, row)
        exists = row.positives.any()
        count = ops.where(exists > 0, row.positives.count(), 1.0)
        attraction = row.positives.logsumexp(logits) - ops.log(count)
        value = row.others.logsumexp(logits) - attraction
        return ops.where(exists > 0, value, 0.0), exists

    def sums(self) -> Sums | None:
        """Partition, attraction and number of positives."""
        if not in_range(-2.0 / self.temperature, 0.0):
            return None
        stages = Stage(1, self._partition), Stage(2, self._attraction, of_positives=True)
        return Sums(stages, self._cost, (Slope(self._slope_of_both),))

    def _partition(self, block: Any, row: Row) -> tuple[Any]:
        return (row.others.chosen(_share(block, self.temperature), 0.0),)

    def _attraction(self, block: Any, row: Row) -> tuple[Any, Any]:
        attraction = block / self.temperature
        if self.inside:
            attraction = _share(block, self.temperature)
        chosen = row.positives.chosen
        return chosen(attraction, 0.0), chosen(ops.ones_like(block), 0.0)

    def _cost(self, *sums: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """Partition less attraction, for the anchors that have a positive."""
        partition, attraction, number = sums
        exists = number > 0
        mean = divide_or_zero(attraction, number)
        if self.inside:
            value = ops.log(ops.where(exists, partition / ops.where(exists, mean, 1.0), 1.0))
        else:
            value = ops.log(ops.where(exists, partition, 1.0)) + 1.0 / self.temperature - mean
        counts = ops.cast(exists, partition.dtype)
        scale = counts / self.temperature
        pull = divide_or_zero(scale, attraction if self.inside else number)
        return ops.where(exists, value, 0.0), counts, (divide_or_zero(scale, partition), pull)

    def _slope_of_both(self, block: Any, row: Row, ours: Any, theirs: Any) -> Any:
        """The share of a partner in the partition, less that in the attraction."""
        push, pull = (a + b for a, b in zip(ours, theirs, strict=True))
        share = _share(block, self.temperature)
        of_partition = push * share
        of_attraction = pull * share if self.inside else pull
        return row.select(of_partition - of_attraction, of_partition)


class NtXent(AllPairsLoss):
    """Normalised temperature-scaled cross entropy: each positive against the negatives.

    With `s_ij` the cosine similarity of i and j over `temperature`, for every positive pair (i, p):
    `-log(exp(s_ip) / (exp(s_ip) + sum over negatives n of i of exp(s_in)))`,
    averaged over the positive pairs. This is SimCLR's loss, and InfoNCE with the batch's other
    items as negatives. 0 if there is no positive pair.

    For two (or V) views of each item, `y_pred` is `(N, V, D)` and `y_true = np.arange(N)`. With
    class labels, other positives are left out of the denominator, unlike in
    `supervised_contrastive`, which is the better choice for classes.

    Weights: a pair weighs the product of the weights of its items; weight 0 takes an item out.

    Shapes: y_true class ids `(N,)` or labels `(N, L)` of 0 and 1; y_pred embeddings of any length
    `(N, D)` or `(N, V, D)`. Batchwise.

    Args:
        temperature: how sharply near negatives are weighed; greater than 0. 0.5 in SimCLR for
            small batches, 0.1 for large ones, 0.07 in MoCo and in pytorch-metric-learning.

    Relations: pytorch-metric-learning's NTXentLoss, with its mean over pairs; its memory grows
    with positives x negatives.

    Reference: Chen et al., "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020; van den Oord et al., "Representation Learning with Contrastive
    Predictive Coding", 2018.

    >>> import lossmith as ls
    >>> views = [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]
    >>> print(f"{ls.losses.nt_xent([0, 1], views):.4f}")
    0.2395
    """

    aliases = ("info_nce",)
    temperature: Positive = 0.5

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """The sum over the positive pairs of an anchor, and their number."""
        logits = block / self.temperature
        negatives = row.negatives.logsumexp(logits)
        return row.positives.sum(ops.softplus(negatives[:, None] - logits)), row.positives.count()

    def sums(self) -> Sums | None:
        """The partition over the negatives; then costs, shares and number of the positives."""
        widest = 2.0 / self.temperature
        if not in_range(-widest, widest):
            return None
        positives = Stage(3, self._positives, of_positives=True, needs_sums=True)
        stages = Stage(1, self._partition), positives
        slopes = Slope(self._slope_of_negatives), Slope(self._slope_of_positives, of_positives=True)
        return Sums(stages, self._cost, slopes)

    def _partition(self, block: Any, row: Row) -> tuple[Any]:
        return (row.negatives.chosen(_share(block, self.temperature), 0.0),)

    def _positives(self, block: Any, row: Row, partition: Any) -> tuple[Any, ...]:
        share = _share(block, self.temperature)
        cost, wrong = ops.log1p(partition / share), partition / (partition + share)
        return tuple(
            row.positives.chosen(each, 0.0) for each in (cost, wrong, ops.ones_like(block))
        )

    def _cost(self, *sums: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """The sum over the positive pairs of an anchor, and their number."""
        partition, costs, wrong, number = sums
        push = divide_or_zero(wrong / self.temperature, partition)
        return costs, number, (push, partition)

    def _slope_of_negatives(self, block: Any, row: Row, ours: Any, theirs: Any) -> Any:
        """The share of a negative in how wrong all positives are."""
        return row.negatives.chosen((ours[0] + theirs[0]) * _share(block, self.temperature), 0.0)

    def _slope_of_positives(self, block: Any, row: Row, ours: Any, theirs: Any) -> Any:
        """How wrong a positive is."""
        share = _share(block, self.temperature)
        wrong = sum(partition / (partition + share) for _, partition in (ours, theirs))
        return row.positives.chosen(-wrong / self.temperature, 0.0)


class Clip(TwoEncoderLoss):
    """CLIP's symmetric cross entropy between two encoders, such as images and texts.

    With `s_ij` the cosine similarity of the first view of item i and the second of item j over
    `temperature`: half of `mean over i of [log(sum_j exp(s_ij)) - s_ii]` and half of the same with
    the two views exchanged. Items with one id (or a label in common) are positives of each other,
    and `s_ii` becomes their mean; with ids that are all distinct it is the paper's loss.

    Weights: an item of weight w counts w times on either side; weight 0 takes it out.

    Shapes: y_true ids `(N,)`, `np.arange(N)` if each item is its own, or labels `(N, L)`; y_pred
    the outputs of both encoders, of any length, stacked: `(N, 2, D)`. Batchwise.

    Args:
        temperature: how sharply near items are told apart; greater than 0. The paper learns it,
            from 0.07 on.

    Relations: sentence-transformers' MultipleNegativesSymmetricRankingLoss with scale
    1 / temperature. `siglip` needs no sum over the batch; `nt_xent` also contrasts items within a
    view.

    Reference: Radford et al., "Learning Transferable Visual Models From Natural Language
    Supervision", ICML 2021.

    >>> import lossmith as ls
    >>> views = [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]
    >>> print(f"{ls.losses.clip(temperature=1.0)([0, 1], views):.4f}")
    0.3133
    """

    both_ways = True
    temperature: Positive = 0.07

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """Partition less attraction, for the anchors that have a positive."""
        return _cross_entropy(block / self.temperature, row)


class NPair(TwoEncoderLoss):
    """N-pair loss: the partner of each anchor among the partners of the batch.

    With `s_ij` the dot product of the first view of item i and the second of item j:
    `mean over i of [log(sum_j exp(s_ij)) - mean over j of the class of i of s_ij]`.

    The lengths of the embeddings count, and nothing bounds them: the paper adds a small penalty on
    their squares, here a regulariser of the layer. A batch has a pair of each class in the paper;
    several pairs of a class are positives of each other, as in TensorFlow Addons.

    Weights: an item of weight w counts w times on either side; weight 0 takes it out.

    Shapes: y_true ids `(N,)` or labels `(N, L)` of 0 and 1; y_pred anchors and positives stacked,
    `(N, 2, D)`. Batchwise.

    Relations: TensorFlow Addons' npairs_loss of the product of anchors and positives;
    pytorch-metric-learning's NPairsLoss of embeddings of length 1, with its choice of one pair per
    class. `clip` normalises and goes both ways.

    Reference: Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective",
    NeurIPS 2016.

    >>> import lossmith as ls
    >>> pairs = [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]
    >>> print(f"{ls.losses.n_pair([0, 1], pairs):.4f}")
    0.3133
    """

    measure = "dot"

    def anchors(self, block: Any, row: Row) -> tuple[Any, Any]:
        """Partition less attraction, for the anchors that have a positive."""
        return _cross_entropy(block, row)


def _cross_entropy(logits: Any, row: Row) -> tuple[Any, Any]:
    exists = row.positives.any()
    value = row.others.logsumexp(logits) - row.positives.mean(logits)
    return ops.where(exists > 0, value, 0.0), exists


def _share(similarity: Any, temperature: Any) -> Any:
    """What a partner adds to a partition, of which the largest possible is 1."""
    return ops.exp((similarity - 1.0) / temperature)


supervised_contrastive = SupervisedContrastive()
nt_xent = NtXent()
clip = Clip()
n_pair = NPair()
