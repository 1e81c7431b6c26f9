"""Wrong metric-learning losses beyond the sample, from public reports (W70 to W79)."""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, couples_rows, flat, not_finite, value

LABELS = np.array([0, 0, 1, 1])
POINTS = np.array([[1.0, 0.2], [0.3, 0.9], [0.8, 0.5], [-0.4, 0.7]])


def _similarity(embeddings):
    norm = ops.sqrt(ops.sum(ops.square(embeddings), -1, keepdims=True) + 1e-8)
    unit = embeddings / norm
    return ops.matmul(unit, ops.transpose(unit))


def _same(labels):
    column = ops.reshape(labels, (-1, 1))
    return ops.cast(ops.equal(column, ops.transpose(column)), "float32")


@wrong(
    "W70",
    "embedding",
    bug="no gradient",
    expected=("LSM2", "LSM1"),
    source="jinnnju/PaAno#1",
    witness=lambda loss: value(loss, LABELS, POINTS) == 0.0,
    declared={"batchwise": True},
)
def hardest_negative_at_infinity(y_true, y_pred):
    similarity = _similarity(y_pred)
    eye = ops.eye(ops.shape(similarity)[0])
    distance = 1 - ops.where(eye > 0, -float("inf"), similarity)
    farthest = ops.max(distance, axis=1)
    positive = ops.sum((1 - similarity) * _same(y_true), axis=1) / ops.sum(_same(y_true), axis=1)
    return ops.relu(positive - farthest + 0.5)


@wrong(
    "W71",
    "embedding",
    bug="degenerate batch",
    expected=("LSM1",),
    source="tensorflow/tensorflow#20253, tensorflow/addons#2447",
    witness=not_finite([0, 1, 2, 3], POINTS),
    declared={"batchwise": True},
)
def triplet_over_the_number_of_positives(y_true, y_pred):
    distance = 1 - _similarity(y_pred)
    same = _same(y_true)
    positive = same - ops.eye(ops.shape(same)[0])
    nearest = ops.min(distance + 10.0 * same, axis=1, keepdims=True)
    violations = ops.relu(distance - nearest + 1.0) * positive
    return ops.sum(violations) / ops.sum(positive)


@wrong(
    "W72",
    "embedding",
    made_with={"temperature": 0.1},
    bug="identity",
    expected=("LSM503",),
    source="RElbers/info-nce-pytorch#17",
    confidence="low",
    witness=lambda loss: value(loss, LABELS, POINTS) != value(type(loss)(1.0), LABELS, POINTS),
    declared={"batchwise": True},
)
class TemperatureOnTheNegativesOnly(keras.losses.Loss):
    def __init__(self, temperature=0.1, name="temperature_on_the_negatives_only", **options):
        super().__init__(name=name, **options)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        similarity = _similarity(y_pred)
        same = _same(y_true)
        positive = same - ops.eye(ops.shape(same)[0])
        logits = same * similarity + (1 - same) * similarity / self.temperature
        log_p = ops.log_softmax(logits - 1e9 * ops.eye(ops.shape(same)[0]), axis=-1)
        count = ops.maximum(ops.sum(positive, -1), 1.0)
        return -ops.sum(ops.where(positive > 0, log_p, 0.0), -1) / count

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


@wrong(
    "W73",
    "embedding",
    bug="no gradient",
    expected=("LSM201",),
    source="liorshk/facenet_pytorch#6",
    witness=flat(LABELS, POINTS),
    declared={"batchwise": True},
)
def triplet_of_detached_embeddings(y_true, y_pred):
    distance = 1 - _similarity(ops.stop_gradient(y_pred))
    same = _same(y_true)
    farthest = ops.max(distance * same, axis=1)
    nearest = ops.min(distance + 10.0 * same, axis=1)
    return ops.relu(farthest - nearest + 0.5)


