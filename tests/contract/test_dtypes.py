"""Dtypes: class ids keep their identity, half precision computes in float32, float64 stays."""

import keras
import numpy as np
import pytest
from gradients import double_precision, to_numpy, value_and_gradient
from keras import ops

import lossmith as ls
from contract import user_losses
from contract.cases import CASES, each

HALF = ["float16", "bfloat16"]


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


@each(CASES)
def test_float64_stays_float64(case):
    with double_precision():
        y_true, y_pred = case.batch(dtype="float64")
        labels, predictions = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        loss = case.other()
        value = loss(labels, predictions)
        assert dtype_of(value) == dtype_of(loss.values(labels, predictions)) == "float64"
        values = loss(reduction="none")(labels, predictions)
        expected = case.expected(y_true, y_pred, **case.changed)
        np.testing.assert_allclose(to_numpy(values), expected, rtol=1e-12)


@each(CASES)
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_is_computed_in_float32(case, dtype):
    y_true, y_pred = case.batch()
    half = ops.cast(y_pred, dtype)
    rounded = to_numpy(ops.cast(half, "float32"))
    value = case.loss(y_true, half)
    assert dtype_of(value) == "float32"
    np.testing.assert_allclose(to_numpy(value), to_numpy(case.loss(y_true, rounded)), rtol=1e-6)
    gradient = value_and_gradient(lambda p: case.loss(y_true, p), half)[1]
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [*HALF, "float32"])
def test_a_dtype_that_is_asked_for_is_that_of_the_value(dtype):
    loss = ls.losses.mean_squared_error(dtype=dtype)
    value = loss([0.0, 0.0], [300.0, 1.0])
    assert dtype_of(value) == dtype
    assert dtype_of(ls.losses.huber(dtype=dtype)([0.0], [300.0])) == dtype
    assert to_numpy(ls.losses.huber(dtype=dtype)([0.0], [300.0])) == pytest.approx(299.5, rel=4e-3)


def test_large_errors_in_half_precision_do_not_overflow():
    predictions = ops.cast([300.0, 0.0], "float16")
    assert float(ls.losses.mean_squared_error([0.0, 0.0], predictions)) == 45000


LARGE = 16_777_217
IDS = np.array([LARGE, LARGE - 1, LARGE, LARGE - 1, 257, 256, 257, 256])
EMBEDDINGS = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


@ls.loss(targets="class")
def identity_of_class(y_true, y_pred):
    """How many of the batch bear the same id: shows ids that were merged."""
    return ops.sum(ops.cast(y_true[:, None] == y_true[None, :], y_pred.dtype), axis=1)


@pytest.mark.parametrize("dtype", [None, *HALF])
def test_class_ids_keep_their_identity(dtype):
    loss = identity_of_class(dtype=dtype)
    np.testing.assert_array_equal(to_numpy(loss.values(IDS, EMBEDDINGS)), np.full(8, 2))
    predictions = ops.cast(EMBEDDINGS, dtype or "float32")
    np.testing.assert_array_equal(to_numpy(loss.values(IDS, predictions)), np.full(8, 2))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_class_ids_keep_their_identity_through_compile(policy):
    inputs = keras.layers.Input((4,))
    model = keras.Model(inputs, keras.layers.Activation("linear", dtype=policy)(inputs))
    model.compile(loss=identity_of_class)
    assert model.evaluate(EMBEDDINGS, IDS, batch_size=8, verbose=0) == 2


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_training_under_a_mixed_policy(policy):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, dtype=policy)])
    loss = user_losses.ClassicHuber(2.0)
    model.compile(optimizer="sgd", loss=loss)
    before = model.get_weights()[0]
    result = model.train_on_batch(EMBEDDINGS, np.ones((8, 3), "float32"))
    assert np.isfinite(result)
    assert np.isfinite(model.get_weights()[0]).all()
    assert not np.array_equal(before, model.get_weights()[0])


def test_integer_predictions_and_targets_become_floating():
    assert float(ls.losses.mean_squared_error([1, 2], [2, 4])) == 2.5
    assert float(ls.losses.huber(np.array([True, False]), np.array([0, 0]))) == 0.25
