"""Correct losses of several predicted parameters or of boxes by their centres, with no batch."""

import math

import numpy as np
from keras import ops

from checker.corpus.case import correct

_DRAWN = np.random.default_rng(5)
TARGETS = _DRAWN.normal(0, 1, (8, 1))
MIXTURES = _DRAWN.normal(0, 1, (8, 9))


@correct("gaussian-of-two-slices", "regression")
def gaussian_of_two_slices(y_true, y_pred):
    mean, log_variance = y_pred[:, 0:1], y_pred[:, 1:2]
    scaled = ops.exp(-log_variance) * ops.square(y_true - mean)
    return ops.mean(0.5 * scaled + 0.5 * log_variance, axis=-1)


@correct("gaussian-of-a-split", "regression")
def gaussian_of_a_split(y_true, y_pred):
    mean, raw = ops.split(y_pred, 2, axis=-1)
    sigma = ops.softplus(raw) + 1e-4
    z = (y_true - mean) / sigma
    return ops.squeeze(0.5 * ops.square(z) + ops.log(sigma), axis=-1)


@correct("mixture-of-three", "regression")
def mixture_of_three(y_true, y_pred, components=3):
    weights, means = y_pred[:, :components], y_pred[:, components : 2 * components]
    log_sigmas = y_pred[:, 2 * components :]
    z = (y_true - means) * ops.exp(-log_sigmas)
    each = -0.5 * ops.square(z) - log_sigmas - 0.5 * math.log(2 * math.pi)
    return -ops.logsumexp(ops.log_softmax(weights, axis=-1) + each, axis=-1)


@correct("mixture-of-a-batch", "regression", batch=(TARGETS, MIXTURES))
def mixture_of_a_batch(y_true, y_pred):
    return mixture_of_three(y_true, y_pred)


@correct("exponential-side-and-scale", "regression", batch=(TARGETS, MIXTURES[:, :2]))
def exponential_side_and_scale(y_true, y_pred):
    error, log_scale = y_true - y_pred[:, :1], y_pred[:, 1:]
    z = ops.clip(error * ops.exp(-log_scale), -30.0, 30.0)
    return ops.mean(ops.exp(error) - error - 1.0 + 0.01 * (ops.square(z) + log_scale), axis=-1)


@correct("laplace-of-a-batch", "regression", batch=(TARGETS, MIXTURES[:, :2]))
def laplace_of_a_batch(y_true, y_pred):
    error, log_scale = ops.abs(y_true - y_pred[:, :1]), y_pred[:, 1:]
    return ops.mean(error * ops.exp(-log_scale) + log_scale, axis=-1)


@correct("five-quantiles", "regression")
def five_quantiles(y_true, y_pred, levels=(0.05, 0.25, 0.5, 0.75, 0.95)):
    q = ops.convert_to_tensor(np.asarray([levels], "float32"))
    error = y_true - y_pred
    return ops.mean(ops.maximum(q * error, (q - 1.0) * error), axis=-1)


@correct("giou-of-centres", "boxes")
def giou_of_centres_and_sizes(y_true, y_pred):
    first, last = _corners(y_true)
    start, end = _corners(y_pred)
    both = ops.prod(ops.relu(ops.minimum(last, end) - ops.maximum(first, start)), axis=-1)
    union = ops.prod(last - first, axis=-1) + ops.prod(end - start, axis=-1) - both
    hull = ops.prod(ops.maximum(last, end) - ops.minimum(first, start), axis=-1)
    return 1.0 - both / (union + 1e-7) + (hull - union) / (hull + 1e-7)


def _corners(boxes):
    centre, size = boxes[:, :2], boxes[:, 2:]
    return centre - size / 2, centre + size / 2
