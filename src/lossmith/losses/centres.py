"""Losses of embeddings against a centre (or proxy) for each class, learned with the model.

The centres are a hyperparameter like any other, a matrix `(C, D)`: fixed, or learned as
`centres=ls.learned(shape=(C, D))`. Embeddings and centres are compared by direction; both may have
any length. A class id without a centre is refused where its value can be seen: in a direct call,
and always on PyTorch. In a compiled step of JAX or TensorFlow it makes the loss NaN, with a
gradient of 0.

>>> import lossmith as ls
>>> ls.losses.ArcFace(centres=ls.learned(shape=(10, 64)), margin=0.3)
ArcFace(centres=learned(shape=(10, 64)), margin=0.3, scale=64.0)
"""

import math
from typing import Annotated, Any

import annotated_types as at
import numpy as np

from lossmith.core import Array, Loss, NonNegative, Positive
from lossmith.core.backend import cosine_and_sine, keras, like
from lossmith.core.numerics import directions, hinge, square_root
from lossmith.core.reduction import divide_or_zero, mean
from lossmith.core.shapes import may_equal
from lossmith.core.tracing import nan_unless

ops = keras.ops


class CentreLoss(Loss, package="lossmith.losses"):
    """What the losses with class centres share."""

    targets = "class"
    learnable = ("centres",)
    centres: Array

    def __post_init__(self) -> None:
        """Refuse centres that are not a matrix."""
        if np.ndim(self.centres) != 2:
            raise ValueError(
                f"{self.name}: centres must be a matrix, a row for each class; "
                f"got shape {tuple(np.shape(self.centres))}."
            )

    def check_targets(self, y_true: np.ndarray) -> None:
        """Refuse class ids that have no centre.

        Raises:
            ValueError: naming the first of them.
        """
        count = self.centres.shape[0]
        outside = y_true[(y_true < 0) | (y_true >= count)]
        if outside.size:
            raise ValueError(
                f"{self.name}: class ids must be from 0 to {count - 1}, one for each centre; "
                f"got {outside.flat[0]}."
            )

    def _cosines(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The cosine of each embedding with each centre `(..., C)`, and 1 at its own."""
        centres = like(self.centres, y_pred)
        if not may_equal(y_pred.shape[-1:], centres.shape[-1:]):
            raise ValueError(
                f"{self.name}: the embeddings have {y_pred.shape[-1]} dimensions and the centres "
                f"{centres.shape[-1]}; the shape of the centres is (classes, dimensions)."
            )
        cosines = directions(y_pred)[0] @ ops.transpose(directions(centres)[0])
        # Not ops.one_hot: PyTorch's looks at the values, which vmap cannot.
        classes = ops.arange(centres.shape[0], dtype="int32")
        own = ops.equal(ops.expand_dims(y_true, -1), classes)
        return cosines, ops.cast(own, y_pred.dtype)


class ArcFace(CentreLoss):
    """Cross-entropy over the angles to the centres, with a margin added to that of the own class.

    With `t_j` the angle between embedding and centre j, m = `margin` and s = `scale`, the
    cross-entropy of `s cos(t_j)`, where the own class counts as `s cos(t_y + m)`. Beyond
    `t_y = pi - m`, where that would turn, it goes on as `s (cos(t_y) - m sin(m))`.

    Use it to learn embeddings from class labels, for classes that are many or unseen later. A
    large margin is hard to start with: raise it by a schedule.

    Shapes: y_true class ids `(N,)` from 0 to C - 1; y_pred embeddings `(N, D)`. The model gives
    embeddings and no scores of classes, so that `metrics=["accuracy"]` has no meaning here. The
    class is that of the nearest centre:

        centres = keras.utils.normalize(ls.get_hyperparameters(model)["centres"])
        classes = (keras.utils.normalize(model.predict(x)) @ centres.T).argmax(axis=-1)

    Args:
        centres: a row for each class, `(C, D)`; usually `lossmith.learned(shape=(C, D))`.
        margin: the angle in radians, from 0 to pi / 2.
        scale: the factor of the cosines; greater than 0.

    Raises:
        ValueError: if the centres are not a matrix, or not of the dimension of the embeddings, or
            an id has no centre; in a compiled step of JAX or TensorFlow such an id makes the loss
            NaN, with a gradient of 0.

    Relations: `margin=0` is the normalised softmax, as with `cos_face`.

    Reference: Deng, Guo, Xue and Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face
    Recognition", CVPR 2019.

    >>> import lossmith as ls
    >>> loss = ls.losses.ArcFace(centres=[[1.0, 0.0], [0.0, 1.0]], margin=0.0, scale=1.0)
    >>> print(f"{loss([0], [[2.0, 0.0]]):.4f}")
    0.3133
    """

    aliases = ("arcface",)
    margin: Annotated[float, at.Ge(0), at.Le(math.pi / 2)] = 0.5
    scale: Positive = 64.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The cross-entropy of each embedding."""
        cosines, own = self._cosines(y_true, y_pred)
        margin = like(self.margin, y_pred)
        cosine, sine = cosine_and_sine(margin)
        sines = square_root(hinge(1.0 - ops.square(cosines)))
        moved = cosines * cosine - sines * sine
        moved = ops.where(cosines > -cosine, moved, cosines - margin * sine)
        return _cross_entropy(self.scale * ops.where(own > 0, moved, cosines), own)


class CosFace(CentreLoss):
    """Cross-entropy over the cosines with the centres, less a margin for that of the own class.

    The cross-entropy of `s cos(t_j)`, where the own class counts as `s (cos(t_y) - m)`, with t_j
    the angle between embedding and centre j, m = `margin` and s = `scale`.

    It serves what `ArcFace` serves, and is easier to start with: its margin costs the same at every
    angle. Where classes are too many for a centre each, or not known while training, take a loss
    over all pairs.

    Shapes: y_true class ids `(N,)` from 0 to C - 1; y_pred embeddings `(N, D)`.

    Args:
        centres: a row for each class, `(C, D)`; usually `lossmith.learned(shape=(C, D))`.
        margin: taken from the cosine; 0 or greater.
        scale: the factor of the cosines; greater than 0.

    Raises:
        ValueError: if the centres are not a matrix, or not of the dimension of the embeddings, or
            an id has no centre (NaN in a compiled step, as of `ArcFace`).

    Relations: `arc_face` takes the margin from the angle.

    Reference: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition",
    CVPR 2018.

    >>> import lossmith as ls
    >>> loss = ls.losses.CosFace(centres=[[1.0, 0.0], [0.0, 1.0]], margin=1.0, scale=1.0)
    >>> print(f"{loss([0], [[2.0, 0.0]]):.4f}")
    0.6931
    """

    aliases = ("cosface",)
    margin: NonNegative = 0.35
    scale: Positive = 64.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The cross-entropy of each embedding."""
        cosines, own = self._cosines(y_true, y_pred)
        return _cross_entropy(self.scale * (cosines - self.margin * own), own)


class ProxyNCA(CentreLoss):
    """Neighbourhood component analysis against a proxy for each class (ProxyNCA++).

    The cross-entropy of `-d_j / temperature`, with d_j the squared Euclidean distance between the
    directions of embedding and proxy j. Unlike the first ProxyNCA the own proxy is part of the
    denominator, so that the value is a negative log-probability.

    Every embedding is compared with the proxies alone, so batches may be small and hold any
    classes. It does not see how items of one class lie to each other: for a fine order within
    classes take a loss over all pairs.

    Shapes: y_true class ids `(N,)` from 0 to C - 1; y_pred embeddings `(N, D)`.

    Args:
        centres: the proxies, `(C, D)`; usually `lossmith.learned(shape=(C, D))`.
        temperature: how sharply near proxies are told apart; greater than 0.

    Raises:
        ValueError: if the centres are not a matrix, or not of the dimension of the embeddings, or
            an id has no centre (NaN in a compiled step, as of `ArcFace`).

    Relations: `cos_face(margin=0, scale=2 / temperature)`.

    Reference: Teh, DeVries and Taylor, "ProxyNCA++: Revisiting and Revitalizing Proxy
    Neighborhood Component Analysis", ECCV 2020.

    >>> import lossmith as ls
    >>> loss = ls.losses.ProxyNCA(centres=[[1.0, 0.0], [0.0, 1.0]], temperature=2.0)
    >>> print(f"{loss([0], [[2.0, 0.0]]):.4f}")
    0.3133
    """

    aliases = ("proxynca", "ProxyNCA++")
    temperature: Positive = 1 / 9

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The cross-entropy of each embedding."""
        cosines, own = self._cosines(y_true, y_pred)
        return _cross_entropy(2.0 / self.temperature * (cosines - 1.0), own)


class ProxyAnchor(CentreLoss):
    """Each proxy as an anchor for all embeddings of a batch.

    With s_xp the cosine of embedding x and proxy p, m = `margin` and a = `scale`: the mean over
    the proxies p of classes in the batch of `log(1 + sum over x of its class exp(-a (s_xp - m)))`,
    plus the mean over all proxies of `log(1 + sum over other x of exp(a (s_xp + m)))`.

    Proxies let it learn as fast as `ProxyNCA`, and embeddings still weigh one another within the
    batch, the hard ones most: it is a good first choice for retrieval with labelled classes. Its
    proxies want a larger learning rate than the network in the paper, and batches of some size.

    Weights: an embedding of weight w counts w times in the sums; weight 0 takes it out, and a
    class of which nothing is left is not in the batch.

    Shapes: y_true class ids `(N,)` from 0 to C - 1; y_pred embeddings `(N, D)`. Batchwise.

    Args:
        centres: the proxies, `(C, D)`; usually `lossmith.learned(shape=(C, D))`.
        margin: the cosine around 0 that is kept free; 0 or greater.
        scale: how sharply hard examples are weighed; greater than 0.

    Raises:
        ValueError: if the centres are not a matrix, or not of the dimension of the embeddings,
            the embeddings are not `(N, D)`, or an id has no centre (NaN in a compiled step, as of
            `ArcFace`).

    Reference: Kim, Kim, Cho and Kwak, "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020.

    >>> import lossmith as ls
    >>> loss = ls.losses.ProxyAnchor(centres=[[1.0, 0.0], [0.0, 1.0]], margin=0.0, scale=1.0)
    >>> print(f"{loss([0], [[2.0, 0.0]]):.4f}")
    0.6598
    """

    aliases = ("proxyanchor",)
    batchwise = True
    margin: NonNegative = 0.1
    scale: Positive = 32.0

    def align_classes(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Check class ids `(N,)` against embeddings `(N, D)`.

        Raises:
            TypeError: if the ids are not integers.
            ValueError: if the shapes do not fit.
        """
        if len(y_pred.shape) > 2:
            raise ValueError(
                f"{self.name}: y_pred has shape {tuple(y_pred.shape)}; it must hold an embedding "
                "per item, (N, D): reshape time steps to items, and their ids alike."
            )
        return super().align_classes(y_true, y_pred)

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The mean over proxies of what pulls and of what pushes."""
        cosines, own = self._cosines(y_true, y_pred)
        weights = ops.ones_like(y_pred[:, 0]) if sample_weight is None else sample_weight
        weights = ops.expand_dims(weights, -1)
        pull = _log_1_plus_sum(self.scale * (self.margin - cosines), weights * own)
        push = _log_1_plus_sum(self.scale * (self.margin + cosines), weights * (1.0 - own))
        present = ops.cast(ops.any(weights * own > 0, axis=0), pull.dtype)
        value = divide_or_zero(ops.sum(pull), ops.sum(present)) + mean(push)
        return nan_unless(ops.all(_has_centre(own)), value)


def _cross_entropy(logits: Any, own: Any) -> Any:
    value = ops.logsumexp(logits, axis=-1) - ops.sum(own * logits, axis=-1)
    return nan_unless(_has_centre(own), value)


def _has_centre(own: Any) -> Any:
    """Whether the id of each item is that of a centre, which a compiled step cannot refuse."""
    return ops.any(own > 0, axis=-1)


def _log_1_plus_sum(exponents: Any, weights: Any) -> Any:
    """`log(1 + sum_i w_ij exp(e_ij))` for each column."""
    present = weights > 0
    logarithm = ops.log(ops.where(present, weights, ops.ones_like(weights)))
    terms = ops.where(present, exponents + logarithm, ops.full_like(exponents, -1e30))
    return ops.logsumexp(ops.concatenate([ops.zeros_like(terms[:1]), terms], axis=0), axis=0)
