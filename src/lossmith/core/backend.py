"""The one place that knows which Keras backend runs, and what is written differently for each.

Importing this module chooses a backend if nobody has: `KERAS_BACKEND` wins, then `keras.json` if
the backend it names is installed, then the first installed of TensorFlow, JAX and PyTorch. The
choice has to be made before Keras is imported, so every other module of lossmith imports Keras
through this one or after it.
"""

import functools
import importlib
import importlib.util
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
"""Keras' name of each backend, and the package that has to be installed for it."""

_FOR_INFERENCE = {"numpy": "numpy", "openvino": "openvino"}
"""Backends of Keras that nothing is trained with."""


def installed_backends() -> list[str]:
    """The backends whose package is installed, in lossmith's order, found without importing any."""
    return [name for name, package in BACKENDS.items() if importlib.util.find_spec(package)]


def _configured_backend() -> str | None:
    try:
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        return str(json.loads((home / "keras.json").read_text(encoding="utf-8")).get("backend"))
    except (OSError, ValueError, AttributeError, RuntimeError):  # RuntimeError: no home
        return None


def _check_named(name: str, installed: list[str]) -> None:
    if package := _FOR_INFERENCE.get(name):
        if not importlib.util.find_spec(package):
            raise ImportError(f"KERAS_BACKEND is {name!r}, and {package} is not installed.")
        return
    if name not in BACKENDS:
        raise ValueError(f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}; got {name!r}.")
    if name not in installed:
        raise ImportError(
            f"KERAS_BACKEND is {name!r}, which is not installed: pip install 'lossmith[{name}]', "
            f"or choose one that is: {', '.join(installed) or 'none'}."
        )


def choose_backend() -> None:
    """Set `KERAS_BACKEND` to an installed backend unless the choice has been made already.

    Raises:
        ImportError: if no backend is installed, or not the one that `KERAS_BACKEND` names.
        ValueError: if `KERAS_BACKEND` names none of lossmith's backends.
    """
    if "keras" in sys.modules:
        return
    installed = installed_backends()
    if named := os.environ.get("KERAS_BACKEND"):
        _check_named(named, installed)
        return
    if not installed:
        raise ImportError(
            "lossmith needs a Keras backend and found none of TensorFlow, JAX and PyTorch. "
            "Install one: pip install 'lossmith[jax]' (or lossmith[tensorflow], lossmith[torch])."
        )
    configured = _configured_backend()
    os.environ["KERAS_BACKEND"] = configured if configured in installed else installed[0]


choose_backend()

import keras as keras  # noqa: E402 - the backend has to be chosen first
from keras.src.backend import get_keras_mask  # noqa: E402 - Keras has no public name for it
from keras.src.backend.common.stateless_scope import get_stateless_scope  # noqa: E402 - nor here
from keras.src.backend.common.symbolic_scope import (  # noqa: E402
    in_symbolic_scope as in_symbolic_scope,
)
from keras.src.backend.common.tensor_attributes import (  # noqa: E402 - nor for these
    get_tensor_attr,
    set_tensor_attr,
)


def is_concrete(tensor: Any) -> bool:
    """Whether the values of `tensor` can be seen now, outside of any traced or compiled step."""
    name = keras.backend.backend()
    if name == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    if name == "tensorflow":
        return hasattr(tensor, "numpy")
    if name == "torch":
        import torch

        wrapped = torch._C._functorch.is_functorch_wrapped_tensor
        return not (torch.compiler.is_compiling() or wrapped(tensor))
    return isinstance(tensor, np.ndarray)


def kept(array: np.ndarray) -> Any:
    """An array in the form that `fresh` makes tensors of inside a compiled step."""
    return keras.ops.convert_to_tensor(array) if keras.backend.backend() == "torch" else array


def fresh(array: Any, dtype: Any) -> Any:
    """A new tensor of what `kept` gave, which nobody else can change."""
    return keras.ops.copy(keras.ops.convert_to_tensor(array, dtype=dtype))


def like(value: Any, tensor: Any) -> Any:
    """A number, an array or a tensor, with all its digits, in the dtype of another tensor."""
    if keras.backend.backend() == "tensorflow" and isinstance(value, int | float):
        value = np.asarray(value, "float64")  # it would make a float32 tensor of a number first
    return keras.ops.convert_to_tensor(value, dtype=tensor.dtype)


