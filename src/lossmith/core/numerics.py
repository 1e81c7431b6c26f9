"""Functions with a kink, given the same subgradient on every backend.

JAX, TensorFlow and PyTorch disagree on the derivative of `abs` and `maximum` at the kink, and give
NaN for that of a square root at 0. These do not.
"""

from typing import Any

from lossmith.core.backend import keras

ops = keras.ops


def absolute(x: Any) -> Any:
    """`|x|`, with derivative 0 at 0."""
    return x * ops.sign(x)


def hinge(x: Any) -> Any:
    """`max(x, 0)`, with derivative 0 at 0."""
    return ops.relu(x)


def square_root(x: Any) -> Any:
    """`sqrt(x)` for `x >= 0`, with derivative 0 at 0."""
    positive = ops.greater(x, 0)
    root = ops.sqrt(ops.where(positive, x, ops.ones_like(x)))
    return ops.where(positive, root, ops.zeros_like(x))
