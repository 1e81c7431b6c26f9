"""Wrong losses that the rules did not catch when they first met them (U21 to U28)."""

import numpy as np
from keras import ops

from checker.corpus.case import wrong

FLOOR = ("LSM206", "LSM207", "LSM208", "LSM209")
OWN = "written for this corpus"
_DRAWN = np.random.default_rng(3)
TARGETS = _DRAWN.normal(0, 1, (8, 1))
PARAMETERS = _DRAWN.normal(0, 1, (8, 2))


@wrong("U21", "regression", bug="sign", expected=FLOOR, source=OWN, batch=(TARGETS, PARAMETERS))
def likelihood_with_the_logarithm_taken_off(y_true, y_pred):
    mean, log_variance = y_pred[:, :1], y_pred[:, 1:]
    scaled = ops.square(y_true - mean) * ops.exp(-log_variance)
    return ops.mean(0.5 * (scaled - log_variance), axis=-1)


@wrong("U22", "regression", bug="sign", expected=FLOOR, source=OWN, batch=(TARGETS, PARAMETERS))
def likelihood_times_the_variance(y_true, y_pred):
    mean, log_variance = y_pred[:, :1], y_pred[:, 1:]
    scaled = ops.square(y_true - mean) * ops.exp(log_variance)
    return ops.mean(0.5 * (scaled + log_variance), axis=-1)


@wrong("U23", "sparse_categorical_logits", bug="wrong axis", expected=("LSM305",), source=OWN)
def softmax_over_the_samples(y_true, y_pred):
    log_p = y_pred - ops.logsumexp(y_pred, axis=0, keepdims=True)
    ids = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    return -ops.sum(ops.one_hot(ids, y_pred.shape[-1]) * log_p, axis=-1)


@wrong("U24", "segmentation", bug="batch coupled", expected=("LSM307",), source=OWN)
def dice_of_an_image_over_the_batch(y_true, y_pred):
    both = ops.sum(y_true * y_pred, axis=(1, 2, 3))
    return 1.0 - (2.0 * both + 1.0) / (ops.sum(y_true) + ops.sum(y_pred) + 1.0)


@wrong("U25", "views", bug="sign", expected=FLOOR, source=OWN)
def info_nce_that_drops_a_minus(y_true, y_pred):
    first, second = y_pred[:, 0], y_pred[:, 1]
    similarity = ops.matmul(first, ops.transpose(second))
    return ops.sum(first * second, axis=-1) - ops.logsumexp(similarity, axis=1)


@wrong("U26", "views", bug="sign", expected=FLOOR, source=OWN, declared={"batchwise": True})
def invariance_with_a_minus(y_true, y_pred):
    spread = ops.sqrt(ops.var(y_pred[:, 0], axis=0) + 1e-4)
    return ops.mean(ops.relu(1.0 - spread)) - ops.mean(ops.square(y_pred[:, 0] - y_pred[:, 1]))


@wrong("U27", "sequence", bug="wrong minimum", expected=FLOOR, source=OWN)
def square_of_the_mean_over_time(y_true, y_pred):
    return ops.mean(ops.square(ops.mean(y_true, axis=1) - ops.mean(y_pred, axis=1)), axis=-1)


@wrong("U28", "regression", bug="broadcast", expected=("LSM311",), source=OWN)
def squares_of_a_column_against_a_row(y_true, y_pred):
    return ops.mean(ops.square(y_true[:, 0] - y_pred))