def mask_of(tensor: Any) -> Any:
    """The mask that Keras' layers have attached to a tensor, `None` if there is none."""
    return get_keras_mask(tensor)


def attach(tensor: Any, attribute: str, value: Any) -> None:
    """Let a tensor carry something to whoever gets it next, as Keras' masks travel."""
    set_tensor_attr(tensor, attribute, value)


def attached(tensor: Any, attribute: str) -> Any:
    """What `attach` has put on this very tensor, `None` if nothing."""
    return get_tensor_attr(tensor, attribute)


def pass_of(layer: Any) -> Any:
    """An object that all layers called in one pass through a model share, and no other pass.

    It takes attributes. JAX's trainer calls the layers of a model without its `__call__`, and each
    pass is a stateless scope of its own.
    """
    return get_stateless_scope() or layer._get_call_context()


def metrics_get_copies() -> bool:
    """Whether the metrics of a training step get copies of the predictions, which carry nothing."""
    return bool(keras.backend.backend() == "jax")


def is_handed_on(variable: Any) -> bool:
    """Whether a trainer without variables of its own, as JAX's, has given this one a value here."""
    scope = get_stateless_scope()
    return scope is not None and scope.get_current_value(variable) is not None


def synchronise(model: Any) -> None:
    """Bring a model's variables up to date in the middle of an epoch, and let them be set.

    Only the trainer of JAX keeps their values elsewhere while it trains.
    """
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def is_held_elsewhere(variable: Any) -> bool:
    """Whether a variable is empty, since the trainer of JAX keeps its value for now."""
    return getattr(variable, "_value", variable) is None


def check_shapes_equal(first: Any, second: Any, message: str) -> None:
    """Add a check to a traced step that has left dimensions open: the two shapes must be equal.

    Only TensorFlow's graphs leave dimensions open; under XLA they are known when it compiles.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        shapes = [tf.convert_to_tensor(shape) for shape in (first, second)]
        tf.debugging.assert_equal(*shapes, message=message)


def choose(package: str) -> Any:
    """The module of `package` that is written for the backend that runs.

    Backends that nothing is trained with share that of NumPy.
    """
    name = keras.backend.backend()
    return importlib.import_module(f"{package}.{name if name in BACKENDS else 'numpy'}")


def generator_state() -> Any:
    """Where the global generator is from which layers draw; only PyTorch's layers have one."""
    if keras.backend.backend() != "torch":
        return None
    import torch

    return torch.get_rng_state(), torch.cuda.get_rng_state_all()


def set_generator_state(state: Any) -> None:
    """Set the global generator back to what `generator_state` gave."""
    if state is not None:
        import torch

        torch.set_rng_state(state[0])
        torch.cuda.set_rng_state_all(state[1])


def global_generators() -> dict[str, tuple[Any, Any, Any]]:
    """What seeds, reads (to be compared) and sets each global generator of the backend."""
    if keras.backend.backend() != "torch":
        return {}
    import torch

    return {
        "torch's global generator": (
            torch.manual_seed,
            lambda: tuple(torch.get_rng_state().tolist()),
            lambda state: torch.set_rng_state(torch.tensor(state, dtype=torch.uint8)),
        )
    }


def global_settings() -> dict[str, Any]:
    """The backend's settings of this process that change what everything in it does, by name."""
    name = keras.backend.backend()
    if name == "jax":
        import jax

        return {"jax_enable_x64": jax.config.jax_enable_x64}
    if name == "torch":
        import torch

        return {
            "torch.get_default_dtype()": str(torch.get_default_dtype()),
            "torch.is_grad_enabled()": torch.is_grad_enabled(),
        }
    if name == "tensorflow":
        import tensorflow as tf

        return {"tf.config.functions_run_eagerly()": tf.config.functions_run_eagerly()}
    return {}


def tape_records() -> bool:
    """Whether a gradient tape of TensorFlow records; it has no public way to ask."""
    from tensorflow.python.eager import record

    return bool(record.could_possibly_record())


