"""Losses of the sample that do not survive compiling, repeating or saving (B53 to B62, B91)."""

import functools

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import forgets, value

RNG = np.random.default_rng(0)
TWICE = ([[0.0]], [[1.0]])


def _huber(error, threshold):
    large = threshold * (ops.abs(error) - 0.5 * threshold)
    values = ops.where(ops.abs(error) <= threshold, 0.5 * ops.square(error), large)
    return ops.mean(values, axis=-1)


@wrong(
    "B53",
    "regression",
    made_with={"threshold": 3.0},
    bug="saving",
    expected=("LSM601",),
    source="ttjh1234/ObjectDetection (Faster_RCNN/module/loss.py)",
    witness=forgets(threshold=3.0),
)
@keras.saving.register_keras_serializable("corpus")
class HuberWhoseConfigForgets(keras.losses.Loss):
    def __init__(self, threshold=1.0, name="huber_whose_config_forgets", **options):
        super().__init__(name=name, **options)
        self.threshold = threshold

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        return _huber(y_true - y_pred, self.threshold)

    def get_config(self):
        return {**super().get_config()}


@wrong(
    "B54",
    "regression",
    made_with={"threshold": 3.0},
    bug="saving",
    expected=("LSM601", "LSM602"),
    source="tensorflow/tensorflow#32612, tensorflow/tensorflow#25938",
    witness=forgets(threshold=3.0),
)
class MyHuberLoss(keras.losses.Loss):
    threshold = 1

    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        return _huber(y_true - y_pred, self.threshold)


@wrong(
    "B55",
    "regression",
    made_with={"threshold": 3.0},
    bug="saving",
    expected=("LSM602",),
    source="keras-team/keras#5916, keras-team/keras#9377, mkocabas/focal-loss-keras#10",
)
def my_huber_loss_with_threshold(threshold):
    def my_huber_loss(y_true, y_pred):
        return _huber(y_true - y_pred, threshold)

    return my_huber_loss


@wrong(
    "B55-hijacked",
    "regression",
    made_with={"threshold": 3.0},
    bug="saving",
    expected=("LSM604", "LSM601"),
    source="keras-team/keras#20806 and measured: a closure named as a built-in loads as it",
)
def make_huber(threshold):
    def huber(y_true, y_pred):
        return _huber(y_true - y_pred, threshold)

    return huber


@wrong(
    "B56-lambda",
    "regression",
    made_with={},
    bug="saving",
    expected=("LSM602",),
    source="keras-team/keras#5916",
)
def anonymous():
    return lambda y_true, y_pred: ops.mean(ops.square(y_true - y_pred), axis=-1)


def weighted_square(y_true, y_pred, factor):
    return factor * ops.mean(ops.square(y_true - y_pred), axis=-1)


@wrong(
    "B56-partial",
    "regression",
    made_with={},
    bug="saving",
    expected=("LSM603",),
    source="keras-team/keras#5916, keras-team/keras#2115",
)
def partial_of_a_function():
    return functools.partial(weighted_square, factor=2.0)


@wrong(
    "B58",
    "regression",
    bug="compiling",
    expected=("LSM403",),
    source="ck37/coral-ordinal#21, tensorflow/tensorflow#11840, keras-team/keras#2908",
)
def squared_error_with_an_if(y_true, y_pred):
    error = ops.mean(ops.square(y_true - y_pred), axis=-1)
    if ops.max(error) > 100.0:
        return error * 0.5
    return error


@wrong(
    "B62-random",
    "regression",
    bug="impure",
    expected=("LSM401", "LSM402"),
    source="tensorflow/tensorflow#33297, secondmind-labs/trieste#785",
    witness=lambda loss: value(loss, *TWICE) != value(loss, *TWICE),
)
def squared_error_with_noise(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred - 0.1 * float(RNG.normal())), axis=-1)


@wrong(
    "B62-counter",
    "regression",
    made_with={},
    bug="impure",
    expected=("LSM401", "LSM402", "LSM408"),
    source="keras-facts: a warm-up counter in an attribute",
    witness=lambda loss: value(loss, *TWICE) != value(loss, *TWICE),
)
class SquaredErrorThatWarmsUp(keras.losses.Loss):
    def __init__(self, name="squared_error_that_warms_up", **options):
        super().__init__(name=name, **options)
        self.calls = 0

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        self.calls += 1
        weight = min(1.0, self.calls / 100)
        return weight * ops.mean(ops.square(y_true - y_pred), axis=-1)


@wrong(
    "B91",
    "sparse_categorical",
    made_with={},
    bug="changes itself",
    expected=("LSM401", "LSM408", "LSM404", "LSM714"),
    source="yatengLG/Focal-Loss-Pytorch#9, yatengLG/Focal-Loss-Pytorch#16",
)
class FocalThatOverwritesAlpha(keras.losses.Loss):
    def __init__(self, alpha=(0.1, 0.2, 0.3, 0.4), name="focal_that_overwrites", **options):
        super().__init__(name=name, **options)
        self.alpha = np.asarray(alpha, "float32")

    def call(self, y_true, y_pred):
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        chosen = ops.sum(ops.one_hot(labels, ops.shape(y_pred)[-1]) * y_pred, axis=-1)
        p = ops.clip(chosen, 1e-7, 1.0)
        self.alpha = ops.take(ops.convert_to_tensor(self.alpha), labels)
        return -self.alpha * ops.square(1 - p) * ops.log(p)
