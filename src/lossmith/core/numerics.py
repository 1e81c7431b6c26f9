"""What losses and distances compute with: their dtypes, and functions with a singular point.

JAX, TensorFlow and PyTorch disagree on the derivative of `maximum` at the kink, and give NaN for
that of a square root at 0. The functions here have the same finite one on each.
"""

from typing import Any

import numpy as np

from lossmith.core.backend import keras

ops = keras.ops
_HALF = ("float16", "bfloat16")


def floating(dtype: Any) -> str:
    """A dtype itself if it is floating, else that which Keras computes in."""
    name = str(keras.backend.standardize_dtype(dtype))
    return name if "float" in name else str(keras.config.floatx())


def computing(dtype: str) -> str:
    """The dtype that numbers of a floating dtype are computed in: float32 for half precision."""
    return "float32" if dtype in _HALF else dtype


def hinge(x: Any) -> Any:
    """`max(x, 0)`, with derivative 0 at 0."""
    return ops.relu(x)


def square_root(x: Any) -> Any:
    """`sqrt(x)` for `x >= 0`, with derivative 0 at 0; NaN of NaN."""
    nothing = ops.less_equal(x, 0)
    root = ops.sqrt(ops.where(nothing, ops.ones_like(x), x))
    return ops.where(nothing, ops.zeros_like(x), root)


def directions(vectors: Any) -> tuple[Any, Any]:
    """The unit vectors over the last axis (0 for a zero vector), and 1 where there is one, else 0.

    Scaling by the largest entry first keeps the squares of any vector within range. A vector whose
    entries are all subnormal counts as zero, as it does where a backend flushes them: its
    direction has a derivative that no number of its dtype holds.
    """
    if 0 in vectors.shape[:-1]:  # TensorFlow has no maximum of nothing
        return vectors, vectors[..., 0]
    # Not ops.max: PyTorch's compiler cannot follow it.
    largest = ops.amax(ops.abs(ops.stop_gradient(vectors)), axis=-1, keepdims=True)
    smallest = float(np.finfo(keras.backend.standardize_dtype(vectors.dtype)).tiny)
    scaled = vectors / ops.where(largest >= smallest, largest, ops.ones_like(largest))
    length = square_root(ops.sum(ops.square(scaled), axis=-1, keepdims=True))
    exists = ops.greater(length, 0)
    unit = scaled / ops.where(exists, length, ops.ones_like(length))
    return unit, ops.cast(exists[..., 0], vectors.dtype)


def expm1_ratio(x: Any) -> Any:
    """`(exp(x) - 1) / x` for `0 <= x <= 1`, 1 at 0, with all digits of its derivative."""
    result = ops.ones_like(x)
    for order in range(18, 1, -1):
        result = 1.0 + x * result / order
    return result
