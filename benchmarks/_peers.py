"""Element-wise losses as lossmith, Keras, the backend's own library and a formula have them."""

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import keras

import lossmith as ls

Loss = Callable[[Any, Any], Any]

OURS: dict[str, Loss] = {
    "huber": ls.losses.huber,
    "log_cosh": ls.losses.log_cosh,
    "mean_squared_error": ls.losses.mean_squared_error,
    "mean_absolute_error": ls.losses.mean_absolute_error,
    "quantile": ls.losses.quantile(q=0.75),
    "pseudo_huber": ls.losses.pseudo_huber,
}

_KERAS: dict[str, Callable[[], Loss]] = {
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
}


def implementations(name: str) -> dict[str, Loss]:
    """Return lossmith's loss `name` and its peers on the backend that runs, by implementation."""
    peers = {"lossmith": OURS[name]}
    if name in _KERAS:
        peers["Keras"] = _KERAS[name]()
    own = {"jax": _optax, "torch": _torch}.get(keras.backend.backend(), _nothing_else)(name)
    formula = {"jax": _jax_formula, "tensorflow": _tensorflow_formula, "torch": _torch_formula}
    return {**peers, **own, "formula": formula[keras.backend.backend()](name)}


def _nothing_else(name: str) -> dict[str, Loss]:
    return {}


def _optax(name: str) -> dict[str, Loss]:
    if importlib.util.find_spec("optax") is None:
        return {}
    from optax import losses

    own: dict[str, Loss] = {
        "huber": lambda y, p: losses.huber_loss(p, y).mean(),
        "log_cosh": lambda y, p: losses.log_cosh(p, y).mean(),
        "mean_squared_error": lambda y, p: losses.squared_error(p, y).mean(),
    }
    return {"optax": own[name]} if name in own else {}


def _torch(name: str) -> dict[str, Loss]:
    from torch.nn import functional

    own: dict[str, dict[str, Loss]] = {
        "huber": {
            "F.huber_loss": lambda y, p: functional.huber_loss(p, y),
            "F.smooth_l1_loss": lambda y, p: functional.smooth_l1_loss(p, y),
        },
        "mean_squared_error": {"F.mse_loss": lambda y, p: functional.mse_loss(p, y)},
        "mean_absolute_error": {"F.l1_loss": lambda y, p: functional.l1_loss(p, y)},
    }
    return own.get(name, {})


def _jax_formula(name: str) -> Loss:
    import jax
    from jax import numpy as jnp

    def huber(y: Any, p: Any) -> Any:
        size = jnp.abs(y - p)
        return jnp.where(size <= 1.0, 0.5 * jnp.square(size), size - 0.5).mean()

    formulas: dict[str, Loss] = {
        "huber": huber,
        "log_cosh": lambda y, p: ((y - p) + jax.nn.softplus(-2 * (y - p)) - math.log(2)).mean(),
        "mean_squared_error": lambda y, p: jnp.square(y - p).mean(),
        "mean_absolute_error": lambda y, p: jnp.abs(y - p).mean(),
        "quantile": lambda y, p: jnp.maximum(0.75 * (y - p), -0.25 * (y - p)).mean(),
        "pseudo_huber": lambda y, p: (jnp.sqrt(1.0 + jnp.square(y - p)) - 1.0).mean(),
    }
    return formulas[name]


def _tensorflow_formula(name: str) -> Loss:
    import tensorflow as tf

    def huber(y: Any, p: Any) -> Any:
        size = tf.abs(y - p)
        return tf.reduce_mean(tf.where(size <= 1.0, 0.5 * tf.square(size), size - 0.5))

    def log_cosh(y: Any, p: Any) -> Any:
        return tf.reduce_mean((y - p) + tf.math.softplus(-2.0 * (y - p)) - math.log(2))

    formulas: dict[str, Loss] = {
        "huber": huber,
        "log_cosh": log_cosh,
        "mean_squared_error": lambda y, p: tf.reduce_mean(tf.square(y - p)),
        "mean_absolute_error": lambda y, p: tf.reduce_mean(tf.abs(y - p)),
        "quantile": lambda y, p: tf.reduce_mean(tf.maximum(0.75 * (y - p), -0.25 * (y - p))),
        "pseudo_huber": lambda y, p: tf.reduce_mean(tf.sqrt(1.0 + tf.square(y - p)) - 1.0),
    }
    return formulas[name]


def _torch_formula(name: str) -> Loss:
    import torch

    def huber(y: Any, p: Any) -> Any:
        size = torch.abs(y - p)
        return torch.where(size <= 1.0, 0.5 * torch.square(size), size - 0.5).mean()

    def log_cosh(y: Any, p: Any) -> Any:
        return ((y - p) + torch.nn.functional.softplus(-2 * (y - p)) - math.log(2)).mean()

    formulas: dict[str, Loss] = {
        "huber": huber,
        "log_cosh": log_cosh,
        "mean_squared_error": lambda y, p: torch.square(y - p).mean(),
        "mean_absolute_error": lambda y, p: torch.abs(y - p).mean(),
        "quantile": lambda y, p: torch.maximum(0.75 * (y - p), -0.25 * (y - p)).mean(),
        "pseudo_huber": lambda y, p: (torch.sqrt(1.0 + torch.square(y - p)) - 1.0).mean(),
    }
    return formulas[name]
