"""Correct regression losses by hand: robust, asymmetric, likelihoods and properties of a batch."""

import math

import keras
import numpy as np
from keras import ops
from scipy import special, stats

from checker.corpus.case import correct

POSITIVE = {"domain": (0.0, math.inf)}
OUTLIERS = {"redescending": True}


def _per_row(formula):
    """The oracle that averages a formula of the signed error over the last axis."""
    return lambda y, p: formula(np.float64(p) - np.float64(y)).mean(axis=-1)


def _biweight(e, c=2.0):
    return np.where(np.abs(e) <= c, c**2 / 6 * (1 - (1 - (e / c) ** 2) ** 3), c**2 / 6)


@correct("tukey", "regression", declared=OUTLIERS, oracle=_per_row(_biweight))
def tukey_biweight(y_true, y_pred, c=2.0):
    inside = 1.0 - ops.square(ops.minimum(ops.abs(y_pred - y_true) / c, 1.0))
    return ops.mean(c**2 / 6.0 * (1.0 - inside**3), axis=-1)


@correct("welsch", "regression", declared=OUTLIERS, oracle=_per_row(lambda e: -np.expm1(-(e**2))))
def welsch(y_true, y_pred):
    return ops.mean(1.0 - ops.exp(-ops.square(y_pred - y_true)), axis=-1)


@correct(
    "geman-mcclure", "regression", declared=OUTLIERS, oracle=_per_row(lambda e: 1 - 1 / (1 + e**2))
)
def geman_mcclure(y_true, y_pred):
    square = ops.square(y_pred - y_true)
    return ops.mean(square / (1.0 + square), axis=-1)


@correct("cauchy", "regression", oracle=_per_row(lambda e: -stats.cauchy.logpdf(e) - np.log(np.pi)))
def cauchy(y_true, y_pred):
    return ops.mean(ops.log1p(ops.square(y_pred - y_true)), axis=-1)


def _barron(e, alpha=1.5, c=1.0):
    z = (e / c) ** 2 / abs(alpha - 2)
    return abs(alpha - 2) / alpha * ((z + 1) ** (alpha / 2) - 1)


@correct("barron-1.5", "regression", oracle=_per_row(_barron))
def general_robust_loss(y_true, y_pred, alpha=1.5, c=1.0):
    distance = abs(alpha - 2.0)
    z = ops.square((y_pred - y_true) / c) / distance
    return ops.mean(distance / alpha * ((z + 1.0) ** (alpha / 2.0) - 1.0), axis=-1)


@correct("charbonnier", "regression", oracle=_per_row(lambda e: np.hypot(e, 1e-3)))
def charbonnier(y_true, y_pred):
    return ops.mean(ops.sqrt(ops.square(y_pred - y_true) + 1e-6), axis=-1)


@correct("smooth-l1", "regression", oracle=_per_row(lambda e: special.huber(0.3, e) / 0.3))
def smooth_l1(y_true, y_pred, beta=0.3):
    error = ops.abs(y_pred - y_true)
    values = ops.where(error < beta, 0.5 * ops.square(error) / beta, error - 0.5 * beta)
    return ops.mean(values, axis=-1)


@correct("huber-by-hand", "regression", oracle=_per_row(lambda e: special.huber(2.5, e)))
def huber_by_hand(y_true, y_pred, delta=2.5):
    error = ops.abs(y_pred - y_true)
    quadratic = ops.minimum(error, delta)
    return ops.mean(0.5 * ops.square(quadratic) + delta * (error - quadratic), axis=-1)


@correct(
    "berhu",
    "regression",
    oracle=_per_row(lambda e: np.where(np.abs(e) <= 0.8, np.abs(e), (e**2 + 0.64) / 1.6)),
)
def reversed_huber(y_true, y_pred, c=0.8):
    error = ops.abs(y_pred - y_true)
    return ops.mean(ops.where(error <= c, error, (ops.square(error) + c**2) / (2.0 * c)), axis=-1)


