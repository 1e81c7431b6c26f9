"""A loss is judged on the backends whose operations it calls."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

from lossmith.checker.frameworks import fitting, frameworks


def of_keras(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def of_torch(y_true: Any, y_pred: Any) -> Any:
    import torch

    return torch.abs(y_true - y_pred).mean(-1)


def with_a_helper(y_true: Any, y_pred: Any) -> Any:
    return 2 * of_torch(y_true, y_pred)


def of_a_choice(y_true: Any, y_pred: Any) -> Any:
    if keras.backend.backend() == "jax":
        import jax.numpy as jnp

        return jnp.abs(y_true - y_pred)
    return of_torch(y_true, y_pred)


def made() -> Callable[..., Any]:
    formula = of_torch

    def loss(y_true: Any, y_pred: Any) -> Any:
        return formula(y_true, y_pred)

    return loss


class OfTensorFlow(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        import tensorflow as tf

        return tf.abs(y_true - y_pred)


@pytest.mark.parametrize(
    ("loss", "used"),
    [
        (of_keras, set()),
        (keras.losses.Huber(), set()),
        (of_torch, {"torch"}),
        (with_a_helper, {"torch"}),
        (made(), {"torch"}),
        (functools.partial(with_a_helper), {"torch"}),
        (of_a_choice, {"jax", "torch"}),
        (OfTensorFlow(), {"tensorflow"}),
    ],
)
def test_the_frameworks_of_a_loss_are_those_its_formula_calls(loss: Any, used: set[str]) -> None:
    assert frameworks(loss) == used


def test_a_loss_of_one_framework_fits_no_other_backend() -> None:
    assert fitting(of_torch, ("jax", "torch")) == {"jax": "torch"}
    assert fitting(of_keras, ("jax", "torch")) == {}


def test_a_loss_that_fits_no_backend_is_tried_on_all() -> None:
    assert fitting(of_torch, ("jax", "tensorflow")) == {}
