"""Value and gradient of a loss, in every way the backend that runs can compute them."""

import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Loss = Callable[[Any, Any], Any]
Step = Callable[[], tuple[Any, Any]]


def steps(loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Step]:
    """Return a step per mode; each gives the value and the gradient in y_pred, computed."""
    makers = {"jax": _jax_steps, "tensorflow": _tensorflow_steps, "torch": _torch_steps}
    return makers[keras.backend.backend()](loss, y_true, y_pred)


def _jax_steps(loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Step]:
    import jax

    y, p = jax.numpy.asarray(y_true), jax.numpy.asarray(y_pred)
    eager = jax.value_and_grad(loss, argnums=1)
    compiled = jax.jit(eager)
    return {
        "eager": lambda: jax.block_until_ready(eager(y, p)),
        "jit": lambda: jax.block_until_ready(compiled(y, p)),
    }


def _tensorflow_steps(loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Step]:
    import tensorflow as tf

    y, p = tf.constant(y_true), tf.constant(y_pred)

    def step(y: Any, p: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = loss(y, p)
        return value, tape.gradient(value, p)

    graph = tf.function(step, autograph=False)
    xla = tf.function(step, autograph=False, jit_compile=True)
    return {
        "eager": lambda: step(y, p),
        "function": lambda: graph(y, p),
        "function, XLA": lambda: xla(y, p),
    }


def _torch_steps(loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Step]:
    import torch

    y, p = torch.tensor(y_true), torch.tensor(y_pred, requires_grad=True)
    compiled = torch.compile(_with_code_of_its_own(loss), fullgraph=True, dynamic=False)

    def eager_step() -> tuple[Any, Any]:
        value = loss(y, p)
        return value.detach(), torch.autograd.grad(value, p)[0]

    def compiled_step() -> tuple[Any, Any]:
        value = compiled(y, p)
        return value.detach(), torch.autograd.grad(value, p)[0]

    return {"eager": eager_step, "compiled": compiled_step}


def _with_code_of_its_own(loss: Loss) -> Loss:
    """A function with its own code object, to which torch.compile ties its cache.

    A user compiles a training step, so each loss has a cache to itself; here all losses would share
    the one of `Loss.__call__` and exceed its limit of recompilations.
    """

    def step(y_true: Any, y_pred: Any) -> Any:
        return loss(y_true, y_pred)

    return types.FunctionType(
        step.__code__.replace(), step.__globals__, step.__name__, None, step.__closure__
    )
