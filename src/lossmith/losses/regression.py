"""Losses of an error: how far a prediction is from its target.

`e = y_true - y_pred` throughout. Except for `root_mean_squared_error` each gives a value per
sample, the mean over the last axis, and takes weights and masks per sample or per time step.
"""

from typing import Any

import numpy as np

from lossmith.core import Fraction, Loss, Positive, backend
from lossmith.core.backend import absolute, keras, squared_difference, tilted
from lossmith.core.numerics import square_root
from lossmith.core.reduction import mean

ops = keras.ops

_LINEAR_FROM = 20.0
"""`log(cosh(e))` is `|e| - log(2)` from here on, to the last digit of float64."""


class MeanSquaredError(Loss):
    """Squared error: `e^2`.

    Its minimiser is the mean of the target. Use it for errors that are close to normal; a single
    outlier can move the fit as far as it likes (then: `huber`). Convex, smooth, unbounded slope.

    Shapes: y_true and y_pred of one shape, any real numbers.

    Relations: `2 * huber` as its threshold grows; the square of `root_mean_squared_error`.

    >>> import lossmith as ls
    >>> float(ls.losses.mean_squared_error([0.0, 0.0], [1.0, 3.0]))
    5.0
    """

    by_entry = True
    aliases = ("mse", "MSE")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The squared error of each entry."""
        return squared_difference(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """Absolute error: `|e|`, with slope 0 at `e = 0` on every backend.

    Its minimiser is the median of the target. Robust to outliers in y_true; the constant slope
    makes the last steps coarse (then: `huber`, `log_cosh`). Convex, 1-Lipschitz, kink at 0.

    Shapes: y_true and y_pred of one shape, any real numbers.

    Relations: `huber / threshold` as the threshold goes to 0; `2 * quantile(q=0.5)`.

    >>> import lossmith as ls
    >>> float(ls.losses.mean_absolute_error([0.0, 0.0], [1.0, -3.0]))
    2.0
    """

    by_entry = True
    aliases = ("mae", "MAE")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The absolute error of each entry."""
        return absolute(y_pred - y_true)


class RootMeanSquaredError(Loss):
    """Root mean squared error: `sqrt(mean(e^2))`, one number for the batch.

    It has the unit of the target. As a loss it is a property of the batch: the mean over batches
    is not the figure of the whole set, and its slope does not shrink near the fit, so that plain
    gradient descent ends in a cycle; for training prefer `mean_squared_error`, which has the same
    minimiser. The gradient at an exact fit is 0, where the formula as written gives NaN.

    Weights: `sqrt(sum(w e^2) / sum(w))`, so that a weight k is the row repeated k times; the
    reduction does not matter. All weights 0 give 0.

    Shapes: y_true and y_pred of one shape, any real numbers. Batchwise.

    >>> import lossmith as ls
    >>> print(f"{ls.losses.root_mean_squared_error([0.0, 0.0], [1.0, 7.0]):.1f}")
    5.0
    """

    batchwise = True
    aliases = ("rmse", "RMSE")

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The root of the weighted mean square."""
        return square_root(mean(squared_difference(y_true, y_pred), sample_weight))


class Huber(Loss):
    """Quadratic up to `threshold`, linear beyond.

    `e^2 / 2` where `|e| <= threshold`, else `threshold * (|e| - threshold / 2)`.

    The squared error's precision near 0 and the absolute error's robustness to outliers in y_true:
    an error beyond the threshold pulls with constant force. `threshold = 1.345 s`, with s the scale
    of the errors, keeps 95% of the efficiency at the normal distribution. It does not help against
    outliers in the inputs (leverage points). Do not choose the threshold by the loss itself: the
    smallest always wins.

    Shapes: y_true and y_pred of one shape, any real numbers. Convex, once differentiable,
    `threshold`-Lipschitz.

    Args:
        threshold: where the loss turns linear, in units of the error; greater than 0.

    Relations: `mean_squared_error / 2` as `threshold` grows, `threshold * mean_absolute_error` as
    it shrinks; `pseudo_huber` is its smooth twin; PyTorch's SmoothL1(beta) is `huber / beta`.

    Reference: Huber, "Robust Estimation of a Location Parameter", Annals of
    Mathematical Statistics 35 (1964).

    >>> import lossmith as ls
    >>> [float(v) for v in ls.losses.huber(threshold=2.0).values([0.0, 0.0], [1.0, 5.0])]
    [0.5, 8.0]
    """

    by_entry = True
    threshold: Positive = 1.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Half the squared error up to the threshold, linear beyond."""
        return backend.huber(y_true, y_pred, self.threshold)


