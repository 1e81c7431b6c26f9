"""Losses that are wrong only with their model (B33, W40, W41)."""

import keras
from keras import ops

from checker.corpus.case import wrong


def distance_under_a_sigmoid():
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, activation="sigmoid")(inputs)
    return keras.Model(inputs, outputs)


def softmax_classifier():
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, activation="softmax")])


def sigmoid_discriminator():
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, activation="sigmoid")])


@wrong(
    "B33",
    "distance",
    bug="model",
    expected=("LSM801", "LSM802"),
    source="keras-team/keras-io#2230, keras-team/keras-io#2261",
    model=distance_under_a_sigmoid,
    declared={"same": 1},
)
def contrastive_with_margin_one(y_true, y_pred):
    far = ops.square(ops.relu(1.0 - y_pred))
    return ops.mean(y_true * ops.square(y_pred) + (1.0 - y_true) * far, axis=-1)


@wrong(
    "W40",
    "plus_minus",
    bug="model",
    expected=("LSM801", "LSM802"),
    source="grey-eye/talking-heads#42",
    model=sigmoid_discriminator,
)
def hinge_for_a_discriminator(y_true, y_pred):
    return ops.mean(ops.relu(1.0 - y_true * y_pred), axis=-1)


@wrong(
    "W41",
    "categorical_logits",
    made_with={},
    bug="model",
    expected=("LSM802", "LSM701"),
    source="NVIDIA/DeepLearningExamples#468, jaehong31/CGES#1",
    model=softmax_classifier,
)
def crossentropy_of_logits():
    return keras.losses.CategoricalCrossentropy(from_logits=True)
