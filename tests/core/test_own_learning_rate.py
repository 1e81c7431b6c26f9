"""Learned hyperparameters trained at a learning rate of their own, by Keras' `MultiOptimizer`."""

import keras
import numpy as np
import pytest
from core.training import X, Y

import lossmith as ls

optimizers = keras.optimizers
LOSS = ls.losses.student_t_likelihood(df=ls.learned(3.0), scale=ls.learned(1.0))
OF_STATES = ".*loss_state.*/.*"
KINDS = {
    "sgd": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "adam": lambda rate: optimizers.Adam(rate),
}


def both(kind, slow=0.01, fast=0.1):
    mapped = optimizers.OptimizerMap(KINDS[kind](slow), {OF_STATES: KINDS[kind](fast)})
    return optimizers.MultiOptimizer(mapped)


def model_with(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1), LOSS.state])
    model.compile(optimizer, LOSS)
    return model


def weights_after(model, weights):
    """Where one step takes the model from these weights."""
    model.set_weights(weights)
    model.train_on_batch(X, Y)
    return model.get_weights()


@pytest.mark.parametrize("kind", KINDS)
def test_equals_two_optimizers_by_hand(kind, tmp_path):
    """One model moves the kernel, its twin the hyperparameters, from where both are."""
    slow, fast = (model_with(KINDS[kind](rate)) for rate in (0.01, 0.1))
    model = model_with(both(kind))
    expected = model.get_weights()
    for _ in range(3):
        model.train_on_batch(X, Y)
        kernel_and_bias = weights_after(slow, expected)[:2]
        expected = [*kernel_and_bias, *weights_after(fast, expected)[2:]]
    assert len(expected) == 4
    for found, by_hand in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, by_hand, rtol=1e-5)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert ls.get_hyperparameters(loaded) == ls.get_hyperparameters(model)
    for each in (model, loaded):
        each.train_on_batch(X, Y)
    for found, before in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(found, before, rtol=1e-6)
