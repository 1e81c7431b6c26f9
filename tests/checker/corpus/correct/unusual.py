"""Correct losses of labels, masks, boxes and embeddings that look odd."""

import keras
import numpy as np
from keras import ops
from scipy import special

from checker.corpus.case import correct

BATCHWISE = {"batchwise": True}


def _cce(y, p):
    return -special.xlogy(y, p).sum(-1)


@correct(
    "focal-of-logits",
    "binary_logits",
    oracle=lambda y, z: (
        special.expit(np.where(y == 1, -z, z)) ** 2 * np.logaddexp(0, np.where(y == 1, -z, z))
    ).mean(-1),
)
def focal_by_the_probability_of_the_label(y_true, y_pred, gamma=2.0):
    crossentropy = ops.softplus(y_pred) - y_true * y_pred
    return ops.mean(ops.power(1.0 - ops.exp(-crossentropy), gamma) * crossentropy, axis=-1)


@correct(
    "cce-smoothed-by-hand",
    "categorical",
    oracle=lambda y, p: _cce(0.9 * y + 0.025, p),
)
def smoothed_crossentropy(y_true, y_pred, smoothing=0.1):
    classes = ops.cast(ops.shape(y_true)[-1], "float32")
    softened = y_true * (1.0 - smoothing) + smoothing / classes
    return -ops.sum(softened * ops.log(ops.maximum(y_pred, 1e-7)), axis=-1)


@correct(
    "cce-with-a-confidence-penalty",
    "categorical",
    oracle=lambda y, p: _cce(y, p) - 0.1 * special.entr(p).sum(-1),
)
def crossentropy_that_dislikes_confidence(y_true, y_pred, beta=0.1):
    log_p = ops.log(ops.clip(y_pred, 1e-7, 1.0))
    return -ops.sum(y_true * log_p, axis=-1) + beta * ops.sum(y_pred * log_p, axis=-1)


@correct(
    "soft-bootstrap",
    "categorical",
    oracle=lambda y, p: -((0.95 * y + 0.05 * p) * np.log(p)).sum(-1),
)
def soft_bootstrap(y_true, y_pred, beta=0.95):
    p = ops.clip(y_pred, 1e-7, 1.0)
    return -ops.sum((beta * y_true + (1.0 - beta) * p) * ops.log(p), axis=-1)


@correct(
    "generalised-crossentropy-by-hand",
    "categorical",
    oracle=lambda y, p: (1 - (y * p).sum(-1) ** 0.7) / 0.7,
)
def generalised_crossentropy(y_true, y_pred, q=0.7):
    chosen = ops.clip(ops.sum(y_true * y_pred, axis=-1), 1e-7, 1.0)
    return (1.0 - chosen**q) / q


@correct(
    "ordinal-crossentropy",
    "categorical",
    oracle=lambda y, p: (1 + np.abs(y.argmax(-1) - p.argmax(-1)) / 3) * _cce(y, p),
)
def crossentropy_weighed_with_the_distance_of_classes(y_true, y_pred):
    apart = ops.abs(ops.argmax(y_true, axis=-1) - ops.argmax(y_pred, axis=-1))
    weight = ops.cast(apart, "float32") / (ops.cast(ops.shape(y_pred)[-1], "float32") - 1.0)
    return (1.0 + weight) * keras.losses.categorical_crossentropy(y_true, y_pred)


@correct(
    "expected-class",
    "categorical",
    oracle=lambda y, p: (np.arange(4) * (p - y)).sum(-1) ** 2 + _cce(y, p),
)
def squared_error_of_the_expected_class_and_crossentropy(y_true, y_pred):
    ranks = ops.arange(ops.shape(y_pred)[-1], dtype="float32")
    error = ops.sum(ranks * (y_pred - y_true), axis=-1)
    return ops.square(error) - ops.sum(y_true * ops.log(ops.maximum(y_pred, 1e-7)), axis=-1)


def _weighted(weights):
    def loss(y_true, y_pred):
        scaled = y_pred / ops.sum(y_pred, axis=-1, keepdims=True)
        scaled = ops.clip(scaled, keras.config.epsilon(), 1.0 - keras.config.epsilon())
        return -ops.sum(y_true * ops.log(scaled) * ops.convert_to_tensor(weights), -1)

    return loss


correct(
    "cce-of-a-list-of-weights",
    "categorical",
    oracle=lambda y, p: -(np.array([0.5, 2.0, 1.0, 10.0]) * special.xlogy(y, p)).sum(-1),
    tolerated=("LSM602",),  # a model saved with a closure needs custom_objects to load
)(_weighted([0.5, 2.0, 1.0, 10.0]))


