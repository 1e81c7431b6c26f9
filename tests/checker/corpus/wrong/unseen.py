"""Wrong losses written for the corpus after the rules were (U01 to U20): slips anyone makes."""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import (
    cheaper,
    equally_cheap,
    flat,
    jumps,
    not_finite,
    returns_shape,
    value,
)

FLOOR = ("LSM206", "LSM207", "LSM208", "LSM209")
OWN = "written for this corpus"


@wrong(
    "U01",
    "binary",
    bug="sign",
    expected=FLOOR,
    source=OWN,
    witness=cheaper([[0.0]], [[0.9]], [[0.1]]),
)
def crossentropy_with_a_minus_between_its_terms(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
    return -ops.mean(y_true * ops.log(p) - (1.0 - y_true) * ops.log(1.0 - p), axis=-1)


@wrong(
    "U02",
    "binary",
    bug="wrong direction",
    expected=FLOOR,
    source=OWN,
    witness=cheaper([[1.0]], [[0.001]], [[0.4]]),
)
def focal_that_weighs_the_easy_ones(y_true, y_pred, gamma=2.0):
    p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
    positive = y_true * p**gamma * ops.log(p)
    return -ops.mean(positive + (1.0 - y_true) * (1.0 - p) ** gamma * ops.log(1.0 - p), axis=-1)


@wrong(
    "U03",
    "regression",
    bug="wrong minimum",
    expected=FLOOR,
    source=OWN,
    witness=equally_cheap([[0.0, 0.0]], [[5.0, -5.0]], [[0.0, 0.0]]),
)
def size_of_the_summed_error(y_true, y_pred):
    return ops.abs(ops.sum(y_true - y_pred, axis=-1))


@wrong(
    "U04",
    "regression",
    bug="identity",
    expected=("LSM503",),
    source=OWN,
    witness=lambda loss: value(loss, [[0.0]], [[6.0]]) > 1.5 * value(loss, [[0.0]], [[-6.0]]),
    declared={"family": "huber"},
)
def huber_that_is_square_on_one_side(y_true, y_pred, delta=1.5):
    error = y_true - y_pred
    linear = delta * (ops.abs(error) - 0.5 * delta)
    return ops.mean(ops.where(error > delta, linear, 0.5 * ops.square(error)), axis=-1)


@wrong(
    "U05",
    "regression",
    bug="wrong minimum",
    expected=FLOOR,
    source=OWN,
    witness=cheaper([[1.0]], [[0.0]], [[1.0]]),
)
def difference_of_log_cosh(y_true, y_pred):
    def log_cosh(x):
        return ops.abs(x) + ops.softplus(-2.0 * ops.abs(x))

    return ops.mean(log_cosh(y_pred) - log_cosh(y_true), axis=-1)


@wrong(
    "U06",
    "regression",
    bug="sign",
    expected=FLOOR,
    source=OWN,
    witness=cheaper([[1.0, 0.0]], [[-1.0, 0.0]], [[1.0, 0.0]]),
)
def cosine_that_is_minimised(y_true, y_pred):
    lengths = ops.sum(ops.square(y_true), -1) * ops.sum(ops.square(y_pred), -1)
    return ops.sum(y_true * y_pred, axis=-1) / ops.sqrt(ops.maximum(lengths, 1e-12))


@wrong(
    "U07",
    "categorical",
    bug="sign",
    expected=FLOOR,
    source=OWN,
    witness=cheaper([[1.0, 0.0]], [[0.1, 0.9]], [[0.9, 0.1]]),
)
def divergence_upside_down(y_true, y_pred):
    t, p = ops.clip(y_true, 1e-7, 1.0), ops.clip(y_pred, 1e-7, 1.0)
    return ops.sum(t * ops.log(p / t), axis=-1)


@wrong(
    "U08",
    "categorical_logits",
    bug="sign",
    expected=FLOOR,
    source=OWN,
    witness=cheaper([[1.0, 0.0]], [[-3.0, 3.0]], [[3.0, -3.0]]),
)
def categorical_hinge_turned(y_true, y_pred):
    right = ops.sum(y_true * y_pred, axis=-1)
    rival = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.relu(right - rival + 1.0)


@wrong(
    "U09",
    "categorical_logits",
    bug="wrong minimum",
    expected=FLOOR,
    source=OWN,
    witness=equally_cheap([[1.0, 0.0]], [[30.0, 30.0]], [[30.0, -30.0]]),
)
def crossentropy_of_a_sigmoid_for_each_class(y_true, y_pred):
    return ops.sum(y_true * ops.softplus(-y_pred), axis=-1)


@wrong(
    "U10",
    "regression",
    bug="not finite",
    expected=("LSM1",),
    source=OWN,
    witness=not_finite([[0.0]], [[1.0]]),
)
def mse_of_targets_that_are_not_zero(y_true, y_pred):
    known = ops.cast(y_true != 0.0, "float32")
    return ops.sum(known * ops.square(y_true - y_pred), -1) / ops.sum(known, -1)


@wrong(
    "U11",
    "embedding",
    bug="sign",
    expected=FLOOR,
    source=OWN,
)
def triplet_of_the_hardest_turned(y_true, y_pred, margin=0.5):
    labels = ops.reshape(y_true, (-1,))
    same = ops.cast(labels[:, None] == labels[None, :], "float32")
    square = ops.sum(ops.square(y_pred[:, None] - y_pred[None, :]), axis=-1)
    d = ops.sqrt(ops.maximum(square, 1e-12))
    furthest = ops.max(d * same, axis=-1)
    nearest = ops.min(d + 1e9 * same, axis=-1)
    return ops.relu(ops.minimum(nearest, 1e3) - furthest + margin)


@wrong(
    "U12",
    "boxes",
    bug="sign",
    expected=FLOOR,
    source=OWN,
)
def giou_that_rewards_the_empty_hull(y_true, y_pred):
    low = ops.maximum(y_true[:, :2], y_pred[:, :2])
    high = ops.minimum(y_true[:, 2:], y_pred[:, 2:])
    inside = ops.prod(ops.relu(high - low), axis=-1)
    areas = ops.prod(y_true[:, 2:] - y_true[:, :2], -1) + ops.prod(
        y_pred[:, 2:] - y_pred[:, :2], -1
    )
    union = areas - inside
    corners = ops.maximum(y_true[:, 2:], y_pred[:, 2:]) - ops.minimum(y_true[:, :2], y_pred[:, :2])
    hull = ops.prod(corners, axis=-1)
    return 1.0 - (inside / union + (hull - union) / hull)


@wrong(
    "U13",
    "regression",
    bug="not finite",
    expected=("LSM1",),
    source=OWN,
    witness=not_finite([[0.0]], [[0.0]]),
)
def symmetric_percentage_error_without_a_guard(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred) / (ops.abs(y_true) + ops.abs(y_pred)), axis=-1)


