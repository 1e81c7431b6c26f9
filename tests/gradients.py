"""What differs between backends in a training loop of one's own, behind one set of names."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

Function = Callable[[Any], Any]


def to_numpy(tensor: Any) -> np.ndarray:
    """The values of a tensor; half precision as float32, which NumPy knows."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return np.asarray(ops.convert_to_numpy(ops.cast(tensor, "float32") if dtype == "bfloat16" else
                                           tensor))  # fmt: skip


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """float64 tensors may be made here; only JAX has to be told."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.enable_x64(True):
            yield
    else:
        yield


def value_and_gradient(function: Function, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """The value of a function of one tensor, and the gradient of its sum."""
    value, gradient = _VALUE_AND_GRADIENT[keras.backend.backend()](
        lambda tensor: ops.sum(function(tensor)), ops.convert_to_tensor(x)
    )
    return to_numpy(value), to_numpy(gradient)


def _with_jax(function: Function, x: Any) -> tuple[Any, Any]:
    import jax

    return jax.value_and_grad(function)(x)


def _with_tensorflow(function: Function, x: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x, unconnected_gradients="zero")


def _with_torch(function: Function, x: Any) -> tuple[Any, Any]:
    x = x.detach().clone().requires_grad_()
    value = function(x)
    value.backward()
    return value.detach(), x.grad


_VALUE_AND_GRADIENT = {"jax": _with_jax, "tensorflow": _with_tensorflow, "torch": _with_torch}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled whole: no part of it may fall back to Python."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)  # as Keras' steps are
    import torch

    torch._dynamo.reset()  # each code object may be compiled for few losses only
    return torch.compile(function, fullgraph=True, backend="aot_eager")


def compiled_value_and_gradient(function: Function, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """As `value_and_gradient`, in a step that is compiled as a training step is."""
    with_gradient, x = _VALUE_AND_GRADIENT[keras.backend.backend()], ops.convert_to_tensor(x)
    if keras.backend.backend() == "torch":
        value, gradient = with_gradient(compiled(function), x)
    else:
        value, gradient = compiled(lambda tensor: with_gradient(function, tensor))(x)
    return to_numpy(value), to_numpy(gradient)


def as_one_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled on JAX, whose eager calls compile each operation by itself."""
    return compiled(function) if keras.backend.backend() == "jax" else function


@contextlib.contextmanager
def compiled_apart(name: str) -> Iterator[None]:
    """Keep the programs of all pairs apart under this name; only JAX keeps any.

    For constants of the engine that a test has changed: losses with others are compiled anew, and
    neither those nor the programs of single operations are forgotten.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    from lossmith.allpairs.drivers import jax as driver

    usual = driver._compiled_value
    driver._compiled_value = _programs_of(name)
    try:
        yield
    finally:
        driver._compiled_value = usual


@functools.cache
def _programs_of(name: str) -> Callable[..., Any]:
    import jax

    from lossmith.allpairs.drivers import jax as driver

    # A function of its own: JAX keeps programs by function.
    return jax.jit(lambda *arguments: driver._value(*arguments), static_argnums=0)


def forget_compiled() -> None:
    """Compile everything anew, also a step that holds a loss; only JAX keeps it."""
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()


def open_shapes(function: Callable[..., Any], *tensors: Any) -> Callable[..., Any]:
    """The function traced with as many dimensions left open as the backend knows how to.

    TensorFlow rewrites its source first, as `tf.function` does unless it is told not to.
    """
    if keras.backend.backend() != "tensorflow":
        return compiled(function)
    return _with_open_dimensions(function, tensors, autograph=True)


def open_steps(function: Callable[..., Any], *tensors: Any) -> list[Callable[..., Any]]:
    """The ways to trace the function that leave dimensions open: on TensorFlow there is one."""
    if keras.backend.backend() != "tensorflow":
        return []
    return [_with_open_dimensions(function, tensors, autograph=False)]


def _with_open_dimensions(
    function: Callable[..., Any], tensors: tuple[Any, ...], *, autograph: bool
) -> Callable[..., Any]:
    import tensorflow as tf

    signature = [tf.TensorSpec([None] * tensor.ndim, tensor.dtype) for tensor in tensors]
    return tf.function(function, input_signature=signature, autograph=autograph)


def _shape_errors() -> tuple[type[Exception], ...]:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return (ValueError, tf.errors.InvalidArgumentError)
    if backend == "torch":
        import torch

        return (ValueError, torch._dynamo.exc.Unsupported, torch._dynamo.exc.TorchRuntimeError)
    return (ValueError,)


SHAPE_ERRORS = _shape_errors()
"""What a step raises for shapes that do not fit.

TensorFlow may see them only when it runs; PyTorch's compiler quotes the error in one of its own.
"""


def finite_differences(function: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """The gradient by central differences, in float64."""
    step = 1e-6
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (function(ahead) - function(behind)) / (2 * step)
    return gradient