def opaque(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `torch.compile` take `function` for one node of its graph, without looking into it.

    It traces what happens inside all the same, but has no Python objects to guard at every call
    (30 µs for a loss). The function must depend on nothing but its arguments.
    """
    if keras.backend.backend() != "torch":
        return function
    import torch

    return torch.compiler.allow_in_graph(function)


def compiler_looks_into(*tensors: Any) -> bool:
    """Whether `torch.compile` is reading the code that calls this, with tensors for arguments."""
    if keras.backend.backend() != "torch":
        return False
    import torch

    return torch.compiler.is_dynamo_compiling() and all(
        tensor is None or isinstance(tensor, torch.Tensor) for tensor in tensors
    )


def replica_count() -> int:
    """How many replicas sum their gradients: more than one only under `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def absolute(x: Any) -> Any:
    """`|x|`, with derivative 0 at 0: JAX alone gives it another."""
    return _jax_absolute()(x) if keras.backend.backend() == "jax" else keras.ops.abs(x)


@functools.cache
def _jax_absolute() -> Callable[[Any], Any]:
    """With a rule of its own: to select the 0 costs a fifth of the whole loss."""
    import jax

    absolute = jax.custom_jvp(jax.numpy.abs)
    absolute.defjvps(lambda slope, _, x: slope * jax.numpy.sign(x))
    return absolute


def bounded(x: Any, least: Any = None, most: Any = None) -> Any:
    """`x` between bounds, in its dtype: on PyTorch Keras makes float32 of float64."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.clamp(x, least, most)
    x = x if least is None else keras.ops.maximum(x, least)
    return x if most is None else keras.ops.minimum(x, most)


def running_sum(x: Any) -> Any:
    """The sums over the last axis up to each entry, in the dtype of `x`, as `bounded`."""
    if keras.backend.backend() == "torch":
        return x.cumsum(-1)
    return keras.ops.cumsum(x, axis=-1)


def tilted(x: Any, right: Any, left: Any) -> Any:
    """`right * x` above 0 and `left * x` below, with derivative 0 at 0.

    JAX's compiler wants a select, where the others are faster without.
    """
    ops = keras.ops
    if keras.backend.backend() == "jax":
        sides = ops.where(x > 0, right * x, left * x)
        return ops.where(ops.equal(x, 0), ops.zeros_like(x), sides)
    sign = ops.stop_gradient(ops.sign(x))
    return x * (right * ops.relu(sign) + left * ops.relu(-sign))


def squared_difference(y_true: Any, y_pred: Any) -> Any:
    """`(y_true - y_pred)^2`."""
    functional = _torch_functional()
    if functional is not None:
        return functional.mse_loss(y_pred, y_true, reduction="none")
    return keras.ops.square(y_pred - y_true)


def huber(y_true: Any, y_pred: Any, threshold: Any) -> Any:
    """Half the squared difference up to `threshold` (a number or a tensor), linear beyond."""
    functional = _torch_functional()
    if functional is not None and isinstance(threshold, float):
        return functional.huber_loss(y_pred, y_true, reduction="none", delta=threshold)
    error = y_pred - y_true
    size = keras.ops.abs(error)
    linear = threshold * (size - 0.5 * threshold)
    return keras.ops.where(size <= threshold, 0.5 * keras.ops.square(error), linear)


def _torch_functional() -> Any:
    """`torch.nn.functional` if PyTorch runs, else `None`.

    Eager PyTorch fuses nothing: a loss that has a kernel there is faster than its formula. The
    compilers of the other backends fuse the formula.
    """
    if keras.backend.backend() != "torch":
        return None
    import torch

    return torch.nn.functional


def cosine_and_sine(x: Any) -> tuple[Any, Any]:
    """`cos(x)` and `sin(x)` in the dtype of `x`; on JAX Keras computes them in float32 always."""
    if keras.backend.backend() == "jax":
        import jax.numpy as jnp

        return jnp.cos(x), jnp.sin(x)
    return keras.ops.cos(x), keras.ops.sin(x)


def log_gamma(x: Any) -> Any:
    """The logarithm of the gamma function, which Keras lacks."""
    name = keras.backend.backend()
    if name == "jax":
        import jax

        return jax.lax.lgamma(x)
    if name == "tensorflow":
        import tensorflow as tf

        return tf.math.lgamma(x)
    if name == "torch":
        import torch

        return torch.lgamma(x)
    return np.vectorize(math.lgamma, otypes=[x.dtype])(x)
