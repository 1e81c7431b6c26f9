"""Gradients: right, finite, and the same subgradient on every backend."""

import keras
import numpy as np
import pytest
from gradients import (
    as_one_program,
    compiled,
    double_precision,
    finite_differences,
    open_steps,
    to_numpy,
    value_and_gradient,
)
from keras import ops

import lossmith as ls
from contract import user_losses
from contract.cases import CASES, PER_SAMPLE, each

losses = ls.losses


@each([case for case in CASES if not case.own_gradient])
def test_gradients_equal_finite_differences(case):
    with double_precision():
        loss = case.other()
        y_true, y_pred = case.batch(rows=4, dtype="float64")
        weights = np.array([1.0, 0.5, 2.0, 1.5])
        evaluate = as_one_program(lambda predictions: loss(y_true, predictions, weights))
        result, gradient = value_and_gradient(evaluate, y_pred)
        assert result.dtype == gradient.dtype == np.float64
        labels, rows = ops.convert_to_tensor(y_true), ops.convert_to_tensor(weights)
        step = compiled(loss)

        def value(predictions):
            return float(step(labels, ops.convert_to_tensor(predictions), rows))

        np.testing.assert_allclose(value(y_pred), result, rtol=1e-12)
        expected = finite_differences(value, y_pred)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


@each(CASES)
def test_values_and_gradients_through_a_compiled_step(case):
    loss = case.other()
    y_true, y_pred = case.batch()
    eager = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    labels, predictions = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    step = compiled(loss)
    traced = value_and_gradient(lambda p: step(labels, p), predictions)
    np.testing.assert_allclose(traced[0], eager[0], rtol=1e-5)
    np.testing.assert_allclose(traced[1], eager[1], rtol=1e-4, atol=1e-7)
    for step in open_steps(loss, labels, predictions):
        np.testing.assert_allclose(to_numpy(step(labels, predictions)), eager[0], rtol=1e-5)


def gradient_at(loss, y_true, y_pred):
    y_true = np.asarray(y_true, "float32")
    value, gradient = value_and_gradient(
        lambda p: loss(reduction="sum")(y_true, p), np.asarray(y_pred, "float32")
    )
    assert np.isfinite(value)
    return gradient


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "gradient"),
    [
        (losses.mean_squared_error, [2.0], [2.0], [0]),
        (losses.mean_absolute_error, [2.0], [2.0], [0]),
        (losses.root_mean_squared_error, [2.0, 1.0], [2.0, 1.0], [0, 0]),
        (losses.huber, [2.0], [2.0], [0]),
        (losses.huber(threshold=0.5), [0.0, 0.0], [0.5, -0.5], [0.5, -0.5]),
        (losses.huber, [0.0, 0.0], [1e18, -1e18], [1, -1]),
        (losses.pseudo_huber, [2.0], [2.0], [0]),
        (losses.pseudo_huber, [0.0, 0.0], [1e18, -1e18], [1, -1]),
        (losses.log_cosh, [2.0], [2.0], [0]),
        (losses.log_cosh, [0.0, 0.0], [1e18, -1e18], [1, -1]),
        (losses.quantile(q=0.75), [2.0, 0.0, 0.0], [2.0, 1.0, -1.0], [0, 0.25, -0.75]),
        (losses.modified_huber, [1.0, -1.0], [1.0, -1.0], [0, 0]),
        (losses.modified_huber, [1.0, -1.0], [-1.0, 1.0], [-4, 4]),
        (losses.contrastive, [1, 0, 0, 0], [0.0, 0.0, 1.0, 2.0], [0, -2, 0, 0]),
        (user_losses.FieldHuber(), [2.0], [2.0], [0]),
    ],
    ids=str,
)
def test_the_subgradient_at_special_points(loss, y_true, y_pred, gradient):
    np.testing.assert_allclose(gradient_at(loss, y_true, y_pred), gradient, rtol=1e-6)


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "manhattan", "cosine"])
@pytest.mark.parametrize("label", [0, 1])
def test_contrastive_at_equal_embeddings(distance, label):
    equal = np.full((1, 2, 3), 0.7)
    gradient = gradient_at(losses.contrastive(distance=distance), [label], equal)
    np.testing.assert_array_equal(gradient, np.zeros((1, 2, 3)))


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "manhattan", "cosine"])
def test_contrastive_at_zero_vectors_is_finite(distance):
    embeddings = np.array([[[0.0, 0.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    gradient = gradient_at(losses.contrastive(distance=distance), [1, 0], embeddings)
    assert np.isfinite(gradient).all()


@each(CASES)
def test_all_weights_zero_give_zero_and_no_gradient(case):
    y_true, y_pred = case.batch()
    value, gradient = value_and_gradient(
        lambda p: case.loss(y_true, p, np.zeros(6, "float32")), y_pred
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(y_pred))


@each(PER_SAMPLE)
def test_gradients_of_each_sample(case):
    """`jax.vmap(jax.grad(loss))` and its like see one sample at a time."""
    loss = case.other()(reduction="sum")
    y_true, y_pred = case.batch()
    together = value_and_gradient(lambda p: loss(y_true, p), y_pred)[1]
    alone = [ops.expand_dims(ops.convert_to_tensor(each), 1) for each in (y_true, y_pred)]
    gradient = to_numpy(per_sample_gradient(loss)(*alone))[:, 0]
    np.testing.assert_allclose(gradient, together, rtol=1e-5, atol=1e-7)


def test_gradients_of_single_numbers():
    y_true, y_pred = ops.convert_to_tensor([0.0, 0.0]), ops.convert_to_tensor([0.5, 3.0])
    np.testing.assert_allclose(
        to_numpy(per_sample_gradient(losses.huber)(y_true, y_pred)), [0.5, 1]
    )


def per_sample_gradient(loss):
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.vmap(jax.grad(loss, argnums=1))
    if backend == "torch":
        import torch

        return torch.func.vmap(torch.func.grad(loss, argnums=1))
    import tensorflow as tf

    def one(pair):
        with tf.GradientTape() as tape:
            tape.watch(pair[1])
            value = loss(*pair)
        return tape.gradient(value, pair[1])

    return lambda y_true, y_pred: tf.vectorized_map(one, (y_true, y_pred))
