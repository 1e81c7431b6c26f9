"""Functions with a kink, given the same subgradient on every backend.

JAX, TensorFlow and PyTorch disagree on the derivative of `abs` and `maximum` at the kink, and give
NaN for that of a square root at 0. These do not.
"""

from typing import Any

import numpy as np

from lossmith.core import backend
from lossmith.core.backend import keras

ops = keras.ops


def absolute(x: Any) -> Any:
    """`|x|`, with derivative 0 at 0."""
    if backend.is_jax():
        return ops.where(ops.equal(x, 0), ops.zeros_like(x), ops.abs(x))
    return ops.abs(x)


def hinge(x: Any) -> Any:
    """`max(x, 0)`, with derivative 0 at 0."""
    return ops.relu(x)


def tilted(x: Any, right: float, left: float) -> Any:
    """`right * x` above 0 and `left * x` below, with derivative 0 at 0."""
    if backend.is_jax():
        sides = ops.where(x > 0, right * x, left * x)
        return ops.where(ops.equal(x, 0), ops.zeros_like(x), sides)
    sign = ops.stop_gradient(ops.sign(x))
    return x * (right * ops.relu(sign) + left * ops.relu(-sign))


def squared_difference(y_true: Any, y_pred: Any) -> Any:
    """`(y_true - y_pred)^2`."""
    functional = backend.torch_functional()
    if functional is not None:
        return functional.mse_loss(y_pred, y_true, reduction="none")
    return ops.square(y_pred - y_true)


def huber(y_true: Any, y_pred: Any, threshold: Any) -> Any:
    """Half the squared difference up to `threshold` (a number or a tensor), linear beyond."""
    functional = backend.torch_functional()
    if functional is not None and isinstance(threshold, float):
        return functional.huber_loss(y_pred, y_true, reduction="none", delta=threshold)
    error = y_pred - y_true
    size = ops.abs(error)
    linear = threshold * (size - 0.5 * threshold)
    return ops.where(size <= threshold, 0.5 * ops.square(error), linear)


def square_root(x: Any) -> Any:
    """`sqrt(x)` for `x >= 0`, with derivative 0 at 0."""
    positive = ops.greater(x, 0)
    root = ops.sqrt(ops.where(positive, x, ops.ones_like(x)))
    return ops.where(positive, root, ops.zeros_like(x))


def like(value: Any, tensor: Any) -> Any:
    """A number, an array or a tensor in the dtype of another tensor."""
    # TensorFlow makes a float32 tensor of a Python number first.
    value = np.asarray(value, "float64") if isinstance(value, int | float) else value
    return ops.convert_to_tensor(value, dtype=tensor.dtype)


def expm1_ratio(x: Any) -> Any:
    """`(exp(x) - 1) / x` for `0 <= x <= 1`, 1 at 0, with all digits of its derivative."""
    result = ops.ones_like(x)
    for order in range(18, 1, -1):
        result = 1.0 + x * result / order
    return result
