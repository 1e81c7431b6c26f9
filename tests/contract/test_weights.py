"""Weights, masks and reductions, each as the plain NumPy statement of what it means."""

import keras
import numpy as np
import pytest
from gradients import compiled, open_steps, to_numpy, value_and_gradient
from keras import ops
from keras.src.backend import set_keras_mask

import lossmith as ls
from contract.cases import CASES, PER_SAMPLE, each

WEIGHTS = np.array([2.0, 0.0, 1.0, 0.5, 3.0, 1.0], "float32")
KEEP = np.array([False, True, True, False, True, True])
RTOL = 2e-5
REDUCTIONS = ["sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none", None]


def statement(values, weights, reduction):
    """What a reduction is, from unweighted values per sample."""
    weights = np.broadcast_to(weights, np.shape(values))
    weighted = values * weights
    if reduction == "sum":
        return weighted.sum()
    if reduction == "mean_with_sample_weight":
        return weighted.sum() / weights.sum()
    return weighted if reduction in ("none", None) else weighted.sum() / weighted.size


@each(CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_of_rows(case, reduction):
    y_true, y_pred = case.batch()
    loss = case.loss(reduction=reduction)
    if case.loss.batchwise:
        expected = case.expected(y_true, y_pred, WEIGHTS)
    else:
        expected = statement(case.expected(y_true, y_pred), WEIGHTS, reduction)
    for weights in (WEIGHTS, WEIGHTS[:, None], WEIGHTS.astype("float64"), WEIGHTS.tolist()):
        value = to_numpy(loss(y_true, y_pred, weights))
        np.testing.assert_allclose(value, expected, rtol=RTOL, atol=1e-6)


@each(CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_scalar_weight_weighs_every_row(case, reduction):
    y_true, y_pred = case.batch()
    loss = case.loss(reduction=reduction)
    value = to_numpy(loss(y_true, y_pred, 2.0))
    np.testing.assert_allclose(
        value, to_numpy(loss(y_true, y_pred, np.full(6, 2.0, "float32"))), rtol=RTOL
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 5), (4, 5, 1), (4, 1, 1), ()])
def test_weights_of_time_steps(reduction, shape):
    rng = np.random.default_rng(3)
    y_true, y_pred = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    weights = rng.uniform(0.5, 2, size=shape).astype("float32")
    values = np.mean((y_true - y_pred) ** 2, axis=-1)
    by_step = weights if shape == () else weights.reshape((*shape, 1, 1)[:2])
    value = ls.losses.mean_squared_error(reduction=reduction)(y_true, y_pred, weights)
    expected = statement(values, by_step, reduction)
    np.testing.assert_allclose(to_numpy(value), expected, rtol=RTOL)


@each([case for case in CASES if case.weight_repeats])
@pytest.mark.parametrize("reduction", ["sum", "mean_with_sample_weight"])
def test_an_integer_weight_repeats_the_row(case, reduction):
    y_true, y_pred = case.batch()
    times = np.array([2, 0, 1, 3, 0, 1])
    loss = case.other()(reduction=reduction)
    value = loss(y_true, y_pred, times)
    repeated = loss(np.repeat(y_true, times, axis=0), np.repeat(y_pred, times, axis=0))
    np.testing.assert_allclose(to_numpy(value), to_numpy(repeated), rtol=RTOL)


@each(CASES)
@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
def test_a_mask_is_slicing(case, reduction):
    y_true, y_pred = case.batch()
    loss = case.other()(reduction=reduction)
    sliced = to_numpy(loss(y_true[KEEP], y_pred[KEEP]))
    for mask in (KEEP, KEEP[:, None], KEEP.astype("int32")):
        np.testing.assert_allclose(to_numpy(loss(y_true, y_pred, mask=mask)), sliced, rtol=RTOL)
    weighted = to_numpy(loss(y_true, y_pred, WEIGHTS, mask=KEEP))
    both = to_numpy(loss(y_true[KEEP], y_pred[KEEP], WEIGHTS[KEEP]))
    np.testing.assert_allclose(weighted, both, rtol=RTOL)


