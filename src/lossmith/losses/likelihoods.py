"""Negative log-likelihoods of an error: losses whose scale and shape can be learned.

`e = y_true - y_pred` throughout. Each is the negative logarithm of a probability density, with its
normalising term: a larger scale makes every error cheaper and every prediction dearer, so that
minimising over the scale (or the shape) finds the one that fits the errors. The value may be
negative, as a density may exceed 1.

>>> import lossmith as ls
>>> ls.losses.cauchy_likelihood(scale=ls.learned(1.0))
CauchyLikelihood(scale=learned(1.0))
"""

import math
from typing import Annotated, Any, TypeAlias

import annotated_types as at
import numpy as np

from lossmith.core import Loss, Positive, backend, numerics
from lossmith.core.backend import keras, like

ops = keras.ops
AdaptiveShape: TypeAlias = Annotated[float, at.Ge(0), at.Le(2)]
"""The shapes for which Barron's loss has a normalised likelihood and is no steeper than Gauss'."""


class GaussianLikelihood(Loss):
    """Negative log-likelihood of a normal error: `e^2 / (2 s^2) + log(s) + log(2 pi) / 2`.

    With `s = scale` fixed it trains as the squared error does; with a learned scale it also finds
    the standard deviation of the errors. Use it where errors are normal, or to weigh several
    outputs against each other; a single outlier can move it as far as it likes.

    Shapes: y_true and y_pred of one shape, any real numbers. Convex in the error, smooth.

    Args:
        scale: the standard deviation; greater than 0. May be learned.

    Relations: `student_t_likelihood` as `df` grows; `general_adaptive(alpha=2)`.

    >>> import lossmith as ls
    >>> print(f"{ls.losses.gaussian_likelihood([0.0], [1.0]):.4f}")
    1.4189
    """

    by_entry = True
    learnable = ("scale",)
    scale: Positive = 1.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The negative log-density of each error."""
        scaled = (y_pred - y_true) / self.scale
        return 0.5 * ops.square(scaled) + _log(self.scale, y_pred) + 0.5 * math.log(2.0 * math.pi)


class LaplaceLikelihood(Loss):
    """Negative log-likelihood of a Laplace error: `|e| / b + log(2 b)`, with `b = scale`.

    With the scale fixed it trains as the absolute error does: its minimiser is the median. Its
    learned scale is the mean absolute error. The slope at `e = 0` is 0 on every backend.

    Shapes: y_true and y_pred of one shape, any real numbers. Convex in the error, kink at 0.

    Args:
        scale: the mean absolute error; greater than 0. May be learned.

    Relations: `mean_absolute_error / scale` but for a constant.

    >>> import lossmith as ls
    >>> print(f"{ls.losses.laplace_likelihood([0.0], [1.0]):.4f}")
    1.6931
    """

    by_entry = True
    learnable = ("scale",)
    scale: Positive = 1.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The negative log-density of each error."""
        size = backend.absolute(y_pred - y_true) / self.scale
        return size + _log(self.scale, y_pred) + math.log(2.0)


class CauchyLikelihood(Loss):
    """Negative log-likelihood of a Cauchy error: `log(1 + (e / g)^2) + log(pi g)`, `g = scale`.

    Far errors pull less the further they are, so that outliers in y_true hardly move the fit. Not
    convex: start from a fit with `huber` or a large scale where errors are far out. The learned
    scale is half the distance between the quartiles of Cauchy errors.

    Shapes: y_true and y_pred of one shape, any real numbers. Smooth.

    Args:
        scale: half the width of the density at half its height; greater than 0. May be learned.

    Relations: `student_t_likelihood(df=1)`; `general_adaptive(alpha=0)` with scale `g / sqrt(2)`.

    >>> import lossmith as ls
    >>> print(f"{ls.losses.cauchy_likelihood([0.0], [1.0]):.4f}")
    1.8379
    """

    by_entry = True
    learnable = ("scale",)
    scale: Positive = 1.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The negative log-density of each error."""
        return (
            _log1p_square((y_pred - y_true) / self.scale)
            + _log(self.scale, y_pred)
            + math.log(math.pi)
        )


class StudentTLikelihood(Loss):
    """Negative log-likelihood of a Student-t error with `v = df` and `s = scale`.

    `(v + 1) / 2 log(1 + (e / s)^2 / v) + log(s) + log(v pi) / 2 + log(G(v / 2) / G((v + 1) / 2))`,
    G the gamma function. Between Cauchy's (`v = 1`) and Gauss' (`v` large); a learned `df` says
    how heavy the tails of the errors are.

    Shapes: y_true and y_pred of one shape, any real numbers. Smooth, not convex.

    Args:
        df: the degrees of freedom; greater than 0. May be learned.
        scale: the spread of the errors; greater than 0. May be learned.

    Reference: Lange, Little and Taylor, "Robust Statistical Modeling Using the t Distribution",
    Journal of the American Statistical Association 84 (1989).

    >>> import lossmith as ls
    >>> print(f"{ls.losses.student_t_likelihood(df=1.0)([0.0], [1.0]):.4f}")
    1.8379
    """

    by_entry = True
    learnable = ("df", "scale")
    df: Positive = 4.0
    scale: Positive = 1.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The negative log-density of each error."""
        df = like(self.df, y_pred)
        scaled = (y_pred - y_true) / (self.scale * ops.sqrt(df))
        gammas = backend.log_gamma(0.5 * df) - backend.log_gamma(0.5 * (df + 1.0))
        constant = gammas + 0.5 * ops.log(math.pi * df) + _log(self.scale, y_pred)
        return 0.5 * (df + 1.0) * _log1p_square(scaled) + constant