@correct(
    "sparse-class-weights",
    "sparse_categorical_logits",
    oracle=lambda y, z: (
        -special.log_softmax(z, axis=-1)[np.arange(len(y)), y.reshape(-1).astype(int)]
        * np.array([1.0, 3.0, 0.2, 1.0])[y.reshape(-1).astype(int)]
    ),
)
def sparse_crossentropy_with_a_weight_for_each_class(y_true, y_pred):
    labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    weights = ops.take(ops.convert_to_tensor([1.0, 3.0, 0.2, 1.0]), labels)
    plain = keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
    return plain * weights


@correct(
    "multi-class-hinge",
    "categorical_logits",
    oracle=lambda y, z: np.maximum(0, 1 + np.where(y == 1, -np.inf, z).max(-1) - (y * z).sum(-1)),
)
def hinge_of_crammer_and_singer(y_true, y_pred):
    right = ops.sum(y_true * y_pred, axis=-1)
    rival = ops.max(y_pred - 1e9 * y_true, axis=-1)
    return ops.relu(1.0 + rival - right)


@correct(
    "multi-label-ranking",
    "binary_logits",
    oracle=lambda y, z: (
        np.log1p((np.exp(z) * (1 - y)).sum(-1)) + np.log1p((np.exp(-z) * y).sum(-1))
    ),
)
def log_sum_exp_pairwise(y_true, y_pred):
    turned = (1.0 - 2.0 * y_true) * y_pred
    negative = turned - y_true * 1e9
    positive = turned - (1.0 - y_true) * 1e9
    zero = ops.zeros_like(y_pred[..., :1])
    return ops.logsumexp(ops.concatenate([negative, zero], axis=-1), axis=-1) + ops.logsumexp(
        ops.concatenate([positive, zero], axis=-1), axis=-1
    )


@correct("pairwise-ranking-of-the-batch", "binary_logits", declared=BATCHWISE)
def one_minus_auc_made_smooth(y_true, y_pred):
    y, z = ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1,))
    pairs = y[:, None] * (1.0 - y[None, :])
    return ops.sum(pairs * ops.softplus(z[None, :] - z[:, None])) / (ops.sum(pairs) + 1e-7)


@correct("balanced-by-the-batch", "binary", declared=BATCHWISE)
def crossentropy_balanced_by_the_batch(y_true, y_pred):
    share = ops.mean(y_true)
    p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
    positive = (1.0 - share) * y_true * ops.log(p)
    return -ops.mean(positive + share * (1.0 - y_true) * ops.log(1.0 - p), axis=-1)


@correct("bce-summed-over-outputs", "binary", made_with={})
@keras.saving.register_keras_serializable("corpus")
class SumOfCrossentropies(keras.losses.Loss):
    def call(self, y_true, y_pred):
        y_true = ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred))
        return ops.sum(ops.binary_crossentropy(y_true, y_pred), axis=-1)


@correct("mse-of-changes", "sequence")
def squared_error_of_values_and_of_changes(y_true, y_pred):
    error = y_true - y_pred
    steps = error[:, 1:] - error[:, :-1]
    changes = ops.pad(ops.mean(ops.square(steps), axis=-1), [[0, 0], [1, 0]])
    return ops.mean(ops.square(error), axis=-1) + 0.5 * changes


