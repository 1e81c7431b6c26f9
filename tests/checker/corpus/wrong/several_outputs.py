"""Wrong losses of several predicted numbers, and of boxes by their centres (U29 onwards)."""

import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, gradient, not_finite

FLOOR = ("LSM206", "LSM207", "LSM208", "LSM209")
OWN = "written for this corpus"
_DRAWN = np.random.default_rng(5)
TARGETS = _DRAWN.normal(0, 1, (8, 1))
PARAMETERS = _DRAWN.normal(0, 1, (8, 2))
MIXTURES = _DRAWN.normal(0, 1, (8, 9))


@wrong(
    "U29",
    "boxes",
    bug="sign",
    expected=FLOOR,
    source=OWN,
    witness=cheaper([[0.5, 0.5, 0.4, 0.4]], [[2.5, 2.5, 0.4, 0.4]], [[1.2, 1.2, 0.4, 0.4]]),
)
def distance_of_centres_taken_off(y_true, y_pred):
    low = ops.maximum(y_true[:, :2] - y_true[:, 2:] / 2, y_pred[:, :2] - y_pred[:, 2:] / 2)
    high = ops.minimum(y_true[:, :2] + y_true[:, 2:] / 2, y_pred[:, :2] + y_pred[:, 2:] / 2)
    both = ops.prod(ops.relu(high - low), axis=-1)
    areas = ops.prod(y_true[:, 2:], axis=-1) + ops.prod(y_pred[:, 2:], axis=-1)
    apart = ops.sum(ops.square(y_true[:, :2] - y_pred[:, :2]), axis=-1)
    return 1.0 - both / (areas - both + 1e-7) - 0.1 * apart


@wrong(
    "U30",
    "regression",
    bug="no gradient",
    expected=("LSM203",),
    source=OWN,
    batch=(TARGETS, PARAMETERS),
    witness=lambda loss: not gradient(loss, TARGETS, PARAMETERS)[:, 1].any(),
)
def likelihood_that_reads_one_column_twice(y_true, y_pred):
    mean, log_variance = y_pred[:, :1], y_pred[:, :1]
    return ops.mean(log_variance + ops.square(y_true - mean) * ops.exp(-log_variance), axis=-1)


@wrong(
    "U40",
    "regression",
    bug="underflow",
    expected=("LSM101",),
    source=OWN,
    batch=(TARGETS, MIXTURES),
    witness=not_finite(20 * TARGETS, MIXTURES),
)
def mixture_of_densities_without_logarithms(y_true, y_pred):
    shares, means, logs = y_pred[:, :3], y_pred[:, 3:6], y_pred[:, 6:]
    scaled = (y_true - means) * ops.exp(-logs)
    densities = ops.softmax(shares, axis=-1) * ops.exp(-logs - 0.5 * ops.square(scaled))
    return -ops.log(ops.sum(densities, axis=-1))