@each(PER_SAMPLE)
def test_masked_values_are_zero(case):
    y_true, y_pred = case.batch()
    values = to_numpy(case.loss.values(y_true, y_pred, mask=KEEP))
    np.testing.assert_allclose(
        values, np.where(KEEP, case.expected(y_true, y_pred), 0), rtol=RTOL, atol=1e-6
    )


def spoiled(case, y_true, y_pred, drop):
    """The batch with rubbish in the rows that are dropped."""
    y_true, y_pred = y_true.copy(), y_pred.copy()
    rows = np.flatnonzero(drop)
    y_true[rows] = np.nan if y_true.dtype.kind == "f" else 987_654_321
    y_true[rows[-1:]] = np.inf if y_true.dtype.kind == "f" else -5
    y_pred[rows[0]], y_pred[rows[-1]] = np.nan, -np.inf
    return y_true, y_pred


@each(CASES)
def test_rows_left_out_may_hold_anything(case):
    y_true, y_pred = case.batch()
    loss = case.other()(reduction="sum")
    bad = spoiled(case, y_true, y_pred, ~KEEP)
    weights, keep, labels, others = (
        ops.convert_to_tensor(each) for each in (KEEP.astype("float32"), KEEP, bad[0], y_true)
    )
    step = compiled(loss)
    ways = {
        "weights": lambda p: loss(labels, p, weights),
        "mask": lambda p: loss(labels, p, mask=keep),
        "both": lambda p: loss(labels, p, weights, mask=keep),
        "compiled": lambda p: step(labels, p, weights),
    }
    expected, sliced = value_and_gradient(lambda p: loss(y_true[KEEP], p), y_pred[KEEP])
    for way, evaluate in ways.items():
        value, gradient = value_and_gradient(evaluate, bad[1])
        np.testing.assert_allclose(value, expected, rtol=RTOL, err_msg=way)
        np.testing.assert_allclose(gradient[KEEP], sliced, rtol=1e-4, atol=1e-7, err_msg=way)
        np.testing.assert_array_equal(gradient[~KEEP], 0, way)
    weights = ops.convert_to_tensor(WEIGHTS)
    value = to_numpy(loss(y_true, y_pred, weights))
    compiled_value = value_and_gradient(lambda p: step(others, p, weights), y_pred)[0]
    np.testing.assert_allclose(compiled_value, value, rtol=1e-5)
    for step in open_steps(loss, others, y_pred, weights):
        np.testing.assert_allclose(to_numpy(step(others, y_pred, weights)), value, rtol=1e-5)


@each(CASES)
def test_a_batch_of_rows_left_out_costs_nothing_whatever_it_holds(case):
    y_true, y_pred = case.batch()
    y_true, y_pred = spoiled(case, y_true, y_pred, np.ones(6, bool))
    y_pred[:] = np.nan
    value, gradient = value_and_gradient(
        lambda p: case.loss(y_true, p, np.zeros(6, "float32")), y_pred
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(y_pred))


def test_time_steps_left_out_may_hold_anything():
    rng = np.random.default_rng(3)
    y_true, y_pred = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    keep = rng.random((4, 5)) > 0.4
    expected = np.mean((y_true - y_pred) ** 2, axis=-1)[keep].mean()
    y_true[~keep], y_pred[~keep] = np.nan, np.inf
    value, gradient = value_and_gradient(
        lambda p: ls.losses.mean_squared_error(y_true, p, mask=keep), y_pred
    )
    np.testing.assert_allclose(value, expected, rtol=RTOL)
    np.testing.assert_array_equal(gradient[~keep], 0)
    assert (gradient[keep] != 0).all()


def line(initial=0.5):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.layers[0].set_weights([np.array([[initial]]), np.array([0.0])])
    return model


X = np.array([[0.0], [1.0], [2.0], [3.0]], "float32")
Y = np.array([1.0, 3.0, 5.0, 7.0], "float32")


