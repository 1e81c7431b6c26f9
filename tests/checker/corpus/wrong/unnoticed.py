"""Wrong losses of probabilities that the rules did not catch when they first met them."""

import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, jumps

OWN = "written for this corpus"
JUMP = {"bug": "jump", "expected": ("LSM205", "LSM206"), "source": OWN}
NO_FLOOR = {"bug": "no floor", "expected": ("LSM209",), "source": OWN}
ONE, NONE = [[1.0] * 3], [[0.0] * 3]
EMPTY = np.zeros((1, 4, 4, 1))
MUCH = 1e6


def tripled(value):
    return [[value] * 3]


@wrong("U31", "binary", witness=jumps(ONE, tripled(0.4999), tripled(0.5001)), **JUMP)
def square_weighted_by_the_decision(y_true, y_pred):
    weight = ops.where(y_pred > 0.5, 5.0, 1.0)
    return ops.mean(weight * ops.square(y_true - y_pred), axis=-1)


@wrong("U32", "categorical", **JUMP)
def classes_weighted_by_the_decision(y_true, y_pred):
    weights = ops.convert_to_tensor([1.0, 2.0, 5.0, 1.0])
    likely = ops.log(ops.clip(y_pred, 1e-7, 1.0))
    return -ops.take(weights, ops.argmax(y_pred, axis=-1)) * ops.sum(y_true * likely, axis=-1)


@wrong("U33", "binary", witness=jumps(ONE, tripled(0.6999), tripled(0.7001)), **JUMP)
def entropy_weighted_by_confidence(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    each = -y_true * ops.log(p) - (1 - y_true) * ops.log(1 - p)
    return ops.mean(ops.where(p > 0.7, 4.0, 1.0) * each, axis=-1)


@wrong("U34", "binary_logits", witness=jumps(ONE, tripled(-1e-4), tripled(1e-4)), **JUMP)
def mean_over_all_weighted_by_the_score(y_true, y_pred):
    each = ops.softplus(y_pred) - y_true * y_pred
    return ops.mean(ops.where(y_pred > 0.0, 3.0, 1.0) * each)


@wrong("U35", "binary", witness=cheaper(ONE, tripled(1.0), tripled(0.9)), **NO_FLOOR)
def positive_weight_in_both_terms(y_true, y_pred, weight=5.0):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    labels = weight * y_true
    return -ops.mean(labels * ops.log(p) + (1 - labels) * ops.log(1 - p), axis=-1)


@wrong("U36", "categorical", **NO_FLOOR)
def weighted_classes_in_both_terms(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    labels = y_true * ops.convert_to_tensor([3.0, 2.0, 4.0, 2.0])
    return -ops.sum(labels * ops.log(p) + (1 - labels) * ops.log(1 - p), axis=-1)


@wrong("U37", "binary", witness=cheaper(NONE, tripled(0.0), tripled(MUCH)), **NO_FLOOR)
def dice_smoothed_above_only(y_true, y_pred):
    both = ops.sum(y_true * y_pred, axis=-1)
    total = ops.sum(y_true, axis=-1) + ops.sum(y_pred, axis=-1)
    return 1 - (2 * both + 1) / (total + 1e-7)


@wrong("U38", "segmentation", witness=cheaper(EMPTY, EMPTY, EMPTY + 1), **NO_FLOOR)
def dice_of_images_smoothed_above_only(y_true, y_pred):
    both = ops.sum(y_true * y_pred, axis=(1, 2, 3))
    total = ops.sum(y_true, axis=(1, 2, 3)) + ops.sum(y_pred, axis=(1, 2, 3))
    return 1 - (2 * both + 1) / (total + 1e-7)


@wrong("U39", "categorical", bug="wrong axis", expected=("LSM305",), source=OWN)
def shares_of_the_samples(y_true, y_pred):
    p = y_pred / ops.sum(y_pred, axis=0, keepdims=True)
    return -ops.sum(y_true * ops.log(ops.clip(p, 1e-7, 1.0)), axis=-1)
