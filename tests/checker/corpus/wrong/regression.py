"""Wrong regression losses beyond the sample, from public reports (W01 to W15)."""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, equally_cheap, flat, not_finite, returns_shape, value

FLOOR = ("LSM206", "LSM207", "LSM208", "LSM209")


@wrong(
    "W01",
    "regression",
    bug="sign",
    expected=FLOOR,
    source="scikit-learn/scikit-learn#6076, scikit-learn/scikit-learn#8087",
    witness=cheaper([[0.0]], [[9.0]], [[0.0]]),
)
def pinball_with_a_lost_minus(y_true, y_pred, alpha=0.7):
    error = y_true - y_pred
    return ops.mean(ops.where(error > 0, alpha * error, (1 - alpha) * error), axis=-1)


@wrong(
    "W02",
    "regression",
    made_with={"q": 0.9},
    bug="identity",
    expected=("LSM503",),
    source="ufal/npfl139#17",
    witness=cheaper([[0.0]], [[-1.0]], [[1.0]]),
    declared={"family": "pinball"},
)
class PinballOfTheOtherQuantile(keras.losses.Loss):
    def __init__(self, q=0.5, name="pinball_of_the_other_quantile", **options):
        super().__init__(name=name, **options)
        self.q = q

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        error = y_pred - y_true
        return ops.mean(ops.maximum(self.q * error, (self.q - 1) * error), axis=-1)

    def get_config(self):
        return {**super().get_config(), "q": self.q}


@wrong(
    "W03",
    "regression",
    bug="plateau",
    expected=("LSM204",),
    source="devsisters/DQN-tensorflow#16, spragunr/deep_q_rl#46",
    witness=flat([[0.0]], [[3.0]]),
)
def squared_clipped_error(y_true, y_pred):
    return ops.mean(ops.square(ops.clip(y_true - y_pred, -1.0, 1.0)), axis=-1)


@wrong(
    "W04",
    "regression",
    bug="sign",
    expected=FLOOR,
    source="VowpalWabbit/vowpal_wabbit#370",
    witness=cheaper([[0.0]], [[5.0]], [[0.0]]),
)
def mean_error_without_abs(y_true, y_pred):
    return ops.mean(y_true - y_pred, axis=-1)


@wrong(
    "W05",
    "regression",
    bug="not finite",
    expected=("LSM1",),
    source="keras-team/keras#8524, Lightning-AI/torchmetrics#3488",
    witness=not_finite([[0.0]], [[100.0]]),
)
def log_of_cosh(y_true, y_pred):
    error = y_pred - y_true
    return ops.mean(ops.log((ops.exp(error) + ops.exp(-error)) / 2), axis=-1)


@wrong(
    "W06",
    "regression",
    bug="not finite",
    expected=("LSM1",),
    source="unit8co/darts#2517, dmlc/xgboost#7586",
    witness=not_finite([[0.0]], [[0.0]]),
)
def percentage_error_by_hand(y_true, y_pred):
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / y_true), axis=-1)


@wrong(
    "W07",
    "regression",
    bug="not finite",
    expected=("LSM1",),
    source="ludwig-ai/ludwig#2139",
    witness=not_finite([[0.0]], [[1.0]]),
    declared={"batchwise": True},
)
def root_mean_squared_percentage_error(y_true, y_pred):
    return ops.sqrt(ops.mean(ops.square((y_true - y_pred) / y_true)))


@wrong(
    "W08",
    "regression",
    bug="not finite",
    expected=("LSM1", "LSM212"),
    source="timeseriesAI/tsai#150, dmlc/xgboost#11210",
    witness=not_finite([[1.0]], [[-1.5]]),
)
def squared_log_error_without_a_clip(y_true, y_pred):
    return ops.mean(ops.square(ops.log(y_pred + 1.0) - ops.log(y_true + 1.0)), axis=-1)


@wrong(
    "W09",
    "regression",
    bug="not finite",
    expected=("LSM1", "LSM207", "LSM208", "LSM209"),
    source="keras-team/keras#7249",
    witness=not_finite([[0.0], [1.0]], [[0.0], [1.0]]),
    declared={"batchwise": True},
)
def determination_turned_upside_down(y_true, y_pred):
    total = ops.sum(ops.square(y_true - ops.mean(y_true)))
    residual = ops.sum(ops.square(y_true - y_pred))
    return 1.0 - total / residual


@wrong(
    "W10",
    "regression",
    made_with={},
    bug="not finite",
    expected=("LSM1", "LSM40"),
    source="keras-team/keras#15956, tensorflow/tensorflow#54094",
    witness=not_finite([[0.0, 1.0]], [[0.5, 0.5]]),
)
class ExplainedVariance(keras.losses.Loss):
    def __init__(self, name="explained_variance", **options):
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        residual = ops.sum(ops.square(y_pred - y_true), axis=1)
        mean = ops.reshape(ops.mean(y_pred, axis=1), (y_pred.shape[0], 1))
        return residual / ops.sum(ops.square(y_pred - mean), axis=1)


