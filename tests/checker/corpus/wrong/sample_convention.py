"""Losses of the sample with a wrong convention or hyperparameter (B32 to B35, B68, B70, B88, B89).

B33 is in `models.py`.
"""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, costs_at_best, equally_cheap, not_finite, value

ONE_HOT = np.eye(4)


@wrong(
    "B32",
    "distance",
    bug="label meaning",
    expected=("LSM703",),
    source="keras-team/tf-keras#469, keras-team/keras#1866, keras-team/keras#7119",
    witness=cheaper([[1.0]], [[2.0]], [[0.0]]),
    declared={"same": 1},
)
def contrastive_with_labels_turned(y_true, y_pred):
    far = ops.square(ops.maximum(1.0 - y_pred, 0.0))
    return ops.mean((1.0 - y_true) * ops.square(y_pred) + y_true * far, axis=-1)


@wrong(
    "B32-pair",
    "pair",
    bug="label meaning",
    expected=("LSM703",),
    source="keras-team/keras#4980, keras-team/keras#9269, Kadenze/siamese_net#7",
    witness=cheaper([1.0], [[[0.0, 0.0], [2.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]),
    declared={"same": 1},
)
def contrastive_of_pairs_with_labels_turned(y_true, y_pred):
    square = ops.sum(ops.square(y_pred[:, 0] - y_pred[:, 1]), axis=-1)
    distance, same = ops.sqrt(square + 1e-12), ops.reshape(y_true, (-1,))
    return (1.0 - same) * square + same * ops.square(ops.relu(1.0 - distance))


@wrong(
    "B35",
    "categorical",
    bug="arguments swapped",
    expected=("LSM702", "LSM1"),
    source="keras-team/keras#5733, ShannonAI/dice_loss_for_NLP#6, tensorflow/tensorflow#38067",
    witness=not_finite([[0.0, 1.0]], [[0.3, 0.7]]),
)
def policy_loss(y_pred, y_true):
    return -ops.sum(y_true * ops.log(y_pred), axis=-1)


@wrong(
    "B68-softmax",
    "categorical",
    bug="double activation",
    expected=("LSM701",),
    source="nfmcclure/tensorflow_cookbook#86, NVIDIA/DeepLearningExamples#468",
    witness=costs_at_best(ONE_HOT, ONE_HOT, 0.74367),
)
def softmax_of_a_softmax(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)


@wrong(
    "B68-sigmoid",
    "binary",
    bug="double activation",
    expected=("LSM701",),
    source="tflearn/tflearn#562, exelban/tensorflow-cifar-10#7",
    witness=costs_at_best([[1.0]], [[1.0]], 0.31326),
)
def sigmoid_of_a_sigmoid(y_true, y_pred):
    return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)


@wrong(
    "B68-sparse",
    "sparse_categorical",
    bug="double activation",
    expected=("LSM701",),
    source="jaehong31/CGES#1",
    witness=costs_at_best(np.arange(4), ONE_HOT, 0.74367),
)
def sparse_softmax_of_a_softmax(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


@wrong(
    "B68-none",
    "categorical_logits",
    bug="missing activation",
    expected=("LSM705", "LSM1", "LSM2"),
    source="the reverse of nfmcclure/tensorflow_cookbook#86",
    witness=lambda loss: (
        not 0.6 < value(loss, [[1.0, 0.0]], [[0.0, 0.0]]) < 0.8
        or value(loss, [[1.0, 0.0]], [[-1.0, -2.0]]) < 0.0
        or value(loss, [[1.0, 0.0]], [[3.0, -2.0]]) > 1.0
        or value(loss, [[1.0, 0.0]], [[1.0, 1.0]]) == value(loss, [[1.0, 0.0]], [[2.0, 2.0]])
    ),
)
def logits_read_as_probabilities(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred)


@wrong(
    "B70",
    "regression",
    made_with={"q": 0.9},
    bug="identity",
    expected=("LSM503", "LSM501"),
    source="Nixtla/utilsforecast#63",
    witness=equally_cheap([[0.0]], [[1.0]], [[-1.0]]),
    declared={"family": "pinball"},
)
class PinballOfAbsoluteError(keras.losses.Loss):
    def __init__(self, q=0.5, name="pinball_of_absolute_error", **options):
        super().__init__(name=name, **options)
        self.q = q

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        error = ops.abs(y_true - y_pred)
        return ops.mean(ops.maximum(self.q * error, (self.q - 1) * error), axis=-1)

    def get_config(self):
        return {**super().get_config(), "q": self.q}


@wrong(
    "B88",
    "regression",
    made_with={"delta": 1.0},
    bug="domain",
    expected=("LSM502",),
    source="keras-team/keras#23573, pytorch/pytorch#83241",
    witness=lambda loss: value(type(loss)(-1.0), [[0.0]], [[3.0]]) < 0,
)
class HuberOfAnyDelta(keras.losses.Loss):
    def __init__(self, delta=1.0, name="huber_of_any_delta", **options):
        super().__init__(name=name, **options)
        self.delta = delta

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        error = ops.abs(y_true - y_pred)
        large = self.delta * (error - 0.5 * self.delta)
        return ops.mean(ops.where(error <= self.delta, 0.5 * ops.square(error), large), axis=-1)

    def get_config(self):
        return {**super().get_config(), "delta": self.delta}


@wrong(
    "B89-hard-coded",
    "distance",
    made_with={"margin": 0.5},
    bug="no effect",
    expected=("LSM501",),
    source="taylover-pei/SSDG-CVPR2020#2",
    witness=lambda loss: value(loss, [[0.0]], [[0.7]]) == value(type(loss)(2.0), [[0.0]], [[0.7]]),
    declared={"same": 1},
)
class ContrastiveWithItsOwnMargin(keras.losses.Loss):
    def __init__(self, margin=1.0, name="contrastive_with_its_own_margin", **options):
        super().__init__(name=name, **options)
        self.margin = margin

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        far = ops.square(ops.maximum(1.0 - y_pred, 0.0))
        return ops.mean(y_true * ops.square(y_pred) + (1.0 - y_true) * far, axis=-1)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}
