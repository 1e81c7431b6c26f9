"""The losses in plain NumPy and SciPy, from their definitions: values per sample in float64."""

import numpy as np
import scipy.special


def per_sample(entries):
    """The mean over the last axis, for values per entry."""
    return np.mean(entries, axis=-1)


def squared(y, p):
    return per_sample((y - p) ** 2)


def absolute(y, p):
    return per_sample(np.abs(y - p))


def root_mean_squared(y, p, weights=None):
    if weights is not None and weights.sum() == 0:
        return 0.0
    return np.sqrt(np.average(np.mean((y - p) ** 2, axis=-1), weights=weights))


def huber(y, p, threshold=1.0):
    return per_sample(scipy.special.huber(threshold, y - p))


def pseudo_huber(y, p, threshold=1.0):
    return per_sample(scipy.special.pseudo_huber(threshold, y - p))


def log_cosh(y, p):
    return per_sample(np.log(np.cosh(y - p)))


def quantile(y, p, q=0.5):
    return per_sample(np.maximum(q * (y - p), (q - 1) * (y - p)))


def modified_huber(y, p):
    margin = y * p
    return per_sample(np.where(margin >= -1, np.maximum(0, 1 - margin) ** 2, -4 * margin))


def contrastive(y, d, margin=1.0, same=1, factor=1.0):
    alike = y if same == 1 else 1 - y
    return factor * (alike * d**2 + (1 - alike) * np.maximum(margin - d, 0) ** 2)


def asymmetric(y, p, late=3.0, power="square", doubled=False):
    cost = np.abs(y - p) ** {"square": 2, "fourth": 4}[power]
    return per_sample(np.where(y > p, late, 1) * cost * (2 if doubled else 1))


def scaled_outputs(y, p, scale=(1.0, 2.0, 4.0)):
    return per_sample(np.asarray(scale) * (y - p) ** 2)


def axis_norm(y, p, axis=-1, offset=1):
    return np.sqrt(offset + np.sum((y - p) ** 2, axis=axis))


def cross_entropy(y, p, temperature=1.0):
    scores = scipy.special.log_softmax(p / temperature, axis=-1)
    return -np.take_along_axis(scores, y[..., None], axis=-1)[..., 0]


def logistic_pairs(y, d, offset=1.0):
    return np.logaddexp(0, (2 * y - 1) * (d - offset))


def relative_error(y, p, weights=None, floor=1.0):
    weights = np.ones(len(y)) if weights is None else np.asarray(weights, float)
    rows = weights[:, None]
    return np.sum(rows * (y - p) ** 2) / (floor + np.sum(rows * y**2))
