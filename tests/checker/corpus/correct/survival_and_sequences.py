"""Correct survival, sequence and adversarial losses by hand."""

import numpy as np
from keras import ops

from checker.corpus.case import correct

BATCH = {"batchwise": True}


def _at_risk(time):
    return ops.cast(time[None, :] >= time[:, None], "float32")


def _breslow(y, p):
    total = 0.0
    for i in range(len(y)):
        if y[i, 1]:
            risk_set = y[:, 0] >= y[i, 0]
            total -= p[i, 0] - np.log(np.exp(np.float64(p[risk_set, 0])).sum())
    return total / y[:, 1].sum()


@correct("cox-breslow", "survival", declared=BATCH, oracle=_breslow)
def cox_breslow(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    log_sum = ops.logsumexp(risk[None, :] - 1e9 * (1.0 - _at_risk(time)), axis=1)
    return ops.sum((log_sum - risk) * event) / ops.maximum(ops.sum(event), 1.0)


@correct("cox-per-event", "survival", declared=BATCH)
def cox_per_event(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    log_sum = ops.logsumexp(risk[None, :] - 1e9 * (1.0 - _at_risk(time)), axis=1)
    return (log_sum - risk) * event


@correct(
    "exponential-hazard",
    "survival",
    oracle=lambda y, p: y[:, 0] * np.exp(p[:, 0]) - y[:, 1] * p[:, 0],
)
def exponential_hazard(y_true, y_pred):
    time, event = y_true[:, 0], y_true[:, 1]
    log_hazard = ops.clip(ops.reshape(y_pred, (-1,)), -50.0, 50.0)
    return time * ops.exp(log_hazard) - event * log_hazard


@correct("survival-ranking", "survival", declared=BATCH)
def ranking_of_comparable_pairs(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    later = ops.cast(time[None, :] > time[:, None], "float32") * event[:, None]
    losses = ops.softplus(-(risk[:, None] - risk[None, :])) * later
    return ops.sum(losses) / ops.maximum(ops.sum(later), 1.0)


@correct("sequence-mse", "sequence", oracle=lambda y, p: ((y - p) ** 2).mean(-1))
def squared_error_of_steps(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@correct("sequence-mae", "sequence", oracle=lambda y, p: np.abs(y - p).mean(-1))
def absolute_error_of_steps(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@correct("sequence-masked", "sequence")
def squared_error_of_valid_steps(y_true, y_pred):
    valid = ops.cast(ops.any(ops.not_equal(y_true, 0.0), axis=-1), "float32")
    error = ops.mean(ops.square(y_true - y_pred), axis=-1) * valid
    return ops.sum(error, axis=1) / ops.maximum(ops.sum(valid, axis=1), 1.0)


@correct(
    "wasserstein",
    "plus_minus",
    declared={"adversarial": True},
    oracle=lambda y, p: -(y * p).mean(-1),
)
def wasserstein_critic(y_true, y_pred):
    return -ops.mean(y_true * y_pred, axis=-1)


@correct("least-squares-gan", "binary_logits", oracle=lambda y, p: ((y - p) ** 2).mean(-1))
def least_squares_discriminator(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@correct(
    "hinge-discriminator",
    "plus_minus",
    oracle=lambda y, p: np.maximum(1 - y * p, 0).mean(-1),
)
def hinge_discriminator(y_true, y_pred):
    return ops.mean(ops.relu(1.0 - y_true * y_pred), axis=-1)


@correct(
    "non-saturating-generator",
    "binary_logits",
    declared={"adversarial": True},
    oracle=lambda y, p: (np.logaddexp(0, p) - y * p).mean(-1),
)
def non_saturating(y_true, y_pred):
    return ops.mean(ops.softplus(y_pred) - y_true * y_pred, axis=-1)


STATE = np.array([[1.0, 0.5], [-2.0, 0.4], [0.5, 0.7], [-1.0, 0.2]])
MOMENTS = np.array([[0.1, -0.3], [0.5, 0.2], [-1.0, 0.1], [0.4, -0.5]])


@correct(
    "gaussian-nll-predicted",
    "regression",
    batch=(STATE[:, :1], MOMENTS),
    oracle=lambda y, p: 0.5 * ((y - p[:, :1]) ** 2 * np.exp(-2 * p[:, 1:]))[:, 0] + p[:, 1],
)
def gaussian_nll_with_a_predicted_sigma(y_true, y_pred):
    y_true = ops.reshape(y_true, (-1, 1))
    mean, log_sigma = y_pred[:, :1], ops.clip(y_pred[:, 1:], -6.0, 6.0)
    z = (y_true - mean) * ops.exp(-log_sigma)
    return ops.mean(0.5 * ops.square(z) + log_sigma, axis=-1)
