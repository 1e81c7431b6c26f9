"""Programs of a backend that return a value and its gradient, compiled where that is asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lossmith.core.backend import keras

Program = Callable[..., tuple[Any, ...]]
"""Returns a value and its gradient; on JAX also what the formula returned, if it was asked for."""


def with_gradient(backend: str, function: Any, beside: Any = None) -> Program:
    """Make a program that returns the value of `function` and d(sum of it)/d(second argument)."""
    if backend == "jax":
        return _jax_program(function, beside)
    return {"tensorflow": _tensorflow_program, "torch": _torch_program}[backend](function)


def _jax_program(function: Any, beside: Any) -> Program:
    import jax
    import jax.numpy as jnp

    def total(y_pred: Any, y_true: Any, *more: Any) -> tuple[Any, Any]:
        value = jnp.asarray(function(y_true, y_pred, *more))
        return jnp.sum(value.astype("float32")), (value, _if_it_runs(beside, y_true, y_pred))

    def program(y_true: Any, y_pred: Any, *more: Any) -> tuple[Any, ...]:
        (_, (value, other)), gradient = jax.value_and_grad(total, has_aux=True)(
            y_pred, y_true, *more
        )
        return value, gradient, other

    return program


def _if_it_runs(function: Any, *arrays: Any) -> Any:
    try:
        return None if function is None else keras.ops.convert_to_tensor(function(*arrays))
    except Exception:  # the reduced loss may run where what it is made of does not
        return None


def _tensorflow_program(function: Any) -> Program:
    import tensorflow as tf

    def program(y_true: Any, y_pred: Any, *more: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = tf.convert_to_tensor(function(y_true, y_pred, *more))
            total = tf.reduce_sum(tf.cast(value, "float32"))
        return value, tape.gradient(total, y_pred)

    return program


def _torch_program(function: Any) -> Program:
    import torch

    def program(y_true: Any, y_pred: Any, *more: Any) -> tuple[Any, Any]:
        y_pred = y_pred.detach().clone().requires_grad_(True)
        value = torch.as_tensor(function(y_true, y_pred, *more))
        if not value.requires_grad:
            return value, None
        return value, torch.autograd.grad(value.float().sum(), y_pred, allow_unused=True)[0]

    return program


def compiled(backend: str, program: Any) -> Any:
    """Compile a program on JAX or TensorFlow."""
    if backend == "jax":
        import jax

        return jax.jit(program)
    import tensorflow as tf

    return tf.function(program, autograph=False)


def compiled_step(backend: str, function: Any, batch: tuple[Any, Any]) -> Any:
    """Compile a function for batches like this one with an open number of rows."""
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "torch":
        return function
    import tensorflow as tf

    signature = [
        tf.TensorSpec((None, *np.shape(array)[1:]), np.asarray(array).dtype) for array in batch
    ]
    return tf.function(function, input_signature=signature, autograph=False)
