"""Correct regression losses that look odd, as public code writes them."""

import math

import numpy as np
from keras import ops
from scipy import stats

from checker.corpus.case import correct

POSITIVE = {"domain": (0.0, math.inf)}
BATCHWISE = {"batchwise": True}


def _column(values):
    return np.asarray(values, dtype="float32").reshape(-1, 1)


@correct(
    "crps-of-a-gaussian",
    "regression",
    oracle=lambda y, p: _crps((y - p) / 0.8).mean(-1) * 0.8,
)
def crps_of_a_gaussian(y_true, y_pred, sigma=0.8):
    z = (y_true - y_pred) / sigma
    density = ops.exp(-0.5 * ops.square(z)) / math.sqrt(2 * math.pi)
    below = 0.5 * (1.0 + ops.erf(z / math.sqrt(2.0)))
    return ops.mean(
        sigma * (z * (2.0 * below - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi)), axis=-1
    )


def _crps(z):
    return z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)


TARGETS = _column([0.3, -1.2, 2.0, 0.7, 1.1, -0.4])
SPREADS = np.random.default_rng(3).normal(0, 1, (6, 3)).astype("float32")


@correct("crps-of-a-predicted-gaussian", "regression", batch=(TARGETS, SPREADS[:, :2]))
def crps_with_a_predicted_sigma(y_true, y_pred):
    mean, sigma = y_pred[:, :1], ops.softplus(y_pred[:, 1:2]) + 1e-3
    z = (ops.reshape(y_true, (-1, 1)) - mean) / sigma
    density = ops.exp(-0.5 * ops.square(z)) / math.sqrt(2 * math.pi)
    inside = z * ops.erf(z / math.sqrt(2.0)) + 2.0 * density - 1.0 / math.sqrt(math.pi)
    return ops.squeeze(sigma * inside, axis=-1)


@correct("three-quantiles", "regression", batch=(TARGETS, SPREADS))
def three_quantiles(y_true, y_pred):
    levels = ops.convert_to_tensor([[0.1, 0.5, 0.9]])
    error = ops.reshape(y_true, (-1, 1)) - y_pred
    return ops.mean(ops.maximum(levels * error, (levels - 1.0) * error), axis=-1)


@correct("cosine-by-hand", "regression")
def cosine_proximity(y_true, y_pred):
    def unit(x):
        return x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), -1, keepdims=True), 1e-12))

    return -ops.sum(unit(y_true) * unit(y_pred), axis=-1)


@correct("poisson-by-hand", "regression", declared=POSITIVE, tolerated=("LSM211",))
def poisson(y_true, y_pred):
    return ops.mean(y_pred - y_true * ops.log(y_pred + 1e-7), axis=-1)


@correct("poisson-of-a-log-rate", "regression", oracle=lambda y, p: (np.exp(p) - y * p).mean(-1))
def poisson_of_a_log_rate(y_true, y_pred):
    return ops.mean(ops.exp(y_pred) - y_true * y_pred, axis=-1)


@correct(
    "mse-of-known-targets",
    "regression",
    batch=(np.where(np.arange(18).reshape(6, 3) % 4 == 0, np.nan, SPREADS), SPREADS[::-1].copy()),
)
def mse_where_targets_are_known(y_true, y_pred):
    known = ops.logical_not(ops.isnan(y_true))
    error = ops.where(known, y_true, y_pred) - y_pred
    count = ops.maximum(ops.sum(ops.cast(known, "float32"), axis=-1), 1.0)
    return ops.sum(ops.square(error), axis=-1) / count


@correct("huber-scaled-by-the-batch", "regression", declared=BATCHWISE)
def huber_at_the_spread_of_the_targets(y_true, y_pred):
    delta = ops.std(y_true) + 1e-6
    size = ops.abs(y_true - y_pred)
    values = ops.where(size <= delta, 0.5 * ops.square(size), delta * (size - 0.5 * delta))
    return ops.mean(values, axis=-1)


@correct("rmsle-per-row", "regression", declared=POSITIVE)
def root_mean_squared_log_error(y_true, y_pred):
    error = ops.log1p(ops.maximum(y_pred, 0.0)) - ops.log1p(y_true)
    return ops.sqrt(ops.mean(ops.square(error), axis=-1) + 1e-12)


@correct("smape", "regression", declared=POSITIVE)
def symmetric_percentage_error(y_true, y_pred):
    size = ops.abs(y_true) + ops.abs(y_pred)
    return 200.0 * ops.mean(ops.abs(y_true - y_pred) / ops.maximum(size, 1e-7), axis=-1)


@correct("negative-binomial", "regression", declared=POSITIVE)
def negative_binomial(y_true, y_pred, dispersion=0.5):
    r, rate = 1.0 / dispersion, ops.maximum(y_pred, 1e-6)
    values = (y_true + r) * ops.log(r + rate) - y_true * ops.log(rate)
    return ops.mean(values, axis=-1)


@correct("weighed-with-the-target", "regression")
def squared_error_where_large_targets_count_more(y_true, y_pred):
    return ops.mean((1.0 + ops.abs(y_true)) * ops.square(y_true - y_pred), axis=-1)


@correct("symmetric-logarithm", "regression")
def squared_error_of_signed_logarithms(y_true, y_pred):
    def squeezed(x):
        return ops.sign(x) * ops.log1p(ops.abs(x))

    return ops.mean(ops.square(squeezed(y_true) - squeezed(y_pred)), axis=-1)


@correct("over-and-under", "regression")
def cost_of_too_much_and_of_too_little(y_true, y_pred, over=1.0, under=4.0):
    error = y_pred - y_true
    return ops.mean(ops.where(error > 0, over * error, -under * error), axis=-1)


@correct("angle", "regression")
def one_minus_cosine_of_the_angle(y_true, y_pred):
    return ops.mean(1.0 - ops.cos(y_pred - y_true), axis=-1)


@correct("wrapped-degrees", "regression")
def squared_error_of_directions_in_degrees(y_true, y_pred):
    error = ops.mod(y_pred - y_true + 180.0, 360.0) - 180.0
    return ops.mean(ops.square(error), axis=-1)


@correct("log-of-mse", "regression")
def negative_psnr(y_true, y_pred):
    return 10.0 * ops.log10(ops.mean(ops.square(y_true - y_pred), axis=-1) + 1e-6)


@correct("trimmed", "regression", declared={"redescending": True})
def truncated_square(y_true, y_pred, cut=4.0):
    return ops.mean(ops.minimum(ops.square(y_true - y_pred), cut), axis=-1)


@correct("pearson", "regression", declared=BATCHWISE)
def one_minus_correlation(y_true, y_pred):
    t, p = y_true - ops.mean(y_true), y_pred - ops.mean(y_pred)
    spread = ops.sqrt((ops.sum(ops.square(t)) + 1e-8) * (ops.sum(ops.square(p)) + 1e-8))
    return 1.0 - ops.sum(t * p) / spread
