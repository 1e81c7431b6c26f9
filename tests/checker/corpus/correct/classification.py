"""Correct classification losses by hand."""

import keras
import numpy as np
from keras import ops
from scipy import special

from checker.corpus.case import correct


def _mean(formula):
    return lambda y, p: formula(np.float64(y), np.float64(p)).mean(axis=-1)


def _clipped(y_pred):
    return ops.clip(y_pred, 1e-7, 1.0 - 1e-7)


def _bce(y, p):
    return -(special.xlogy(y, p) + special.xlog1py(1 - y, -p))


@correct("bce-clipped", "binary", oracle=_mean(_bce))
def crossentropy_with_a_clip(y_true, y_pred):
    p = _clipped(y_pred)
    return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


@correct("bce-weighted", "binary", oracle=_mean(lambda y, p: (1 + 4 * y) * _bce(y, p)))
def crossentropy_where_misses_cost_more(y_true, y_pred, pos_weight=5.0):
    p = _clipped(y_pred)
    positive = pos_weight * y_true * ops.log(p)
    return -ops.mean(positive + (1 - y_true) * ops.log(1 - p), axis=-1)


@correct(
    "bce-logits-stable",
    "binary_logits",
    oracle=_mean(lambda y, z: np.logaddexp(0, z) - y * z),
)
def logistic_loss(y_true, y_pred):
    values = ops.maximum(y_pred, 0.0) - y_pred * y_true + ops.log1p(ops.exp(-ops.abs(y_pred)))
    return ops.mean(values, axis=-1)