def _wing(e, w=1.5, epsilon=0.5):
    shift = w - w * np.log1p(w / epsilon)
    size = np.abs(e)
    return np.where(size < w, w * np.log1p(size / epsilon), size - shift)


@correct("wing", "regression", oracle=_per_row(_wing))
def wing(y_true, y_pred, w=1.5, epsilon=0.5):
    error = ops.abs(y_pred - y_true)
    shift = w - w * math.log1p(w / epsilon)
    return ops.mean(ops.where(error < w, w * ops.log1p(error / epsilon), error - shift), axis=-1)


@correct("linex", "regression", oracle=_per_row(lambda e: np.expm1(0.5 * e) - 0.5 * e))
def linex(y_true, y_pred, a=0.5):
    error = ops.clip(y_pred - y_true, -60.0, 60.0)
    return ops.mean(ops.exp(a * error) - a * error - 1.0, axis=-1)


@correct("asymmetric-mse", "regression", oracle=_per_row(lambda e: np.where(e < 0, 5, 1) * e**2))
def late_costs_five_times_early(y_true, y_pred):
    error = y_pred - y_true
    return ops.mean(ops.where(error < 0, 5.0, 1.0) * ops.square(error), axis=-1)


@correct("expectile", "regression", oracle=_per_row(lambda e: np.where(e < 0, 0.8, 0.2) * e**2))
def expectile(y_true, y_pred, tau=0.8):
    error = y_true - y_pred
    return ops.mean(ops.abs(tau - ops.cast(error < 0, error.dtype)) * ops.square(error), axis=-1)


@correct("pinball", "regression", oracle=_per_row(lambda e: np.maximum(-0.9 * e, 0.1 * e)))
def pinball(y_true, y_pred, q=0.9):
    error = y_true - y_pred
    return ops.mean(ops.maximum(q * error, (q - 1.0) * error), axis=-1)


@correct(
    "quantile-huber",
    "regression",
    oracle=_per_row(lambda e: np.where(e < 0, 0.7, 0.3) * special.huber(1.0, e)),
)
def quantile_huber(y_true, y_pred, tau=0.7):
    error = y_true - y_pred
    size = ops.abs(error)
    rounded = ops.where(size <= 1.0, 0.5 * ops.square(error), size - 0.5)
    return ops.mean(ops.where(error > 0, tau, 1.0 - tau) * rounded, axis=-1)


@correct(
    "epsilon-insensitive",
    "regression",
    tolerated=("LSM204",),
    oracle=_per_row(lambda e: np.maximum(np.abs(e) - 0.2, 0)),
)
def epsilon_insensitive(y_true, y_pred, epsilon=0.2):
    return ops.mean(ops.relu(ops.abs(y_true - y_pred) - epsilon), axis=-1)


@correct("log-cosh-stable", "regression", oracle=_per_row(lambda e: np.log(np.cosh(e))))
def log_cosh_stable(y_true, y_pred):
    error = ops.abs(y_pred - y_true)
    return ops.mean(error + ops.softplus(-2.0 * error) - math.log(2.0), axis=-1)


@correct("gaussian-nll", "regression", oracle=_per_row(lambda e: -stats.norm.logpdf(e, scale=0.1)))
def gaussian_nll_of_a_known_sigma(y_true, y_pred, sigma=0.1):
    z = (y_true - y_pred) / sigma
    return ops.mean(0.5 * ops.square(z) + math.log(sigma * math.sqrt(2 * math.pi)), axis=-1)


@correct("laplace-nll", "regression", oracle=_per_row(lambda e: -stats.laplace.logpdf(e)))
def laplace_nll(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred) + math.log(2.0), axis=-1)


@correct("student-t", "regression", oracle=_per_row(lambda e: -stats.t.logpdf(e, 4)))
def student_t_nll(y_true, y_pred, freedom=4.0):
    norm = special.gammaln(freedom / 2) - special.gammaln((freedom + 1) / 2)
    norm += 0.5 * math.log(freedom * math.pi)
    tail = ops.log1p(ops.square(y_true - y_pred) / freedom)
    return ops.mean(float(norm) + 0.5 * (freedom + 1.0) * tail, axis=-1)