@wrong(
    "W11",
    "regression",
    bug="not finite",
    expected=("LSM1",),
    source="NVIDIA-Genomics-Research/AtacWorks#104, WenYanger/Keras_Metrics#1",
    witness=not_finite([[0.0], [1.0]], [[0.5], [0.5]]),
    declared={"batchwise": True},
)
def one_minus_pearson(y_true, y_pred):
    t = y_true - ops.mean(y_true)
    p = y_pred - ops.mean(y_pred)
    norm = ops.sqrt(ops.sum(ops.square(t)) * ops.sum(ops.square(p)))
    return 1.0 - ops.sum(t * p) / norm


@wrong(
    "W12",
    "regression",
    bug="no gradient",
    expected=("LSM201",),
    source="rstudio/keras3#515",
    witness=flat([[0.3, 1.0]], [[1.0, -2.0]]),
)
def direction_of_the_targets(y_true, y_pred):
    return ops.mean(ops.square(y_true - ops.mean(y_true)), axis=-1)


@wrong(
    "W13",
    "regression",
    bug="sign",
    expected=FLOOR,
    source="tensorflow/tensorflow#32186",
    witness=cheaper([[1.0, 0.0]], [[-1.0, 0.0]], [[1.0, 0.0]]),
)
def cosine_proximity_without_a_minus(y_true, y_pred):
    t = y_true / ops.sqrt(ops.sum(ops.square(y_true), -1, keepdims=True) + 1e-7)
    p = y_pred / ops.sqrt(ops.sum(ops.square(y_pred), -1, keepdims=True) + 1e-7)
    return ops.sum(t * p, axis=-1)


@wrong(
    "W14",
    "regression",
    bug="no gradient",
    expected=("LSM201", "LSM403", "LSM715", "LSM901"),
    source="keras-team/keras#12057, keras-team/tf-keras#52",
    witness=None,
)
def squared_error_in_numpy(y_true, y_pred):
    t, p = ops.convert_to_numpy(y_true), ops.convert_to_numpy(y_pred)
    return ops.convert_to_tensor(np.mean((t - p) ** 2, axis=-1))


@wrong(
    "W15",
    "regression",
    bug="wrong direction",
    expected=("LSM2", "LSM305", "LSM307", "LSM712"),
    source="the class of keras-team/keras#4175: a reduction where an elementwise maximum was meant",
    witness=equally_cheap([[0.0]], [[-1.0]], [[1.0]]),
)
def pinball_by_max_over_an_axis(y_true, y_pred, q=0.9):
    error = y_true - y_pred
    return ops.mean(ops.square(ops.max(q * error, 0)), axis=-1)


@wrong(
    "W16",
    "regression",
    bug="last batch",
    expected=("LSM40", "LSM901", "LSM3"),
    source="keras-team/keras#6016, keras-team/keras#8627",
    witness=None,
)
def squared_error_of_batches_of_eight(y_true, y_pred):
    error = ops.reshape(y_true - y_pred, (8, -1))
    return ops.mean(ops.square(error), axis=-1)


@wrong(
    "W17",
    "binary_logits",
    bug="wrong axis",
    expected=("LSM3", "LSM404", "LSM901"),
    source="keras-team/keras#8813",
    witness=returns_shape([[0.0], [1.0], [1.0], [0.0]], [[1.0], [0.5], [2.5], [0.0]], (2,)),
)
def softmax_over_neighbours_in_the_batch(y_true, y_pred):
    t, p = ops.reshape(y_true, (-1, 2)), ops.reshape(y_pred, (-1, 2))
    return keras.losses.categorical_crossentropy(t, ops.softmax(p))


@wrong(
    "W18",
    "regression",
    made_with={"weight": 0.5},
    bug="domain",
    expected=("LSM502",),
    source="google-deepmind/jax_privacy#384, google-deepmind/jax_privacy#394",
    witness=lambda loss: np.isnan(value(type(loss)(float("nan")), [[0.0]], [[1.0]])),
)
class MixtureWhoseRangeTestLetsNanPass(keras.losses.Loss):
    def __init__(self, weight=0.5, name="mixture_whose_range_test_lets_nan_pass", **options):
        if weight <= 0 or weight >= 1:
            raise ValueError(f"weight must lie between 0 and 1, got {weight}")
        super().__init__(name=name, **options)
        self.weight = weight

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        error = y_true - y_pred
        both = self.weight * ops.square(error) + (1 - self.weight) * ops.abs(error)
        return ops.mean(both, axis=-1)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}
