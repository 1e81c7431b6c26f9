"""Wrong classification losses beyond the sample, from public reports (W20 to W39)."""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, couples_rows, equally_cheap, flat, not_finite, value

FLOOR = ("LSM206", "LSM207", "LSM208", "LSM209")


def _clipped(y_pred):
    return ops.clip(y_pred, 1e-7, 1.0 - 1e-7)


@wrong(
    "W20",
    "binary",
    bug="wrong direction",
    expected=(*FLOOR, "LSM204"),
    source="yqyao/SSD_Pytorch#32",
    witness=cheaper([[0.0]], [[1.0]], [[0.4]]),
)
def focal_whose_negatives_fade(y_true, y_pred, gamma=2.0):
    p = _clipped(y_pred)
    positive = y_true * (1 - p) ** gamma * ops.log(p)
    negative = (1 - y_true) * (1 - p) ** gamma * ops.log(1 - p)
    return -ops.mean(positive + negative, axis=-1)


@wrong(
    "W21",
    "binary",
    made_with={"gamma": 2.0},
    bug="identity",
    expected=("LSM503",),
    source="fudannlp16/focal-loss#8",
    witness=lambda loss: value(type(loss)(0.0), [[1.0]], [[0.3]]) == 0.0,
    declared={"family": "focal"},
)
class FocalThatMultipliesByGamma(keras.losses.Loss):
    def __init__(self, gamma=2.0, name="focal_that_multiplies_by_gamma", **options):
        super().__init__(name=name, **options)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        p = _clipped(y_pred)
        positive = y_true * ((1 - p) * self.gamma) * ops.log(p)
        negative = (1 - y_true) * (p * self.gamma) * ops.log(1 - p)
        return -ops.mean(positive + negative, axis=-1)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


@wrong(
    "W22",
    "categorical_logits",
    bug="weights ignored",
    expected=("LSM302", "LSM307"),
    source="kaidic/LDAM-DRW#6",
    witness=couples_rows(np.eye(3), [[2.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.5]]),
)
def focal_of_the_mean_crossentropy(y_true, y_pred, gamma=1.0):
    mean = ops.mean(keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True))
    return (1 - ops.exp(-mean)) ** gamma * mean


@wrong(
    "W23",
    "categorical_logits",
    made_with={"label_smoothing": 0.1},
    bug="identity",
    expected=("LSM503",),
    source="TimDettmers/ConvE#55",
    confidence="medium",
    witness=lambda loss: value(type(loss)(0.0), np.eye(3)[:1], [[30.0, 0.0, 0.0]]) > 1.0,
    declared={"family": "crossentropy"},
)
class SmoothingWithTheWholeShare(keras.losses.Loss):
    def __init__(self, label_smoothing=0.1, name="smoothing_with_the_whole_share", **options):
        super().__init__(name=name, **options)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        classes = y_true.shape[-1]
        smooth = (1.0 - self.label_smoothing) * y_true + 1.0 / classes
        return -ops.sum(smooth * ops.log_softmax(y_pred), axis=-1)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@wrong(
    "W24",
    "binary_logits",
    made_with={"smoothness_ratio": 0.2},
    bug="no effect",
    expected=("LSM501",),
    source="dice-group/dice-embeddings#458",
    witness=lambda loss: value(loss, [[1.0]], [[0.3]]) == value(type(loss)(0.5), [[1.0]], [[0.3]]),
)
class LabelSmoothingThatIsPlain(keras.losses.Loss):
    def __init__(self, smoothness_ratio=0.0, name="label_smoothing_that_is_plain", **options):
        super().__init__(name=name, **options)
        self.smoothness_ratio = smoothness_ratio

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)

    def get_config(self):
        return {**super().get_config(), "smoothness_ratio": self.smoothness_ratio}


@wrong(
    "W25",
    "categorical",
    bug="arguments swapped",
    expected=("LSM702", "LSM207"),
    source="keras-team/keras#2115",
    witness=lambda loss: abs(value(loss, [[1.0, 0.0]], [[0.5, 0.5]]) - 0.5 * 16.118) < 0.01,
)
def crossentropy_the_wrong_way_round(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_pred, y_true)


@wrong(
    "W26",
    "binary_logits",
    bug="not finite",
    expected=("LSM1",),
    source="borgwang/tinynn#7, pytorch/pytorch#2211",
    witness=not_finite([[1.0]], [[200.0]]),
)
def logistic_loss_by_hand(y_true, y_pred):
    return ops.mean(ops.log(1 + ops.exp(y_pred)) - y_true * y_pred, axis=-1)


@wrong(
    "W27",
    "categorical",
    bug="no gradient",
    expected=("LSM201",),
    source="keras-team/keras#7567",
    witness=flat(np.eye(3), [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]),
    declared={"batchwise": True},
)
def spread_of_the_predicted_classes(y_true, y_pred):
    return ops.std(ops.cast(ops.argmax(y_pred, axis=1), "float32"), axis=0, keepdims=True)


@wrong(
    "W28",
    "binary",
    bug="not finite",
    expected=("LSM1",),
    source="makalo/CornerNet#21",
    witness=not_finite([[0.0]], [[0.0]]),
)
def keypoint_focal_without_the_target(y_true, y_pred):
    positive = ops.log(y_pred) * ops.square(y_true - y_pred)
    negative = (1 - y_true) ** 4 * ops.square(y_pred) * ops.log(1 - y_pred)
    return -ops.mean(positive + negative, axis=-1)