class PseudoHuber(Loss):
    """Smooth approximation of Huber's loss: `t^2 (sqrt(1 + (e / t)^2) - 1)`, t = threshold.

    Derivatives of all orders are continuous; about `e^2 / 2` for small errors, slope `threshold`
    for large ones. Use it where an optimizer wants second derivatives; `huber` is cheaper.

    Shapes: y_true and y_pred of one shape, any real numbers. Strictly convex,
    `threshold`-Lipschitz, and never above `huber`.

    Args:
        threshold: sets where the loss turns linear; greater than 0.

    Relations: lies between `huber - threshold^2 / 2` and `huber` of the same threshold.

    Reference: Charbonnier et al., "Deterministic Edge-Preserving Regularization in Computed
    Imaging", IEEE Transactions on Image Processing 6 (1997).

    >>> import lossmith as ls
    >>> print(f"{ls.losses.pseudo_huber([0.0], [0.75]):.4f}")
    0.2500
    """

    by_entry = True
    threshold: Positive = 1.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The smooth Huber loss of each entry, without cancellation at small errors."""
        error = _flat(y_pred - y_true)
        ratio = ops.clip(error / self.threshold, -1e18, 1e18)
        steepness = 1.0 + ops.sqrt(1.0 + ops.square(ratio))
        if _square_overflows(self.threshold, error.dtype):
            values = error * (error / steepness)
        else:
            values = self.threshold * error * (ratio / steepness)
        return ops.reshape(values, ops.shape(y_pred))


class LogCosh(Loss):
    """Logarithm of the hyperbolic cosine: `log(cosh(e))`.

    About `e^2 / 2` for small errors and `|e| - log 2` for large ones: Huber's shape at threshold 1
    without a hyperparameter, smooth everywhere. Rescale the target to move the turning point.

    Shapes: y_true and y_pred of one shape, any real numbers. Strictly convex, 1-Lipschitz.

    Relations: between `pseudo_huber(threshold=1)` and `mean_squared_error / 2` near 0.

    >>> import lossmith as ls
    >>> print(f"{ls.losses.log_cosh([0.0], [1.0]):.4f}")
    0.4338
    """

    by_entry = True
    aliases = ("logcosh",)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`log(cosh(e))` of each entry, without overflow."""
        error = _flat(y_pred - y_true)
        size = ops.abs(error)
        near = ops.abs(ops.clip(error, -_LINEAR_FROM, _LINEAR_FROM))
        # cosh(e) = 1 + expm1(e)^2 / (2 exp(e)) does not cancel near 0.
        growth = ops.expm1(near)
        excess = ops.square(growth) / (2.0 * (1.0 + growth))
        values = ops.log1p(excess) + (size - near)
        return ops.reshape(values, ops.shape(y_pred))


class Quantile(Loss):
    """Quantile (pinball) loss: `q e` where `e >= 0`, else `(q - 1) e`.

    Its minimiser is the q-quantile of the target: `q = 0.9` costs a prediction that is too low
    nine times as much as one that is too high, and nine of ten targets end up below the
    prediction. Use several to predict an interval. Slope at `e = 0`: 0 on every backend.

    Shapes: y_true and y_pred of one shape, any real numbers. Convex, `max(q, 1 - q)`-Lipschitz.

    Args:
        q: the quantile, strictly between 0 and 1.

    Relations: `q = 0.5` is half the absolute error.

    Reference: Koenker and Bassett, "Regression Quantiles", Econometrica 46 (1978).

    >>> import lossmith as ls
    >>> [float(v) for v in ls.losses.quantile(q=0.75).values([2.0, -2.0], [0.0, 0.0])]
    [1.5, 0.5]
    """

    by_entry = True
    aliases = ("pinball",)
    q: Fraction = 0.5

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The tilted absolute error of each entry."""
        return tilted(y_true - y_pred, self.q, self.q - 1.0)


def _flat(error: Any) -> Any:
    # On XLA's CPU these formulas take up to twice as long over `(N, 1)` as over `(N,)`.
    return ops.reshape(error, (-1,))


def _square_overflows(threshold: Any, dtype: Any) -> bool:
    """Whether `threshold * error` may overflow where an error's own square does not."""
    largest = float(np.finfo(keras.backend.standardize_dtype(dtype)).max)
    return isinstance(threshold, float) and threshold**2 > largest


mean_squared_error = MeanSquaredError()
mean_absolute_error = MeanAbsoluteError()
root_mean_squared_error = RootMeanSquaredError()
huber = Huber()
pseudo_huber = PseudoHuber()
log_cosh = LogCosh()
quantile = Quantile()