@wrong(
    "W74",
    "embedding",
    made_with={"mining": "seminard"},
    bug="domain",
    expected=("LSM502", "LSM501"),
    source="WildlifeDatasets/wildlife-tools#24",
    confidence="medium",
    witness=lambda loss: value(loss, LABELS, POINTS) == value(type(loss)("x"), LABELS, POINTS),
    declared={"batchwise": True},
)
class TripletWithAMisspeltMining(keras.losses.Loss):
    def __init__(self, mining="seminard", name="triplet_with_a_misspelt_mining", **options):
        super().__init__(name=name, **options)
        self.mining = mining

    def call(self, y_true, y_pred):
        distance = 1 - _similarity(y_pred)
        same = _same(y_true)
        farthest = ops.max(distance * same, axis=1)
        if self.mining == "semihard":
            outside = ops.cast(distance > farthest[:, None], "float32")
            nearest = ops.min(distance + 10.0 * (1 - (1 - same) * outside), axis=1)
        else:
            nearest = ops.min(distance + 10.0 * same, axis=1)
        return ops.relu(farthest - nearest + 0.5)

    def get_config(self):
        return {**super().get_config(), "mining": self.mining}


@wrong(
    "W75",
    "embedding",
    bug="batch size",
    expected=("LSM306", "LSM302"),
    source="jxgu1016/MNIST_center_loss_pytorch#9",
    witness=couples_rows(LABELS, POINTS),
)
def centre_loss_summed_over_the_batch(y_true, y_pred):
    labels = ops.cast(ops.reshape(y_true, (-1, 1)), "float32")
    return ops.sum(ops.square(y_pred - labels)) / 2


@wrong(
    "W76",
    "categorical_logits",
    made_with={"margin": 0.5},
    bug="no effect",
    expected=("LSM501",),
    source="MccreeZhao/FR-Loss-on-Mnist#2",
    witness=lambda loss: (
        value(loss, np.eye(3), 0.5 * np.eye(3))
        == value(type(loss)(0.1), np.eye(3), 0.5 * np.eye(3))
    ),
    declared={"domain": (-1.0, 1.0)},
)
class CosineMarginThatIsDropped(keras.losses.Loss):
    def __init__(self, margin=0.5, name="cosine_margin_that_is_dropped", **options):
        super().__init__(name=name, **options)
        self.margin = margin

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, ops.shape(y_pred))
        _with_margin = 16.0 * (y_pred - self.margin * y_true)
        return keras.losses.categorical_crossentropy(y_true, 16.0 * y_pred, from_logits=True)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@wrong(
    "W77",
    "categorical_logits",
    bug="not finite",
    expected=("LSM1",),
    source="ronghuaiyang/arcface-pytorch#32, ronghuaiyang/arcface-pytorch#68",
    witness=not_finite([[1.0, 0.0]], [[1.0, 0.0]]),
    declared={"domain": (-1.0, 1.0)},
)
def arcface_with_a_bare_sine(y_true, y_pred):
    sine = ops.sqrt(1.0 - ops.square(y_pred))
    shifted = y_pred * np.cos(0.5) - sine * np.sin(0.5)
    logits = 16.0 * ops.where(y_true > 0.5, shifted, y_pred)
    return keras.losses.categorical_crossentropy(y_true, logits, from_logits=True)


@wrong(
    "W78",
    "distance",
    bug="sign",
    expected=("LSM703", "LSM206", "LSM207", "LSM208", "LSM209"),
    source="the class of keras-team/keras#7119: the margin taken from the wrong side",
    witness=cheaper([[0.0]], [[0.0]], [[2.0]]),
    declared={"same": 1},
)
def contrastive_with_the_margin_turned(y_true, y_pred):
    near = ops.square(ops.maximum(y_pred - 1.0, 0.0))
    return ops.mean(y_true * ops.square(y_pred) + (1.0 - y_true) * near, axis=-1)


@wrong(
    "W79",
    "pair",
    bug="not finite",
    expected=("LSM1",),
    source="tensorflow/tensorflow#12071, lilanxiao/Rotated_IoU#20",
    witness=not_finite([1.0], [[[0.0, 0.0], [1.0, 0.0]]]),
    declared={"same": 1},
)
def cosine_distance_of_pairs_by_norms(y_true, y_pred):
    a, b = y_pred[:, 0], y_pred[:, 1]
    norms = ops.sqrt(ops.sum(ops.square(a), -1)) * ops.sqrt(ops.sum(ops.square(b), -1))
    cosine = ops.sum(a * b, axis=-1) / norms
    same = ops.reshape(y_true, (-1,))
    return same * (1.0 - cosine) + (1.0 - same) * ops.relu(cosine - 0.2)