@correct("brier", "binary", oracle=_mean(lambda y, p: (y - p) ** 2))
def brier(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def _focal(y, p, gamma=2.0, alpha=0.25):
    chosen = np.where(y == 1, p, 1 - p)
    return -np.where(y == 1, alpha, 1 - alpha) * (1 - chosen) ** gamma * np.log(chosen)


@correct("focal-by-hand", "binary", oracle=_mean(_focal))
def focal(y_true, y_pred, gamma=2.0, alpha=0.25):
    p = _clipped(y_pred)
    positive = alpha * y_true * (1 - p) ** gamma * ops.log(p)
    negative = (1 - alpha) * (1 - y_true) * p**gamma * ops.log(1 - p)
    return -ops.mean(positive + negative, axis=-1)


@correct(
    "asymmetric-multi-label",
    "binary",
    oracle=_mean(
        lambda y, p: (
            -y * np.log(p)
            - (1 - y) * np.maximum(p - 0.05, 0) ** 4 * np.log1p(-np.maximum(p - 0.05, 0))
        )
    ),
)
def asymmetric_multi_label(y_true, y_pred):
    shifted = ops.relu(y_pred - 0.05)
    positive = y_true * ops.log(_clipped(y_pred))
    negative = (1 - y_true) * shifted**4 * ops.log(1 - shifted)
    return -ops.mean(positive + negative, axis=-1)


@correct("poly-1", "binary", oracle=_mean(lambda y, p: _bce(y, p) + np.abs(y - p)))
def poly_one(y_true, y_pred):
    p = _clipped(y_pred)
    chosen = y_true * p + (1 - y_true) * (1 - p)
    return ops.mean(1.0 - chosen - ops.log(chosen), axis=-1)


@correct(
    "soft-f1",
    "binary",
    declared={"batchwise": True},
    oracle=lambda y, p: 1 - 2 * np.sum(y * p) / (np.sum(y) + np.sum(p)),
)
def one_minus_soft_f1(y_true, y_pred):
    hits = ops.sum(y_true * y_pred)
    return 1.0 - (2.0 * hits + 1e-6) / (ops.sum(y_true) + ops.sum(y_pred) + 1e-6)


@correct("logistic", "plus_minus", oracle=_mean(lambda y, z: np.logaddexp(0, -y * z)))
def logistic_of_signs(y_true, y_pred):
    return ops.mean(ops.softplus(-y_true * y_pred), axis=-1)


@correct("exponential", "plus_minus", oracle=_mean(lambda y, z: np.exp(-y * z)))
def exponential_loss(y_true, y_pred):
    return ops.mean(ops.exp(ops.minimum(-y_true * y_pred, 50.0)), axis=-1)


@correct(
    "smooth-hinge",
    "plus_minus",
    oracle=_mean(
        lambda y, z: np.where(
            y * z >= 1, 0, np.where(y * z <= 0, 0.5 - y * z, 0.5 * (1 - y * z) ** 2)
        )
    ),
)
def smooth_hinge(y_true, y_pred):
    margin = ops.relu(1.0 - y_true * y_pred)
    return ops.mean(ops.where(margin <= 1.0, 0.5 * ops.square(margin), margin - 0.5), axis=-1)


@correct(
    "savage",
    "plus_minus",
    declared={"redescending": True},
    oracle=_mean(lambda y, z: special.expit(-y * z) ** 2),
)
def savage(y_true, y_pred):
    return ops.mean(ops.square(ops.sigmoid(-y_true * y_pred)), axis=-1)


@correct(
    "cce-by-log-softmax",
    "categorical_logits",
    oracle=lambda y, z: -(y * special.log_softmax(z, axis=-1)).sum(-1),
)
def crossentropy_by_log_softmax(y_true, y_pred):
    return -ops.sum(y_true * ops.log_softmax(y_pred, axis=-1), axis=-1)


CLASS_WEIGHTS = np.array([1.0, 2.0, 0.5, 1.5], dtype="float32")


@correct(
    "cce-class-weights",
    "categorical",
    oracle=lambda y, p: -(CLASS_WEIGHTS * special.xlogy(y, p)).sum(-1),
)
def crossentropy_with_class_weights(y_true, y_pred):
    weights = ops.convert_to_tensor(CLASS_WEIGHTS)
    return -ops.sum(weights * y_true * ops.log(_clipped(y_pred)), axis=-1)


@correct(
    "categorical-focal-by-hand",
    "categorical",
    oracle=lambda y, p: -(y * (1 - p) ** 2 * np.log(p)).sum(-1),
)
def categorical_focal(y_true, y_pred, gamma=2.0):
    p = _clipped(y_pred)
    return -ops.sum(y_true * (1 - p) ** gamma * ops.log(p), axis=-1)


@correct(
    "squared-earth-mover",
    "categorical",
    oracle=lambda y, p: ((np.cumsum(y, -1) - np.cumsum(p, -1)) ** 2).sum(-1),
)
def squared_earth_mover(y_true, y_pred):
    return ops.sum(ops.square(ops.cumsum(y_true, -1) - ops.cumsum(y_pred, -1)), axis=-1)


@correct("mae-of-classes", "categorical", oracle=lambda y, p: 2 - 2 * (y * p).sum(-1))
def absolute_error_of_probabilities(y_true, y_pred):
    return 2.0 - 2.0 * ops.sum(y_true * y_pred, axis=-1)


@correct(
    "jensen-shannon",
    "categorical",
    oracle=lambda y, p: (
        0.5 * (special.rel_entr(y, (y + p) / 2) + special.rel_entr(p, (y + p) / 2)).sum(-1)
    ),
)
def jensen_shannon(y_true, y_pred):
    t, p = ops.clip(y_true, 1e-7, 1.0), ops.clip(y_pred, 1e-7, 1.0)
    middle = 0.5 * (t + p)
    divergence = t * ops.log(t / middle) + p * ops.log(p / middle)
    return 0.5 * ops.sum(divergence, axis=-1)


@correct(
    "symmetric-crossentropy",
    "categorical",
    oracle=lambda y, p: -special.xlogy(y, p).sum(-1) + 4 * ((1 - y) * p).sum(-1),
)
def symmetric_crossentropy(y_true, y_pred):
    forward = -ops.sum(y_true * ops.log(_clipped(y_pred)), axis=-1)
    return forward - ops.sum(y_pred * ops.where(y_true > 0.5, 0.0, -4.0), axis=-1)


@correct(
    "temperature",
    "categorical_logits",
    made_with={"temperature": 2.0},
    oracle=lambda y, z: -(y * special.log_softmax(z / 2.0, axis=-1)).sum(-1),
)
@keras.saving.register_keras_serializable("corpus")
class CrossentropyAtATemperature(keras.losses.Loss):
    def __init__(self, temperature=1.0, name="crossentropy_at_a_temperature", **options):
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        super().__init__(name=name, **options)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        return -ops.sum(y_true * ops.log_softmax(y_pred / self.temperature, axis=-1), axis=-1)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


@correct(
    "sparse-by-gather",
    "sparse_categorical_logits",
    oracle=lambda y, z: -special.log_softmax(z, axis=-1)[np.arange(len(y)), y.reshape(-1)],
)
def sparse_crossentropy_by_one_hot(y_true, y_pred):
    labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    chosen = ops.one_hot(labels, y_pred.shape[-1]) * ops.log_softmax(y_pred, axis=-1)
    return -ops.sum(chosen, axis=-1)


@correct(
    "coral",
    "binary_logits",
    oracle=lambda y, z: (np.logaddexp(0, z) - y * z).sum(-1),
)
def ordinal_levels(y_true, y_pred):
    log_p = -ops.softplus(-y_pred)
    return -ops.sum(log_p * y_true + (log_p - y_pred) * (1.0 - y_true), axis=-1)


@correct(
    "cosface",
    "categorical_logits",
    declared={"domain": (-1.0, 1.0)},
    oracle=lambda y, z: -(y * special.log_softmax(8.0 * (z - 0.2 * y), axis=-1)).sum(-1),
)
def cosface(y_true, y_pred, margin=0.2, scale=8.0):
    return -ops.sum(y_true * ops.log_softmax(scale * (y_pred - margin * y_true)), axis=-1)