def trained(targets, inputs=X, **weights):
    """The weights after some steps of gradient descent from the same start."""
    model = line()
    optimizer = keras.optimizers.SGD(0.05)
    model.compile(optimizer=optimizer, loss=ls.losses.huber(threshold=2.0, reduction="sum"))
    model.fit(inputs, targets, epochs=3, batch_size=4, shuffle=False, verbose=0, **weights)
    return np.concatenate([each.ravel() for each in model.get_weights()])


def test_a_missing_target_of_weight_zero_trains_as_if_the_row_were_not_there():
    targets = Y.copy()
    targets[1] = np.nan
    rows = [0, 2, 3]
    expected = trained(Y[rows], X[rows])
    result = trained(targets, sample_weight=np.array([1.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_class_weights_are_weights_of_rows():
    labels = np.array([0, 1, 1, 0])
    result = trained(labels, class_weight={0: 1.0, 1: 3.0})
    expected = trained(labels, sample_weight=np.array([1.0, 3.0, 3.0, 1.0]))
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert not np.allclose(result, trained(labels), rtol=1e-3)


def test_the_mask_of_a_layer_reaches_the_loss():
    inputs = keras.layers.Input((3, 1))
    masked = keras.layers.Masking(mask_value=-9.0)(inputs)
    model = keras.Model(inputs, keras.layers.Activation("linear")(masked))
    model.compile(loss=ls.losses.mean_squared_error)
    x = np.array([[[1.0], [2.0], [-9.0]], [[3.0], [-9.0], [-9.0]]], "float32")
    y = np.array([[[0.0], [0.0], [np.nan]], [[0.0], [50.0], [np.inf]]], "float32")
    assert model.evaluate(x, y, verbose=0) == pytest.approx((1 + 4 + 9) / 3)


KEPT = np.array([[1, 1, 0], [1, 0, 0]], bool)


def masking(y_true, y_pred):
    values = ops.mean(ops.square(y_true - y_pred), axis=-1)
    set_keras_mask(values, ops.convert_to_tensor(KEPT))
    return values


class MaskingInKeras(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return masking(y_true, y_pred)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_mask_that_a_formula_gives_its_values_counts_as_in_keras(reduction):
    y_true, y_pred = np.random.default_rng(0).normal(size=(2, 2, 3, 1)).astype("float32")
    weights = np.array([[1.0, 2.0, 3.0], [0.5, 4.0, 1.0]], "float32")
    own, theirs = ls.loss(masking)(reduction=reduction), MaskingInKeras(reduction=reduction)
    for given in (None, weights):
        expected = to_numpy(theirs(y_true, y_pred, given))
        np.testing.assert_allclose(to_numpy(own(y_true, y_pred, given)), expected, rtol=1e-6)
    mask = np.array([[1, 0, 1], [1, 1, 1]], bool)
    jointly = to_numpy(
        ls.losses.mean_squared_error(reduction=reduction)(y_true, y_pred, mask=mask & KEPT)
    )
    np.testing.assert_allclose(to_numpy(own(y_true, y_pred, mask=mask)), jointly, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (5,), (6, 2), (1, 6), (6, 3), (2, 6)])
def test_weights_that_do_not_fit_are_refused(shape):
    y_true, y_pred = np.zeros((2, 6, 3), "float32")
    for given in ({"sample_weight": np.ones(shape)}, {"mask": np.ones(shape, bool)}):
        with pytest.raises(ValueError, match=r"huber: (sample_weight|mask) has shape"):
            ls.losses.huber(y_true, y_pred, **given)


def test_a_batchwise_loss_without_weights_says_what_is_missing():
    @ls.loss(batchwise=True)
    def largest(y_true, y_pred):
        return ops.max(ops.abs(y_true - y_pred))

    with pytest.raises(TypeError, match="sample_weight=None"):
        largest([1.0, 2.0], [0.0, 0.0], [1.0, 1.0])
    assert float(largest([1.0, 2.0], [0.0, 0.0])) == 2
