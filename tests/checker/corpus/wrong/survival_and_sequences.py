"""Wrong survival, sequence, policy and latent losses beyond the sample (W80 to W99)."""

import numpy as np
from keras import ops

from checker.corpus.case import wrong
from checker.corpus.witness import cheaper, depends_on_order, not_finite, value

FLOOR = ("LSM206", "LSM207", "LSM208", "LSM209")
PATIENTS = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 0.0], [4.0, 1.0]])
RIGHT_ORDER = np.array([[0.0], [2.0], [1.0], [-1.0]])


def _risk_sets(time):
    """Row i holds 1 for whoever is still at risk when i's time comes."""
    return ops.cast(time[None, :] >= time[:, None], "float32")


@wrong(
    "W80",
    "survival",
    bug="sign",
    expected=(*FLOOR, "LSM703"),
    source="PathologyDataScience/SurvivalNet#30, catboost/catboost#2701",
    witness=cheaper(PATIENTS, -RIGHT_ORDER, RIGHT_ORDER),
    declared={"batchwise": True},
)
def cox_log_likelihood(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    log_sum = ops.logsumexp(risk[None, :] - 1e9 * (1 - _risk_sets(time)), axis=1)
    return ops.sum((risk - log_sum) * event) / (ops.sum(event) + 1e-7)


@wrong(
    "W81",
    "survival",
    bug="not finite",
    expected=("LSM1",),
    source="lasso-net/lassonet#52",
    witness=not_finite([[1.0, 0.0], [2.0, 0.0]], [[0.3], [0.1]]),
    declared={"batchwise": True},
)
def cox_over_the_number_of_events(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    log_sum = ops.logsumexp(risk[None, :] - 1e9 * (1 - _risk_sets(time)), axis=1)
    return -ops.sum((risk - log_sum) * event) / ops.sum(event)


@wrong(
    "W82",
    "survival",
    bug="order",
    expected=("LSM308", "LSM2", "LSM404"),
    source="Novartis/torchsurv#117, Novartis/torchsurv#141",
    witness=depends_on_order(PATIENTS, [[0.2], [1.0], [-0.5], [0.1]]),
    declared={"batchwise": True},
)
def cox_that_indexes_with_events(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    log_sum = ops.logsumexp(risk[None, :] - 1e9 * (1 - _risk_sets(time)), axis=1)
    return -ops.mean(ops.take(risk - log_sum, ops.cast(event, "int32"), axis=0))


@wrong(
    "W83",
    "survival",
    bug="wrong direction",
    expected=FLOOR,
    source="czifan/DeepSurv.pytorch#5, czifan/DeepSurv.pytorch#7",
    confidence="medium",
    witness=cheaper(PATIENTS, 3 * RIGHT_ORDER[::-1], 3 * RIGHT_ORDER),
    declared={"batchwise": True},
)
def cox_with_the_risk_sets_turned(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    earlier = ops.cast(time[None, :] <= time[:, None], "float32")
    log_sum = ops.logsumexp(risk[None, :] - 1e9 * (1 - earlier), axis=1)
    return -ops.sum((risk - log_sum) * event) / (ops.sum(event) + 1e-7)


@wrong(
    "W84",
    "survival",
    bug="not finite",
    expected=("LSM1",),
    source="jaredleekatzman/DeepSurv#71 (exp before log, summed without logsumexp)",
    witness=not_finite(PATIENTS, 100 * RIGHT_ORDER),
    declared={"batchwise": True},
)
def cox_whose_hazards_overflow(y_true, y_pred):
    time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
    log_sum = ops.log(ops.matmul(_risk_sets(time), ops.exp(risk)[:, None])[:, 0])
    return -ops.sum((risk - log_sum) * event) / (ops.sum(event) + 1e-7)


def _valid(y_true):
    """Steps whose target is not the padding value 0."""
    return ops.cast(ops.any(ops.not_equal(y_true, 0.0), axis=-1), "float32")


STEPS = np.zeros((1, 4, 3))
STEPS[0, :2] = 1.0
GUESS = np.full((1, 4, 3), 0.5)


@wrong(
    "W90",
    "sequence",
    bug="mask",
    expected=("LSM310",),
    source="d2l-ai/d2l-en#2076, tensorflow/docs#1460, tensorflow/tensorflow#39146",
    confidence="medium",
    witness=lambda loss: value(loss, STEPS, GUESS) < value(loss, STEPS[:, :2], GUESS[:, :2]) - 0.01,
    batch=(np.concatenate([STEPS, STEPS + 0]), np.concatenate([GUESS, GUESS])),
)
def masked_error_over_all_steps(y_true, y_pred):
    error = ops.mean(ops.square(y_true - y_pred), axis=-1)
    return ops.mean(error * _valid(y_true), axis=1)


@wrong(
    "W91",
    "sequence",
    bug="mask",
    expected=("LSM1", "LSM310", "LSM2"),
    source="lucidrains/voicebox-pytorch#6",
    witness=not_finite(STEPS[:, :2], GUESS[:, :2]),
)
def masked_error_over_the_padding(y_true, y_pred):
    error = ops.mean(ops.square(y_true - y_pred), axis=-1)
    valid = _valid(y_true)
    return ops.sum(error * valid, axis=1) / ops.sum(1 - valid, axis=1)


@wrong(
    "W92",
    "regression",
    bug="mask",
    expected=("LSM1", "LSM310"),
    source="keras-team/keras#14442",
    confidence="medium",
    witness=not_finite([[1.0, float("nan")]], [[0.5, 0.5]]),
    batch=(
        np.array([[1.0, np.nan, 0.3], [0.2, 0.1, -1.0], [np.nan, 1.0, 2.0], [0.5, 0.0, 1.0]]),
        np.array([[0.5, 0.1, 0.3], [0.4, 0.0, -0.5], [1.0, 0.5, 1.0], [0.1, 0.2, 0.9]]),
    ),
)
def squared_error_that_drops_nan_late(y_true, y_pred):
    known = ops.cast(ops.logical_not(ops.isnan(y_true)), "float32")
    square = ops.square(y_true - y_pred)
    return ops.sum(square * known, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)


@wrong(
    "W93",
    "sequence",
    bug="not finite",
    expected=("LSM1",),
    source="instadeepai/Mava#894",
    witness=not_finite(np.zeros((1, 4, 3)), GUESS),
)
def masked_error_over_no_steps(y_true, y_pred):
    error = ops.mean(ops.square(y_true - y_pred), axis=-1)
    valid = _valid(y_true)
    return ops.sum(error * valid, axis=1) / ops.sum(valid, axis=1)


@wrong(
    "W94",
    "sequence",
    bug="batch coupled",
    expected=("LSM307", "LSM306"),
    source="EDAPINENUT/GNTPP#4",
    witness=lambda loss: (
        value(loss, np.repeat(STEPS, 4, 0), np.repeat(GUESS, 4, 0)) > 3 * value(loss, STEPS, GUESS)
    ),
)
def error_of_all_times_the_mask(y_true, y_pred):
    valid = _valid(y_true)
    return ops.mean(ops.sum(ops.square(y_true - y_pred)) * valid, axis=1)


ACTIONS = np.array([[1.0, 0.5], [-2.0, 0.4], [0.5, 0.7], [-1.0, 0.2]])
CHOSEN = np.array([[0.6], [0.4], [0.5], [0.3]])


@wrong(
    "W95",
    "regression",
    bug="intent",
    expected=FLOOR,
    source="yandexdataschool/Practical_RL#248",
    confidence="low",
    witness=cheaper([[1.0, 0.5]], [[0.1]], [[0.55]]),
    batch=(ACTIONS, CHOSEN),
)
def clipped_policy_loss_with_max_for_minus_min(y_true, y_pred):
    advantage, old = y_true[:, :1], y_true[:, 1:]
    ratio = y_pred / old
    clipped = ops.clip(ratio, 0.8, 1.2)
    return ops.mean(ops.maximum(ratio * advantage, clipped * advantage), axis=-1)


@wrong(
    "W96",
    "regression",
    bug="intent",
    expected=FLOOR,
    source="takuseno/ppo#3, tensorforce/tensorforce#106",
    confidence="low",
    witness=lambda loss: (
        value(loss, [[-1.0, 0.5]], [[0.9]]) < value(loss, [[-1.0, 0.5]], [[1.9]]) + 1.0
    ),
    batch=(ACTIONS, CHOSEN),
)
def policy_loss_clipped_before_the_advantage(y_true, y_pred):
    advantage, old = y_true[:, :1], y_true[:, 1:]
    ratio = y_pred / old
    return -ops.mean(ops.minimum(ratio, ops.clip(ratio, 0.8, 1.2)) * advantage, axis=-1)


LATENT = np.array([[0.1, -0.2, 0.3, 0.1], [0.5, 0.4, -0.3, 0.2], [0.0, 0.1, 0.1, -0.6]])


@wrong(
    "W97",
    "regression",
    bug="sign",
    expected=FLOOR,
    source="FluxML/model-zoo#147",
    confidence="medium",
    witness=cheaper(LATENT, LATENT - 9.0 * np.array([0, 0, 1, 1]), LATENT),
    batch=(np.zeros_like(LATENT), LATENT),
)
def latent_divergence_with_the_log_added(y_true, y_pred):
    mean, log_sigma = y_pred[:, :2], y_pred[:, 2:]
    return 0.5 * ops.sum(ops.square(mean) + ops.exp(2 * log_sigma) - 1 + 2 * log_sigma, axis=-1)


@wrong(
    "W98",
    "regression",
    bug="not finite",
    expected=("LSM1",),
    source="deepchem/deepchem#4888",
    witness=not_finite(np.zeros((1, 4)), np.zeros((1, 4))),
    batch=(np.zeros_like(LATENT), LATENT),
)
def latent_divergence_of_the_squared_log(y_true, y_pred):
    mean, variance = ops.square(y_pred[:, :2]), ops.square(y_pred[:, 2:])
    return 0.5 * ops.mean(mean + variance - ops.log(variance) - 1, axis=-1)
