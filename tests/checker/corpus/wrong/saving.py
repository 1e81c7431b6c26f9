"""Losses that are lost or changed by saving, beyond the sample (W42 to W49)."""

import keras
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import forgets


@wrong(
    "W42",
    "regression",
    made_with={"log_rate": True},
    bug="saving",
    expected=("LSM601", "LSM602"),
    source="gmgeorg/pypsps#22",
    witness=forgets(log_rate=True),
    declared={"domain": (0.0, float("inf"))},
)
@keras.saving.register_keras_serializable("corpus")
class ExponentialLikelihood(keras.losses.Loss):
    def __init__(self, log_rate=False, name="exponential_likelihood", **options):
        super().__init__(name=name, **options)
        self.log_rate = log_rate

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        log_rate = y_pred if self.log_rate else ops.log(ops.maximum(y_pred, 1e-6))
        return ops.mean(ops.exp(log_rate) * y_true - log_rate, axis=-1)


@wrong(
    "W43",
    "categorical",
    made_with={"gamma": 3.0},
    bug="saving",
    expected=("LSM603", "LSM602"),
    source="umbertogriffo/focal-loss-keras#7",
)
class CategoricalFocalAsCallable:
    def __init__(self, gamma=2.0):
        self.gamma = gamma
        self.__name__ = "categorical_focal_as_callable"

    def __call__(self, y_true, y_pred):
        p = ops.clip(y_pred, 1e-7, 1.0)
        return -ops.sum(y_true * (1 - p) ** self.gamma * ops.log(p), axis=-1)


@wrong(
    "W44",
    "regression",
    made_with={"weight": 3.0},
    bug="saving",
    expected=("LSM601", "LSM602"),
    source="tensorflow/tensorflow#25938: __init__ that takes no options",
)
@keras.saving.register_keras_serializable("corpus")
class WeightedErrorThatTakesNoOptions(keras.losses.Loss):
    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = weight

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        return self.weight * ops.mean(ops.square(y_true - y_pred), axis=-1)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


@wrong(
    "W45",
    "regression",
    made_with={},
    bug="saving",
    expected=("LSM601",),
    source="keras-team/keras#23286: the built-in whose configuration drops delta",
)
def huber_of_keras_with_delta():
    return keras.losses.Huber(delta=3.0)


class Objective:
    def __init__(self, weight):
        self.weight = weight

    def loss(self, y_true, y_pred):
        return self.weight * ops.mean(ops.square(y_true - y_pred), axis=-1)


@wrong(
    "W46",
    "regression",
    made_with={},
    bug="saving",
    expected=("LSM602", "LSM603"),
    source="keras-team/keras#10408: a method given as the loss",
)
def method_as_loss():
    return Objective(2.0).loss


@wrong(
    "W47",
    "regression",
    made_with={"scale": 2.0},
    bug="saving",
    expected=("LSM601",),
    source="qubvel/segmentation_models#266, ttjh1234/ObjectDetection: another name in the config",
)
@keras.saving.register_keras_serializable("corpus")
class ScaledErrorWithAForgottenScale(keras.losses.Loss):
    def __init__(self, scale=1.0, power=2.0, name="scaled_error_forgotten", **options):
        super().__init__(name=name, **options)
        self.scale = scale
        self.power = power

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        return self.scale * ops.mean(ops.abs(y_true - y_pred) ** self.power, axis=-1)

    def get_config(self):
        return {**super().get_config(), "power": self.power}
