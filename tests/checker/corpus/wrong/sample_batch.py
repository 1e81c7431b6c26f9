"""Losses of the sample that break the contract of rows, weights and order (B19 to B27, B60...)."""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import couples_rows, depends_on_order, returns_shape, value

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3)))


@wrong(
    "B19",
    "regression",
    made_with={},
    bug="broadcast",
    expected=("LSM301",),
    source="keras-team/keras#14627, keras-team/keras#19662, tensorflow/tensorflow#30040",
    witness=returns_shape(np.zeros(4), np.zeros((4, 1)), (4,)),
)
class SquaredErrorAsClass(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred), axis=-1)


@wrong(
    "B19-direct",
    "regression",
    bug="broadcast",
    expected=("LSM301",),
    source="keras-team/keras#16836",
    entry="direct",
    witness=lambda loss: value(loss, [0.0, 1.0], [[0.0], [1.0]]) > 0.1,
)
def squared_error_in_a_loop_of_ones_own(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred))


@wrong(
    "B21",
    "regression",
    bug="wrong axis",
    expected=("LSM305", "LSM306", "LSM307"),
    source="keras-team/keras#10408, keras-team/keras#19732",
    witness=returns_shape(*ROWS, (3,)),
)
def distance_over_the_batch(y_true, y_pred):
    return ops.sqrt(ops.sum(ops.square(y_true - y_pred), axis=0) + 1e-12)


@wrong(
    "B24",
    "regression",
    bug="weights ignored",
    expected=("LSM302",),
    source="keras-team/keras#1866, tensorflow/tensorflow#42446, keras-team/keras#12973",
    witness=returns_shape(*ROWS, ()),
)
def squared_error_of_the_batch(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred))


@wrong(
    "B25",
    "binary",
    bug="batch size",
    expected=("LSM306", "LSM302"),
    source="umbertogriffo/focal-loss-keras#5, faustomilletari/VNet#13",
    witness=couples_rows([[1.0], [0.0]], [[0.3], [0.6]]),
)
def crossentropy_summed_over_the_batch(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.sum(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p))


@wrong(
    "B27",
    "regression",
    bug="square of the mean",
    expected=("LSM3", "LSM2"),
    source="akanimax/pro_gan_pytorch#13",
    witness=couples_rows(*ROWS),
)
def square_of_the_mean_error(y_true, y_pred):
    return ops.square(ops.mean(y_pred - y_true))


def make_loss_with_inputs(inputs):
    def loss(y_true, y_pred):
        fit = ops.square(y_true - y_pred)
        return ops.mean(fit + 0.1 * ops.square(y_pred - inputs), axis=-1)

    return loss


@wrong(
    "B60",
    "regression",
    made_with={},
    bug="closes over data",
    expected=("LSM713", "LSM3", "LSM404"),
    source="mexchy1000/DeepSurv_Keras#1, keras-team/keras#11582, keras-team/keras#3231",
)
def loss_that_holds_the_training_inputs():
    return make_loss_with_inputs(RNG.normal(size=(8, 1)).astype("float32"))


@wrong(
    "B63",
    "regression",
    bug="not finite",
    expected=("LSM102", "LSM307"),
    source="keras-team/keras#1170, keras-team/keras#9312, keras-team/keras#15412",
    witness=couples_rows(*ROWS),
)
def root_mean_squared_error(y_true, y_pred):
    return ops.sqrt(ops.mean(ops.square(y_true - y_pred)))


@wrong(
    "B65",
    "survival",
    bug="order",
    expected=("LSM308",),
    source="UK-Digital-Heart-Project/4Dsurvival#2, havakv/pycox#27",
    witness=depends_on_order([[3.0, 1.0], [1.0, 1.0], [2.0, 0.0]], [[0.2], [1.0], [-0.5]]),
    declared={"batchwise": True},
)
def cox_without_sorting(y_true, y_pred):
    event = y_true[:, 1]
    risk = ops.reshape(y_pred, (-1,))
    log_sum = ops.log(ops.cumsum(ops.exp(risk)))
    return -ops.sum((risk - log_sum) * event) / (ops.sum(event) + 1e-7)