class GeneralAdaptive(Loss):
    """Barron's general robust loss, as the negative logarithm of a probability density.

    `r(e / c, a) + log(c) + log(Z(a))` with `a = alpha`, `c = scale`,
    `r(x, a) = |a - 2| / a ((x^2 / |a - 2| + 1)^(a / 2) - 1)` and Z(a) the integral of
    `exp(-r(x, a))` over the real line. One family from Gauss (`alpha = 2`) over the smooth L1 or
    Charbonnier loss (`alpha = 1`) to Cauchy (`alpha = 0`): with both learned, one training finds
    how heavy the tails of the errors are, where a grid search would need many.

    Near 0 all of them are `x^2 / 2`, so that `scale` is the size of the errors that count as
    small. The normalising term is computed by quadrature, to the precision of the dtype.

    Shapes: y_true and y_pred of one shape, any real numbers. Smooth; convex from `alpha = 1` up.

    Args:
        alpha: the shape, from 0 to 2. May be learned.
        scale: the scale of the errors; greater than 0. May be learned.

    Relations: `gaussian_likelihood` at `alpha = 2`; `cauchy_likelihood(scale=sqrt(2) c)` at 0;
    `pseudo_huber / c^2` of threshold c, but for a constant, at 1.

    Reference: Barron, "A General and Adaptive Robust Loss Function", CVPR 2019.

    >>> import lossmith as ls
    >>> print(f"{ls.losses.general_adaptive(alpha=2.0)([0.0], [1.0]):.4f}")
    1.4189
    """

    by_entry = True
    learnable = ("alpha", "scale")
    alpha: AdaptiveShape = 1.0
    scale: Positive = 1.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The negative log-density of each error."""
        alpha = like(self.alpha, y_pred)
        beta = _at_least(_epsilon(alpha), 2.0 - alpha)
        square = ops.square((y_pred - y_true) / self.scale)
        penalty = _penalty(_log_ratio(square, beta), alpha, beta)
        return penalty + _log_partition(alpha, beta) + _log(self.scale, y_pred)


def _log(value: Any, tensor: Any) -> Any:
    return ops.log(like(value, tensor))


def _epsilon(tensor: Any) -> float:
    return float(np.finfo(keras.backend.standardize_dtype(tensor.dtype)).eps)


def _at_least(least: float, x: Any) -> Any:
    # Keras' maximum of a float64 tensor and a number is computed in float32 on torch.
    return ops.where(x > least, x, ops.full_like(x, least))


def _up_to_1(x: Any) -> tuple[Any, Any, Any]:
    """Whether x is below 1; x there and 1 elsewhere; x elsewhere and 1 there."""
    below, one = x < 1.0, ops.ones_like(x)
    return below, ops.where(below, x, one), ops.where(below, one, x)


def _log1p_square(x: Any) -> Any:
    """`log(1 + x^2)`, where the square may overflow."""
    is_near, near, far = _up_to_1(ops.abs(x))
    beyond = 2.0 * ops.log(far) + ops.log1p(1.0 / ops.square(far))
    return ops.where(is_near, ops.log1p(ops.square(near)), beyond)


def _log_ratio(square: Any, beta: Any) -> Any:
    """`log(1 + square / beta)`, where the quotient may overflow."""
    is_near, near, far = _up_to_1(square)
    return ops.where(is_near, ops.log1p(near / beta), ops.log(far + beta) - ops.log(beta))


def _penalty(log_ratio: Any, alpha: Any, beta: Any) -> Any:
    """`beta / alpha (exp(alpha log_ratio / 2) - 1)`, also where alpha or beta is 0."""
    exponent = 0.5 * alpha * log_ratio
    is_near, near, far = _up_to_1(exponent)
    small = 0.5 * beta * log_ratio * numerics.expm1_ratio(near)
    # An alpha of 0 is near everywhere; 1 stands in for it where the result is not used.
    divisor = ops.where(is_near, ops.ones_like(exponent), alpha * ops.ones_like(exponent))
    large = (ops.exp(far + ops.log(beta)) - beta) / divisor
    return ops.where(is_near, small, large)


# Nodes of the trapezoidal rule in t, where x = sqrt(beta) sinh(t) makes the integrand of Z
# analytic with tails that fall off exponentially, so that the rule is exact to rounding.
_STEP = 0.1
_LOG_COSH = np.logaddexp(*(sign * np.arange(0.0, 37.0, _STEP) for sign in (1, -1))) - math.log(2.0)
_LOG_WEIGHT = np.log(np.where(_LOG_COSH == 0.0, _STEP, 2.0 * _STEP))


def _log_partition(alpha: Any, beta: Any) -> Any:
    """`log(Z(alpha))` of Barron's density."""
    log_cosh, log_weight = like(_LOG_COSH, alpha), like(_LOG_WEIGHT, alpha)
    terms = log_weight + log_cosh - _penalty(2.0 * log_cosh, alpha, beta)
    return ops.logsumexp(terms) + 0.5 * ops.log(beta)


gaussian_likelihood = GaussianLikelihood()
laplace_likelihood = LaplaceLikelihood()
cauchy_likelihood = CauchyLikelihood()
student_t_likelihood = StudentTLikelihood()
general_adaptive = GeneralAdaptive()
