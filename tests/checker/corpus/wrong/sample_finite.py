"""Losses of the sample that become NaN or infinite (B01 to B16, B47, B50, B81, B83)."""

import keras
import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import flat, not_finite

FINITE = ("LSM1",)
SAME_PAIRS = [[[1.0, 2.0], [1.0, 2.0]], [[0.5, 1.0], [0.5, 1.0]]]


@wrong(
    "B01",
    "pair",
    bug="not finite",
    expected=FINITE,
    source="keras-team/keras#9097, keras-team/keras#9269, tensorflow/tensorflow#30199",
    witness=not_finite([1.0, 0.0], SAME_PAIRS),
    declared={"same": 1},
)
def contrastive_with_a_root(y_true, y_pred):
    a, b = y_pred[:, 0], y_pred[:, 1]
    distance = ops.sqrt(ops.sum(ops.square(a - b), axis=-1))
    y_true = ops.reshape(ops.cast(y_true, distance.dtype), (-1,))
    far = ops.square(ops.maximum(1.0 - distance, 0.0))
    return y_true * ops.square(distance) + (1.0 - y_true) * far


@wrong(
    "B03",
    "binary",
    bug="not finite",
    expected=FINITE,
    source="Stack Overflow 48951109",
    witness=not_finite([[1.0]], [[1.0]]),
)
def crossentropy_by_hand(y_true, y_pred):
    return -ops.mean(y_true * ops.log(y_pred) + (1 - y_true) * ops.log(1 - y_pred), axis=-1)


@wrong(
    "B05",
    "segmentation",
    bug="not finite",
    expected=FINITE,
    source="nasa/delta#115, jakeret/tf_unet#74",
    witness=not_finite(np.zeros((1, 4, 4, 1)), np.zeros((1, 4, 4, 1))),
)
def dice_without_smoothing(y_true, y_pred):
    y_true = ops.reshape(y_true, (ops.shape(y_true)[0], -1))
    y_pred = ops.reshape(y_pred, (ops.shape(y_pred)[0], -1))
    both = ops.sum(y_true * y_pred, axis=-1)
    return 1 - 2 * both / (ops.sum(y_true, axis=-1) + ops.sum(y_pred, axis=-1))


@wrong(
    "B09",
    "categorical",
    bug="not finite",
    expected=FINITE,
    source="TheAlgorithms/Python#12233, google-deepmind/optax#473, keras-team/keras#2473",
    witness=not_finite([[0.0, 1.0]], [[0.4, 0.6]]),
)
def divergence_of_logs(y_true, y_pred):
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@wrong(
    "B14",
    "regression",
    bug="plateau",
    expected=("LSM204",),
    source="keras-team/keras#7993, keras-team/keras#12423",
    witness=flat([[0.0]], [[20.0]]),
)
def density_through_exp_and_log(y_true, y_pred):
    density = ops.exp(-0.5 * ops.square(y_true - y_pred)) / 2.5066
    return ops.mean(-ops.log(density + 1e-8), axis=-1)


@wrong(
    "B16",
    "boxes",
    bug="not finite",
    expected=FINITE,
    source="meituan/YOLOv6#582",
    witness=not_finite([[0.0, 0.0, 1.0, 1.0]], [[0.0, 0.0, 1.0, 1.0]]),
)
def box_loss_with_the_angle_of_the_centres(y_true, y_pred):
    dx = (y_pred[:, 0] + y_pred[:, 2] - y_true[:, 0] - y_true[:, 2]) / 2
    dy = (y_pred[:, 1] + y_pred[:, 3] - y_true[:, 1] - y_true[:, 3]) / 2
    sine = ops.abs(dy) / ops.sqrt(dx * dx + dy * dy)
    angle = 1 - 2 * ops.square(ops.arcsin(ops.minimum(sine, 0.999)) - np.pi / 4)
    return ops.mean(ops.square(y_true - y_pred), axis=-1) + angle * (dx * dx + dy * dy)


@wrong(
    "B47",
    "binary",
    bug="not finite",
    expected=("LSM1", "LSM711"),
    source="one-leaf/tensorflow#6",
    witness=not_finite([[1.0]], [[0.0]]),
)
def crossentropy_whose_clip_is_lost(y_true, y_pred):
    ops.clip(y_pred, 1e-7, 1.0 - 1e-7)
    return -ops.mean(y_true * ops.log(y_pred) + (1 - y_true) * ops.log(1 - y_pred), axis=-1)


@wrong(
    "B50",
    "segmentation",
    made_with={"dtype": "float16"},
    bug="half precision",
    expected=("LSM406", "LSM1"),
    source="qubvel-org/segmentation_models.pytorch#463",
    confidence="medium",
    witness=lambda loss: (
        not np.isfinite(np.float64(loss(np.ones((1, 512, 512, 1)), np.full((1, 512, 512, 1), 0.5))))
    ),
)
class DiceInHalfPrecision(keras.losses.Loss):
    def __init__(self, name="dice_in_half_precision", **options):
        super().__init__(name=name, **options)

    def call(self, y_true, y_pred):
        y_true = ops.reshape(y_true, (ops.shape(y_true)[0], -1))
        y_pred = ops.reshape(y_pred, (ops.shape(y_pred)[0], -1))
        both = ops.sum(y_true * y_pred, axis=-1)
        total = ops.sum(y_true, axis=-1) + ops.sum(y_pred, axis=-1)
        return 1 - (2 * both + 1) / (total + 1)


@wrong(
    "B81",
    "embedding",
    bug="degenerate batch",
    expected=FINITE,
    source="HobbitLong/SupContrast#50, HobbitLong/SupContrast#141",
    witness=not_finite([0, 1, 2], [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]),
    declared={"batchwise": True},
)
def supervised_contrastive_without_a_guard(y_true, y_pred):
    labels = ops.reshape(y_true, (-1, 1))
    count = ops.shape(labels)[0]
    embeddings = y_pred / ops.sqrt(ops.sum(ops.square(y_pred), -1, keepdims=True) + 1e-8)
    similarity = ops.matmul(embeddings, ops.transpose(embeddings)) / 0.1
    others = 1.0 - ops.eye(count)
    same = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32") * others
    peak = ops.stop_gradient(ops.max(similarity, axis=-1, keepdims=True))
    shifted = similarity - peak
    log_sum = ops.log(ops.sum(ops.exp(shifted) * others, axis=-1, keepdims=True))
    return -ops.sum(same * (shifted - log_sum), axis=-1) / ops.sum(same, axis=-1)


@wrong(
    "B83",
    "embedding",
    bug="not finite",
    expected=FINITE,
    source="tensorflow/tensorflow#12071, AsuradaYuci/understand_videobased_reid#6",
    witness=not_finite([0, 1, 1], [[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]),
    declared={"batchwise": True},
)
def pairwise_distances_by_the_gram_matrix(y_true, y_pred):
    labels = ops.reshape(y_true, (-1, 1))
    square = ops.sum(ops.square(y_pred), axis=-1, keepdims=True)
    gram = ops.matmul(y_pred, ops.transpose(y_pred))
    distance = ops.sqrt(square - 2 * gram + ops.transpose(square))
    same = ops.cast(ops.equal(labels, ops.transpose(labels)), "float32")
    far = ops.square(ops.relu(1.0 - distance))
    return ops.mean(same * ops.square(distance) + (1 - same) * far, axis=-1)