@wrong("U14", "categorical", bug="no effect", expected=("LSM501",), source=OWN)
def crossentropy_that_forgets_to_smooth(y_true, y_pred, label_smoothing=0.1):
    softened = y_true * (1.0 - label_smoothing) + label_smoothing / 4.0
    del softened
    return -ops.sum(y_true * ops.log(ops.clip(y_pred, 1e-7, 1.0)), axis=-1)


@wrong(
    "U15",
    "regression",
    bug="jump",
    expected=("LSM205",),
    source=OWN,
    witness=jumps([[0.0]], [[3.99]], [[4.01]]),
)
def wing_that_does_not_meet(y_true, y_pred, width=4.0, curvature=2.0):
    size = ops.abs(y_true - y_pred)
    near = width * ops.log1p(size / curvature)
    return ops.mean(ops.where(size < width, near, size - 1.0), axis=-1)


@wrong(
    "U16",
    "plus_minus",
    bug="plateau",
    expected=("LSM204",),
    source=OWN,
    witness=flat([[1.0]], [[-3.0]]),
)
def hinge_clipped_at_one(y_true, y_pred):
    return ops.mean(ops.clip(1.0 - y_true * y_pred, 0.0, 1.0), axis=-1)


@wrong(
    "U17",
    "segmentation",
    bug="wrong axis",
    expected=("LSM305",),
    source=OWN,
    witness=returns_shape(np.ones((6, 2, 3, 1)), np.ones((6, 2, 3, 1)), (2, 3, 1)),
)
def dice_of_each_pixel(y_true, y_pred):
    hits = ops.sum(y_true * y_pred, axis=0)
    return 1.0 - (2.0 * hits + 1.0) / (ops.sum(y_true, axis=0) + ops.sum(y_pred, axis=0) + 1.0)


@wrong("U18", "regression", bug="last batch", expected=("LSM404",), source=OWN)
def mse_of_batches_of_thirty_two(y_true, y_pred):
    error = ops.reshape(y_true - y_pred, (32, -1))
    return ops.mean(ops.square(error), axis=-1)


@wrong(
    "U19",
    "binary",
    made_with={},
    bug="broadcast",
    expected=("LSM301",),
    source=OWN,
)
class WeightedBce(keras.losses.Loss):
    """Labels `(N,)` meet predictions `(N, 1)`."""

    def __init__(self, name="weighted_bce", **options):
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        p = ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
        values = 3.0 * y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p)
        return -ops.mean(values, axis=-1)


@wrong("U20", "binary_logits", bug="no gradient", expected=("LSM201",), source=OWN)
def f1_of_decisions(y_true, y_pred):
    decided = ops.cast(ops.sigmoid(y_pred) > 0.5, "float32")
    hits = ops.sum(y_true * decided, axis=-1)
    return 1.0 - (2.0 * hits + 1e-6) / (ops.sum(y_true, -1) + ops.sum(decided, -1) + 1e-6)
