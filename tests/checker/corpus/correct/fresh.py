"""Correct losses that the rules had wrong when they first met them."""

import math

import keras
from keras import ops

from checker.corpus.case import correct

BATCH = {"batchwise": True}


@correct("wing-made", "regression", made_with={}, tolerated=("LSM602",))
def make_wing(width=2.0, curvature=0.5):
    joint = width - width * math.log(1.0 + width / curvature)

    def wing(y_true, y_pred):
        error = ops.abs(y_true - y_pred)
        inner = width * ops.log(1.0 + error / curvature)
        return ops.mean(ops.where(error < width, inner, error - joint), axis=-1)

    return wing


@correct("ranknet", "regression", declared=BATCH)
def ranknet(y_true, y_pred):
    target, score = ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1,))
    better = ops.cast(target[:, None] > target[None, :], "float32")
    costs = better * ops.softplus(score[None, :] - score[:, None])
    return ops.sum(costs) / ops.maximum(ops.sum(better), 1.0)


@correct("distillation", "regression")
class Distillation(keras.losses.Loss):
    def __init__(self, temperature=3.0, **options):
        super().__init__(**options)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        teacher = ops.softmax(y_true / self.temperature)
        student = ops.log_softmax(y_pred / self.temperature)
        gap = ops.sum(teacher * (ops.log(teacher + 1e-9) - student), axis=-1)
        return self.temperature**2 * gap

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


@correct("cosine-pairs", "pair", tolerated=("LSM102",))
def cosine_of_pairs(y_true, y_pred, margin=0.2):
    first, second = (ops.normalize(y_pred[:, side], axis=-1) for side in (0, 1))
    cosine, label = ops.sum(first * second, axis=-1), ops.reshape(y_true, (-1,))
    return label * (1.0 - cosine) + (1.0 - label) * ops.relu(cosine - margin)


@correct("weibull-accelerated", "survival")
def weibull(y_true, y_pred, shape=1.5):
    time, event = ops.maximum(y_true[:, 0], 1e-6), y_true[:, 1]
    scaled = shape * (ops.log(time) - y_pred[:, 0])
    return ops.exp(scaled) - event * (scaled - ops.log(time) + math.log(shape))


@correct("info-nce-of-views", "views")
def info_nce(y_true, y_pred, temperature=0.2):
    first, second = (_unit(y_pred[:, side]) for side in (0, 1))
    similarity = ops.matmul(first, ops.transpose(second)) / temperature
    right = ops.sum(first * second, axis=-1) / temperature
    return ops.logsumexp(similarity, axis=1) - right


@correct("barlow-twins", "views", declared=BATCH)
def barlow_twins(y_true, y_pred, weight=5e-3):
    first, second = (_standardised(y_pred[:, side]) for side in (0, 1))
    rows = ops.cast(ops.shape(y_pred)[0], "float32")
    correlation = ops.matmul(ops.transpose(first), second) / rows
    diagonal = ops.eye(y_pred.shape[-1])
    apart = ops.sum((1.0 - diagonal) * ops.square(correlation))
    return ops.sum(diagonal * ops.square(1.0 - correlation)) + weight * apart


@correct("sim-siam", "views")
def sim_siam(y_true, y_pred):
    first, second = y_pred[:, 0], y_pred[:, 1]
    one = ops.sum(_unit(first) * ops.stop_gradient(_unit(second)), axis=-1)
    other = ops.sum(_unit(second) * ops.stop_gradient(_unit(first)), axis=-1)
    return -0.5 * (one + other)


def _unit(rows):
    return rows / ops.sqrt(ops.sum(ops.square(rows), axis=-1, keepdims=True) + 1e-8)


def _standardised(rows):
    return (rows - ops.mean(rows, axis=0)) / ops.sqrt(ops.var(rows, axis=0) + 1e-4)
