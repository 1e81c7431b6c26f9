"""Ways to show that a loss is wrong without the checker, on the current backend."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Witness = Callable[[Any], bool]


def array(values: Any) -> np.ndarray:
    """A float32 array; integers stay integers."""
    result = np.asarray(values)
    return result if result.dtype.kind in "iu" else result.astype("float32")


def value(loss: Any, y_true: Any, y_pred: Any) -> float:
    """The mean of what the loss returns for one batch."""
    inputs = [keras.ops.convert_to_tensor(array(item)) for item in (y_true, y_pred)]
    return float(np.mean(keras.ops.convert_to_numpy(_as_one_program(_call(loss))(*inputs))))


def gradient(loss: Any, y_true: Any, y_pred: Any) -> np.ndarray:
    """The gradient of the mean in y_pred; zeros where the backend says that there is none."""
    labels, prediction = array(y_true), array(y_pred)
    call = _call(loss)

    def mean(variable: Any) -> Any:
        return keras.ops.mean(call(keras.ops.convert_to_tensor(labels), variable))

    return _GRADIENTS[keras.backend.backend()](mean, prediction)


def _call(loss: Any) -> Callable[[Any, Any], Any]:
    return loss.call if isinstance(loss, keras.losses.Loss) else loss


def _as_one_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled on JAX, whose eager calls compile each operation by itself.

    It is traced anew at every call, as its mistake may be to change from one to the next; where it
    cannot be traced, it is run as it is.
    """
    if keras.backend.backend() != "jax":
        return function
    import jax

    def call(*tensors: Any) -> Any:
        try:
            return jax.jit(lambda *traced: function(*traced))(*tensors)
        except Exception:
            return function(*tensors)

    return call


def _with_jax(function: Any, point: np.ndarray) -> np.ndarray:
    import jax

    return np.asarray(_as_one_program(jax.grad(function))(jax.numpy.asarray(point)))


def _with_tensorflow(function: Any, point: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    variable = tf.Variable(point)
    with tf.GradientTape() as tape:
        result = function(tf.convert_to_tensor(variable))
    slope = tape.gradient(result, variable)
    return np.zeros_like(point) if slope is None else np.asarray(slope)


def _with_torch(function: Any, point: np.ndarray) -> np.ndarray:
    import torch

    variable = torch.tensor(point, requires_grad=True)
    result = function(variable)
    if not result.requires_grad:
        return np.zeros_like(point)
    result.backward()
    return np.zeros_like(point) if variable.grad is None else variable.grad.numpy()


_GRADIENTS = {"jax": _with_jax, "tensorflow": _with_tensorflow, "torch": _with_torch}


def not_finite(y_true: Any, y_pred: Any) -> Witness:
    """Value or gradient is NaN or infinite at a valid input."""

    def shows(loss: Any) -> bool:
        numbers = [value(loss, y_true, y_pred), *gradient(loss, y_true, y_pred).ravel()]
        return not np.isfinite(numbers).all()

    return shows


def flat(y_true: Any, y_pred: Any) -> Witness:
    """There is no gradient at a wrong prediction."""
    return lambda loss: not gradient(loss, y_true, y_pred).any()


def cheaper(y_true: Any, worse: Any, better: Any) -> Witness:
    """A worse prediction costs less than a better one."""
    return lambda loss: value(loss, y_true, worse) < value(loss, y_true, better) - 1e-4


def equally_cheap(y_true: Any, worse: Any, better: Any) -> Witness:
    """A worse prediction costs as much as a better one."""
    return lambda loss: abs(value(loss, y_true, worse) - value(loss, y_true, better)) < 1e-4


def jumps(y_true: Any, before: Any, after: Any) -> Witness:
    """Two predictions that are nearly the same cost very different amounts."""
    return lambda loss: abs(value(loss, y_true, before) - value(loss, y_true, after)) > 0.1


def costs_at_best(y_true: Any, y_pred: Any, expected: float) -> Witness:
    """The loss has a value there that only the mistake explains."""
    return lambda loss: abs(value(loss, y_true, y_pred) - expected) < 1e-3


def couples_rows(y_true: Any, y_pred: Any) -> Witness:
    """The mean over a batch is not the mean over its rows taken one by one."""

    def shows(loss: Any) -> bool:
        rows = [
            value(loss, array(y_true)[i : i + 1], array(y_pred)[i : i + 1])
            for i in range(len(array(y_true)))
        ]
        return abs(value(loss, y_true, y_pred) - np.mean(rows)) > 1e-3

    return shows


def depends_on_order(y_true: Any, y_pred: Any) -> Witness:
    """Reversing the batch changes the value."""

    def shows(loss: Any) -> bool:
        turned = value(loss, array(y_true)[::-1].copy(), array(y_pred)[::-1].copy())
        return abs(value(loss, y_true, y_pred) - turned) > 1e-3

    return shows


def returns_shape(y_true: Any, y_pred: Any, shape: tuple[int, ...]) -> Witness:
    """What comes back has this shape, which is not one value per row."""

    def shows(loss: Any) -> bool:
        result = _call(loss)(*(keras.ops.convert_to_tensor(array(x)) for x in (y_true, y_pred)))
        return tuple(result.shape) == shape

    return shows


def forgets(**hyperparameters: Any) -> Witness:
    """The configuration does not hold these hyperparameters."""
    return lambda loss: not set(hyperparameters) <= set(loss.get_config())


def same_as(other: Any, y_true: Any, y_pred: Any) -> Witness:
    """Another value of the hyperparameter gives the same loss where it should matter."""
    return lambda loss: value(loss, y_true, y_pred) == value(other, y_true, y_pred)