@correct(
    "mape-guarded",
    "regression",
    oracle=lambda y, p: (np.abs(y - p) / np.maximum(np.abs(y), 1e-3)).mean(axis=-1),
)
def percentage_error_guarded(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred) / ops.maximum(ops.abs(y_true), 1e-3), axis=-1)


@correct(
    "gamma-deviance",
    "regression",
    declared=POSITIVE,
    oracle=lambda y, p: 2 * (np.log(p / y) + y / p - 1).mean(axis=-1),
)
def gamma_deviance(y_true, y_pred):
    ratio = y_true / ops.maximum(y_pred, 1e-7)
    return 2.0 * ops.mean(ratio - ops.log(ops.maximum(ratio, 1e-7)) - 1.0, axis=-1)


@correct(
    "tweedie-1.5",
    "regression",
    declared=POSITIVE,
    oracle=lambda y, p: (2 * y * p**-0.5 + 2 * p**0.5).mean(axis=-1),
)
def tweedie(y_true, y_pred, power=1.5):
    mean = ops.maximum(y_pred, 1e-6)
    pull = y_true * mean ** (1.0 - power) / (1.0 - power)
    return ops.mean(mean ** (2.0 - power) / (2.0 - power) - pull, axis=-1)


@correct(
    "rmse-guarded",
    "regression",
    declared={"batchwise": True},
    oracle=lambda y, p: np.sqrt(np.mean((np.float64(y) - p) ** 2) + 1e-12),
)
def root_mean_squared_error_guarded(y_true, y_pred):
    return ops.sqrt(ops.mean(ops.square(y_true - y_pred)) + 1e-12)


def _concordance(y, p):
    covariance = np.mean((y - y.mean()) * (p - p.mean()))
    return 1 - 2 * covariance / (y.var() + p.var() + (y.mean() - p.mean()) ** 2 + 1e-7)


@correct("concordance", "regression", declared={"batchwise": True}, oracle=_concordance)
def one_minus_concordance(y_true, y_pred):
    mean_t, mean_p = ops.mean(y_true), ops.mean(y_pred)
    covariance = ops.mean((y_true - mean_t) * (y_pred - mean_p))
    spread = ops.var(y_true) + ops.var(y_pred) + ops.square(mean_t - mean_p)
    return 1.0 - 2.0 * covariance / (spread + 1e-7)


@correct(
    "nonnegative-mse",
    "regression",
    declared=POSITIVE,
    oracle=lambda y, p: ((y - p) ** 2).mean(axis=-1),
)
def squared_error_with_a_penalty_below_zero(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred) + 10.0 * ops.square(ops.relu(-y_pred)), axis=-1)


@correct(
    "mse-of-known",
    "regression",
    oracle=lambda y, p: ((np.float64(y) - p) ** 2).mean(axis=-1),
)
def squared_error_of_known_targets(y_true, y_pred):
    known = ops.logical_not(ops.isnan(y_true))
    target = ops.where(known, y_true, 0.0)
    square = ops.where(known, ops.square(target - y_pred), 0.0)
    count = ops.sum(ops.cast(known, square.dtype), axis=-1)
    return ops.sum(square, axis=-1) / ops.maximum(count, 1.0)


@correct(
    "weighted-columns",
    "regression",
    made_with={"weight": 0.3},
    oracle=lambda y, p: 0.3 * (y - p).__pow__(2).mean(-1) + 0.7 * np.abs(y - p).mean(-1),
)
@keras.saving.register_keras_serializable("corpus")
class SquareAndAbsoluteError(keras.losses.Loss):
    def __init__(self, weight=0.5, name="square_and_absolute_error", **options):
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must lie between 0 and 1, got {weight}")
        super().__init__(name=name, **options)
        self.weight = weight

    def call(self, y_true, y_pred):
        error = ops.reshape(y_true, ops.shape(y_pred)) - y_pred
        both = self.weight * ops.square(error) + (1.0 - self.weight) * ops.abs(error)
        return ops.mean(both, axis=-1)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}
