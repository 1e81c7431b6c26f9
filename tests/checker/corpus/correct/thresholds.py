"""Losses of probabilities that have thresholds, and are right."""

import math

from keras import ops

from checker.corpus.case import correct


def _true_share(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return y_true * p + (1 - y_true) * (1 - p)


@correct("flsd-53", "binary")
def focal_by_difficulty(y_true, y_pred):
    share = _true_share(y_true, y_pred)
    gamma = ops.where(share < 0.2, 5.0, 3.0)
    return -ops.mean(ops.power(1 - share, gamma) * ops.log(share), axis=-1)


@correct("flsd-53-of-positives", "binary")
def focal_by_difficulty_of_positives(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    positive = y_true * ops.power(1 - p, ops.where(p < 0.2, 5.0, 3.0)) * ops.log(p)
    return -ops.mean(positive + (1 - y_true) * ops.square(p) * ops.log(1 - p), axis=-1)


@correct("flsd-53-of-classes", "categorical")
def focal_by_difficulty_of_classes(y_true, y_pred):
    share = ops.clip(ops.sum(y_true * y_pred, axis=-1), 1e-7, 1.0)
    gamma = ops.where(share < 0.2, 5.0, 3.0)
    return -ops.power(1 - share, gamma) * ops.log(share)


@correct("wrong-decisions-dearer", "binary")
def entropy_with_wrong_decisions_dearer(y_true, y_pred):
    share = _true_share(y_true, y_pred)
    return -ops.mean(ops.where(share < 0.5, 3.0, 1.0) * ops.log(share), axis=-1)


@correct("wrong-decisions-dearer-logits", "binary_logits")
def scores_with_wrong_decisions_dearer(y_true, y_pred):
    each = ops.softplus(y_pred) - y_true * y_pred
    wrong = ops.not_equal(y_pred > 0.0, y_true > 0.5)
    return ops.mean(each * ops.where(wrong, 3.0, 1.0), axis=-1)


@correct("bootstrapping-hard", "categorical")
def bootstrapped(y_true, y_pred, trust=0.8):
    p = ops.clip(y_pred, 1e-7, 1.0)
    decided = ops.one_hot(ops.argmax(p, axis=-1), p.shape[-1])
    return -ops.sum((trust * y_true + (1 - trust) * decided) * ops.log(p), axis=-1)


@correct("linear-below-a-share", "categorical")
def entropy_made_linear(y_true, y_pred, steepest=10.0):
    share = ops.sum(y_true * y_pred, axis=-1)
    straight = math.log(steepest) + 1.0 - steepest * share
    return ops.where(share < 1 / steepest, straight, -ops.log(ops.maximum(share, 1 / steepest)))


@correct("positives-weighted", "binary")
def positives_weighted(y_true, y_pred, weight=5.0):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.mean(weight * y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


@correct("steep-gate", "binary")
def square_with_a_steep_gate(y_true, y_pred):
    error = ops.abs(y_true - y_pred)
    return ops.mean(ops.square(error) * (1 + ops.sigmoid(40 * (error - 0.5))), axis=-1)


@correct("dice-logarithm", "binary")
def log_dice(y_true, y_pred):
    both = ops.sum(y_true * y_pred, axis=-1)
    total = ops.sum(y_true, axis=-1) + ops.sum(y_pred, axis=-1)
    return ops.log(total + 1.0) - ops.log(2 * both + 1.0)


@correct("smape-of-any-target", "regression")
def relative_to_both(y_true, y_pred):
    sizes = ops.abs(y_true) + ops.abs(y_pred) + 1e-6
    return ops.mean(2 * ops.abs(y_true - y_pred) / sizes, axis=-1)


@correct("square-far-from-zero", "regression", declared={"domain": (1e6, 1e6 + 1)})
def square_far_from_zero(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@correct("prior-of-the-batch", "categorical", tolerated=("LSM307",))
def shares_by_the_prior_of_the_batch(y_true, y_pred):
    odds = y_pred / (ops.mean(y_pred, axis=0, keepdims=True) + 1e-7)
    p = odds / ops.sum(odds, axis=-1, keepdims=True)
    return -ops.sum(y_true * ops.log(ops.clip(p, 1e-7, 1.0)), axis=-1)