@correct("lovasz", "segmentation", declared=BATCHWISE)
def lovasz_of_errors(y_true, y_pred):
    y, p = ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1,))
    errors = ops.abs(y - p)
    order = ops.argsort(-errors)
    labels = ops.take(y, order)
    total = ops.sum(labels)
    inside = total - ops.cumsum(labels)
    union = total + ops.cumsum(1.0 - labels)
    jaccard = 1.0 - inside / ops.maximum(union, 1.0)
    slopes = ops.concatenate([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return ops.sum(ops.take(errors, order) * ops.stop_gradient(slopes))


@correct("balanced-tversky-bce", "segmentation", made_with={})
@keras.saving.register_keras_serializable("corpus")
class TverskyAndCrossentropy(keras.losses.Loss):
    def __init__(self, alpha=0.3, share=0.5, name="tversky_and_crossentropy", **options):
        if not (0 <= alpha <= 1 and 0 <= share <= 1):
            raise ValueError(f"alpha and share lie between 0 and 1, got {alpha} and {share}")
        super().__init__(name=name, **options)
        self.alpha, self.share = alpha, share

    def call(self, y_true, y_pred):
        axes = (1, 2, 3)
        hits = ops.sum(y_true * y_pred, axis=axes)
        extra = ops.sum((1 - y_true) * y_pred, axis=axes)
        lost = ops.sum(y_true * (1 - y_pred), axis=axes)
        overlap = (hits + 1.0) / (hits + self.alpha * extra + (1 - self.alpha) * lost + 1.0)
        crossentropy = ops.mean(ops.binary_crossentropy(y_true, y_pred), axis=axes)
        return self.share * (1.0 - overlap) + (1.0 - self.share) * crossentropy

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "share": self.share}


@correct("giou-of-parts", "boxes")
def giou_in_parts(y_true, y_pred):
    a, b = ops.split(y_true, 4, axis=-1), ops.split(y_pred, 4, axis=-1)
    wide = ops.maximum(ops.minimum(a[2], b[2]) - ops.maximum(a[0], b[0]), 0.0)
    high = ops.maximum(ops.minimum(a[3], b[3]) - ops.maximum(a[1], b[1]), 0.0)
    first = ops.maximum(a[2] - a[0], 0.0) * ops.maximum(a[3] - a[1], 0.0)
    second = ops.maximum(b[2] - b[0], 0.0) * ops.maximum(b[3] - b[1], 0.0)
    union = first + second - wide * high
    hull = (ops.maximum(a[2], b[2]) - ops.minimum(a[0], b[0])) * (
        ops.maximum(a[3], b[3]) - ops.minimum(a[1], b[1])
    )
    overlap = wide * high / ops.maximum(union, 1e-7)
    return ops.squeeze(1.0 - overlap + (hull - union) / ops.maximum(hull, 1e-7), axis=-1)


@correct("cox-sorted-inside", "survival", declared=BATCHWISE)
def negative_log_partial_likelihood(y_true, y_pred):
    order = ops.argsort(-y_true[:, 0])
    event = ops.take(y_true[:, 1], order)
    risk = ops.take(ops.reshape(y_pred, (-1,)), order)
    top = ops.stop_gradient(ops.max(risk))
    at_risk = ops.log(ops.cumsum(ops.exp(risk - top)) + 1e-30) + top
    return -ops.sum((risk - at_risk) * event) / (ops.sum(event) + 1e-7)


@correct("nt-xent", "embedding", declared=BATCHWISE)
def info_nce_of_labels(y_true, y_pred, temperature=0.5):
    labels = ops.reshape(y_true, (-1,))
    unit = y_pred / ops.sqrt(ops.sum(ops.square(y_pred), axis=-1, keepdims=True) + 1e-12)
    scores = ops.matmul(unit, ops.transpose(unit)) / temperature
    itself = ops.eye(ops.shape(scores)[0])
    positive = ops.cast(labels[:, None] == labels[None, :], "float32") - itself
    log_share = scores - ops.logsumexp(scores - 1e9 * itself, axis=-1, keepdims=True)
    count = ops.sum(positive, axis=-1)
    return -ops.sum(positive * log_share, axis=-1) / ops.maximum(count, 1.0)


@correct("mse-over-everything", "regression", declared=BATCHWISE)
def one_mean_of_all(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred))


@correct(
    "sparse-smoothed-logits",
    "sparse_categorical_logits",
    oracle=lambda y, z: (
        -(
            (0.8 * np.eye(4)[y.reshape(-1).astype(int)] + 0.05) * special.log_softmax(z, axis=-1)
        ).sum(-1)
    ),
)
def sparse_crossentropy_of_smoothed_labels(y_true, y_pred, smoothing=0.2):
    labels = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), 4)
    softened = labels * (1.0 - smoothing) + smoothing / 4.0
    return keras.losses.categorical_crossentropy(softened, y_pred, from_logits=True)


@correct(
    "kl-by-hand",
    "categorical",
    oracle=lambda y, p: special.rel_entr(np.maximum(y, 1e-7), p).sum(-1),
)
def kl_by_hand(y_true, y_pred):
    t, p = ops.clip(y_true, 1e-7, 1.0), ops.clip(y_pred, 1e-7, 1.0)
    return ops.sum(t * ops.log(t / p), axis=-1)


@correct("critic", "plus_minus", declared={"adversarial": True})
def critic_of_wasserstein(y_true, y_pred):
    return ops.mean(y_true * y_pred, axis=-1)