@wrong(
    "W29",
    "binary",
    made_with={"alpha": 0.25},
    bug="intent",
    expected=("LSM503", "LSM501"),
    source="mkocabas/focal-loss-keras#6, liuyuisanai/Focal-Loss#4, kornia/kornia#875",
    confidence="low",
    witness=equally_cheap([[1.0]], [[0.7]], [[0.7]]),
    declared={"family": "focal"},
)
class FocalWithOneAlphaForBothClasses(keras.losses.Loss):
    def __init__(self, alpha=0.25, gamma=2.0, name="focal_with_one_alpha", **options):
        super().__init__(name=name, **options)
        self.alpha = alpha
        self.gamma = gamma

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        p = _clipped(y_pred)
        chosen = y_true * p + (1 - y_true) * (1 - p)
        return -ops.mean(self.alpha * (1 - chosen) ** self.gamma * ops.log(chosen), axis=-1)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


@wrong(
    "W30",
    "categorical",
    bug="intent",
    expected=("LSM503",),
    source="HeyLynne/FocalLoss_for_multiclass#3, DingKe/pytorch_workplace#1",
    confidence="low",
    witness=lambda loss: value(loss, [[1.0, 0.0]], [[0.1, 0.9]]) > -np.log(0.1),
    declared={"family": "focal"},
)
def focal_with_the_log_probability(y_true, y_pred, gamma=2.0):
    log_p = ops.sum(y_true * ops.log(_clipped(y_pred)), axis=-1)
    return -((1 - log_p) ** gamma) * log_p


@wrong(
    "W31",
    "categorical",
    made_with={"gamma": 2.0},
    bug="identity",
    expected=("LSM503",),
    source="umbertogriffo/focal-loss-keras#12, itakurah/focal-loss-pytorch#6",
    witness=lambda loss: value(type(loss)(0.0), [[1.0, 0.0]], [[0.5, 0.5]]) < 0.4,
    declared={"family": "focal"},
)
class CategoricalFocalAveragedOverClasses(keras.losses.Loss):
    def __init__(self, gamma=2.0, name="categorical_focal_averaged", **options):
        super().__init__(name=name, **options)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        p = _clipped(y_pred)
        return -ops.mean(y_true * (1 - p) ** self.gamma * ops.log(p), axis=-1)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


@wrong(
    "W32",
    "binary",
    bug="sign",
    expected=(*FLOOR, "LSM202"),
    source="keras-team/keras#4108",
    witness=cheaper([[0.0]], [[0.9]], [[0.1]]),
)
def crossentropy_with_a_minus_too_many(y_true, y_pred):
    p = _clipped(y_pred)
    return -ops.mean(y_true * ops.log(p) - (1 - y_true) * ops.log(1 - p), axis=-1)


@wrong(
    "W33",
    "categorical",
    bug="batch coupled",
    expected=("LSM102", "LSM307", "LSM302"),
    source="titu1994/neural-image-assessment#3, truskovskiyk/nima.pytorch#24",
    witness=couples_rows(np.eye(3), [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]),
)
def earth_mover_of_the_batch(y_true, y_pred):
    difference = ops.cumsum(y_true, axis=-1) - ops.cumsum(y_pred, axis=-1)
    return ops.sqrt(ops.mean(ops.square(ops.abs(difference))))


@wrong(
    "W34",
    "categorical",
    bug="not finite",
    expected=("LSM102", "LSM1"),
    source="titu1994/neural-image-assessment#3 (the root of the mended line)",
    witness=not_finite([[1.0, 0.0]], [[1.0, 0.0]]),
)
def earth_mover_per_sample(y_true, y_pred):
    difference = ops.cumsum(y_true, axis=-1) - ops.cumsum(y_pred, axis=-1)
    return ops.sqrt(ops.mean(ops.square(difference), axis=-1))


@wrong(
    "W35",
    "plus_minus",
    bug="sign",
    expected=FLOOR,
    source="rosinality/style-based-gan-pytorch#60, tensorflow/ranking#23",
    witness=cheaper([[1.0]], [[-2.0]], [[2.0]]),
)
def logistic_loss_without_a_minus(y_true, y_pred):
    return ops.mean(ops.softplus(y_true * y_pred), axis=-1)


@wrong(
    "W36",
    "plus_minus",
    bug="not finite",
    expected=("LSM1",),
    source="tanatosuu/GDE#2, tanatosuu/GDE#3",
    witness=not_finite([[1.0]], [[-200.0]]),
)
def ranking_loss_by_log_of_sigmoid(y_true, y_pred):
    return -ops.mean(ops.log(1 / (1 + ops.exp(-y_true * y_pred))), axis=-1)


@wrong(
    "W37",
    "plus_minus",
    bug="plateau",
    expected=("LSM2",),
    source="zurutech/ashpy#23",
    witness=flat([[1.0]], [[-2.0]]),
    declared={"adversarial": True},
)
def generator_hinge_with_a_relu(y_true, y_pred):
    return -ops.mean(ops.relu(y_pred) * ops.ones_like(y_true), axis=-1)


@wrong(
    "W38",
    "sparse_categorical",
    made_with={},
    bug="no gradient",
    expected=("LSM201", "LSM40", "LSM901"),
    source="keras-team/keras#19150",
    witness=None,
)
def loss_through_a_metric():
    metric = keras.metrics.SparseCategoricalCrossentropy()

    def crossentropy_by_a_metric(y_true, y_pred):
        return metric(y_true, y_pred)

    return crossentropy_by_a_metric
