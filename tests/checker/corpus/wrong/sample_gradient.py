"""Losses of the sample without a gradient, with a jump or a false one (B37 to B46, B66, B67...)."""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, equally_cheap, flat, jumps, value

HUBER = {"bug": "jump", "expected": ("LSM205", "LSM206", "LSM207")}


@wrong(
    "B37",
    "binary_logits",
    bug="labels of another range",
    expected=("LSM202", "LSM704"),
    source="bfortuner/ml-glossary#113, deepchem/deepchem#5017, keras-team/keras#15665",
    witness=flat([[0.0]], [[3.0]]),
)
def hinge_for_zero_and_one(y_true, y_pred):
    return ops.mean(ops.maximum(1.0 - y_true * y_pred, 0.0), axis=-1)


@wrong(
    "B40",
    "regression",
    bug="no gradient",
    expected=("LSM201",),
    source="keras-team/keras#4175, tensorflow/tensorflow#8625, keras-team/keras#10321",
    witness=flat([[0.3, 2.0]], [[1.2, -0.7]]),
)
def squared_error_of_the_rounded(y_true, y_pred):
    return ops.mean(ops.square(y_true - ops.round(y_pred)), axis=-1)


@wrong(
    "B42",
    "categorical",
    bug="no gradient",
    expected=("LSM201",),
    source="tensorflow/tensorflow#15278, keras-team/keras#11157",
    witness=flat([[1.0, 0.0]], [[0.3, 0.7]]),
)
def share_of_wrong_classes(y_true, y_pred):
    return ops.cast(ops.not_equal(ops.argmax(y_pred, -1), ops.argmax(y_true, -1)), "float32")


@wrong(
    "B45",
    "binary",
    bug="plateau",
    expected=("LSM204",),
    source="tensorflow/addons#693, tensorflow/tensorflow#89110",
    witness=flat([[1.0]], [[1e-4]]),
)
def crossentropy_with_a_coarse_clip(y_true, y_pred):
    p = ops.clip(y_pred, 1e-3, 1 - 1e-3)
    return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


@wrong(
    "B66",
    "regression",
    source="marlbenchmark/on-policy#47",
    witness=equally_cheap([[0.0]], [[5.0]], [[0.0]]),
    **HUBER,
)
def huber_blind_on_one_side(y_true, y_pred, delta=2.0):
    error = y_true - y_pred
    small = ops.cast(ops.abs(error) <= delta, "float32")
    large = ops.cast(error > delta, "float32")
    quadratic = small * ops.square(error) / 2
    return ops.mean(quadratic + large * delta * (ops.abs(error) - delta / 2), axis=-1)


@wrong(
    "B67-tensorforce",
    "regression",
    source="tensorforce/tensorforce#139",
    witness=jumps([[0.0]], [[2.99]], [[3.01]]),
    **HUBER,
)
def huber_whose_line_forgets_delta(y_true, y_pred, delta=3.0):
    error = ops.abs(y_true - y_pred)
    return ops.mean(ops.where(error < delta, 0.5 * error**2, error - 0.5), axis=-1)


@wrong(
    "B67-h2o",
    "regression",
    source="h2oai/h2o-3#6015",
    witness=jumps([[0.0]], [[0.999]], [[1.001]]),
    **HUBER,
)
def huber_with_delta_for_half_delta(y_true, y_pred, delta=1.0):
    error = ops.abs(y_true - y_pred)
    return ops.mean(ops.where(error <= delta, 0.5 * error**2, delta * (error - delta)), axis=-1)


@wrong(
    "B67-cutoff",
    "regression",
    source="keras-team/keras-cv#920, keras-team/keras-cv#1079",
    witness=jumps([[0.0]], [[0.299]], [[0.301]]),
    **HUBER,
)
def smooth_l1_with_a_small_cutoff(y_true, y_pred, l1_cutoff=0.3):
    error = y_true - y_pred
    size = ops.abs(error)
    return ops.mean(ops.where(size < l1_cutoff, 0.5 * error**2, size - 0.5), axis=-1)


@wrong(
    "B67-sigma",
    "regression",
    source="smallcorgi/Faster-RCNN_TF#30, tryolabs/luminoth#144",
    witness=jumps([[0.0]], [[0.999]], [[1.001]]),
    **HUBER,
)
def smooth_l1_whose_condition_forgets_sigma(y_true, y_pred, sigma=3.0):
    size = ops.abs(y_true - y_pred)
    square = sigma**2
    return ops.mean(ops.where(size < 1.0, 0.5 * square * size**2, size - 0.5 / square), axis=-1)


@wrong(
    "B67-parenthesis",
    "regression",
    source="public course code: the half outside the product",
    witness=jumps([[0.0]], [[2.999]], [[3.001]]),
    **HUBER,
)
def huber_with_a_misplaced_half(y_true, y_pred, threshold=3.0):
    error = y_true - y_pred
    large = threshold * ops.abs(error) - (0.5 * threshold)
    return ops.where(ops.abs(error) <= threshold, ops.square(error) / 2, large)


@wrong(
    "B27-bounded",
    "regression",
    bug="wrong direction",
    expected=("LSM2",),
    source="akanimax/pro_gan_pytorch#13",
    witness=cheaper([[1.0, -1.0]], [[1e3, -1e3]], [[0.9, -1.0]]),
)
def mean_error_per_row_squared(y_true, y_pred):
    return ops.square(ops.mean(y_pred - y_true, axis=-1))


@wrong(
    "B72",
    "segmentation",
    bug="wrong minimum",
    expected=("LSM207", "LSM503", "LSM211"),
    source="Project-MONAI/MONAI#644",
    witness=lambda loss: float(ops.mean(loss(np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1))))) < -0.5,
    declared={"family": "iou"},
)
def jaccard_with_the_factor_of_dice(y_true, y_pred):
    y_true = ops.reshape(y_true, (ops.shape(y_true)[0], -1))
    y_pred = ops.reshape(y_pred, (ops.shape(y_pred)[0], -1))
    both = ops.sum(y_true * y_pred, axis=-1)
    union = ops.sum(y_true, axis=-1) + ops.sum(y_pred, axis=-1) - both
    return 1 - (2 * both + 1e-5) / (union + 1e-5)


@ops.custom_gradient
def _squared_error_uphill(y_true, y_pred):
    error = y_pred - y_true

    def backward(*received, upstream=None):
        slope = received[0] if received else upstream
        return slope * error, -slope * error

    return 0.5 * ops.square(error), backward


@wrong(
    "B93",
    "regression",
    bug="reversed residual",
    expected=("LSM208", "LSM210", "LSM207"),
    source="dmlc/xgboost#3037",
)
def squared_error_with_a_reversed_gradient(y_true, y_pred):
    return ops.mean(_squared_error_uphill(y_true, y_pred), axis=-1)


@wrong(
    "B89-shadowed",
    "regression",
    made_with={"threshold": 3.0},
    bug="no effect",
    expected=("LSM501",),
    source="public course code: the threshold assigned again inside",
    witness=lambda loss: value(loss, [[0.0]], [[2.5]]) == value(type(loss)(1.0), [[0.0]], [[2.5]]),
)
class HuberThatSetsItsOwnThreshold(keras.losses.Loss):
    def __init__(self, threshold=1.0, name="huber_that_sets_its_own_threshold", **options):
        super().__init__(name=name, **options)
        self.threshold = threshold

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        threshold = 1.0
        error = y_true - y_pred
        large = threshold * (ops.abs(error) - 0.5 * threshold)
        values = ops.where(ops.abs(error) <= threshold, ops.square(error) / 2, large)
        return ops.mean(values, axis=-1)

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}
