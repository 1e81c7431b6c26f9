"""A memory of references as partners: dtypes, weights and labels as in a call of the loss."""

import keras
import numpy as np
import pytest
from gradients import compiled, open_shapes, to_numpy, value_and_gradient
from keras import ops

import lossmith as ls

LOSSES = [ls.losses.supervised_contrastive, ls.losses.triplet(margin=1.0)]
RNG = np.random.default_rng(23)
ROWS, MEMORY = (RNG.normal(size=(n, 4)).astype("float32") for n in (5, 7))
IDS, MEMORY_IDS = np.array([0, 1, 0, 2, 1]), np.array([0, 1, 2, 2, 1, 0, 3])

each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)


@each_loss
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(loss, dtype):
    half = [ops.cast(each, dtype) for each in (ROWS, MEMORY)]
    rounded = [ops.cast(each, "float32") for each in half]
    value = loss.against(IDS, half[0], half[1], MEMORY_IDS)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    expected = loss.against(IDS, rounded[0], rounded[1], MEMORY_IDS)
    assert to_numpy(value) == pytest.approx(to_numpy(expected), rel=1e-6)
    assert loss.pairs(IDS, half[0])[0].rows.vectors.dtype == rounded[0].dtype


@each_loss
def test_a_dtype_that_is_asked_for_is_that_of_the_value(loss):
    value = loss(dtype="bfloat16").against(IDS, ROWS, MEMORY, MEMORY_IDS)
    assert keras.backend.standardize_dtype(value.dtype) == "bfloat16"


@each_loss
def test_what_has_weight_0_may_hold_anything(loss):
    weights, memory_weights = np.ones(5, "float32"), np.ones(7, "float32")
    weights[1] = memory_weights[4] = 0
    rows, memory = ROWS.copy(), MEMORY.copy()
    rows[1] = memory[4] = np.nan

    def with_rows(p):
        return loss.against(IDS, p, memory, MEMORY_IDS, weights, memory_weights)

    def with_memory(m):
        return loss.against(IDS, rows, m, MEMORY_IDS, weights, memory_weights)

    kept, memory_kept = weights > 0, memory_weights > 0
    expected = loss.against(IDS[kept], ROWS[kept], MEMORY[memory_kept], MEMORY_IDS[memory_kept])
    for function, at, without in ((with_rows, rows, 1), (with_memory, memory, 4)):
        value, gradient = value_and_gradient(function, at)
        assert value == pytest.approx(to_numpy(expected), rel=1e-5)
        np.testing.assert_array_equal(gradient[without], 0)
        assert np.isfinite(gradient).all()
        assert (gradient != 0).any()


@each_loss
def test_ids_that_the_backend_cannot_hold_are_refused(loss, backend):
    """JAX holds 32 bits, and would take these two for one."""
    large = np.array([2**40, 1, 2**41, 2, 1])
    if backend == "jax":
        with pytest.raises(ValueError, match="do not fit int32"):
            loss.against(large, ROWS, MEMORY, MEMORY_IDS)
        with pytest.raises(ValueError, match="do not fit int32"):
            loss.against(MEMORY_IDS, MEMORY, ROWS, large)
        with pytest.raises(ValueError, match="do not fit int32"):
            loss.pairs(large, ROWS)
    else:
        small = np.array([8, 1, 9, 2, 1])
        expected = to_numpy(loss.against(MEMORY_IDS, MEMORY, ROWS, small))
        assert to_numpy(loss.against(MEMORY_IDS, MEMORY, ROWS, large)) == expected


@each_loss
def test_an_empty_memory_costs_nothing(loss):
    nobody, no_ids = np.zeros((0, 4), "float32"), np.zeros(0, "int32")
    value, gradient = value_and_gradient(lambda p: loss.against(IDS, p, nobody, no_ids), ROWS)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(ROWS))
    value, gradient = value_and_gradient(lambda m: loss.against(no_ids, nobody, m, IDS), ROWS)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(ROWS))


@each_loss
def test_a_compiled_step(loss):
    tensors = [ops.convert_to_tensor(each) for each in (IDS, ROWS, MEMORY, MEMORY_IDS)]
    expected = to_numpy(loss.against(*tensors))
    assert to_numpy(compiled(loss.against)(*tensors)) == pytest.approx(expected, rel=1e-5)
    tensors[2:] = [each[:0] for each in tensors[2:]]
    assert to_numpy(compiled(loss.against)(*tensors)) == 0


@each_loss
def test_a_graph_that_leaves_the_size_of_the_memory_open(loss):
    tensors = [ops.convert_to_tensor(each) for each in (IDS, ROWS, MEMORY, MEMORY_IDS)]
    step = open_shapes(loss.against, *tensors)
    expected = to_numpy(loss.against(*tensors))
    assert to_numpy(step(*tensors)) == pytest.approx(expected, rel=1e-5)
    tensors[2:] = [each[:0] for each in tensors[2:]]
    assert to_numpy(step(*tensors)) == 0


def with_values(loss, y_pred, **values):
    """Predictions as a model leaves them that holds the state of a loss with these values."""
    state = loss.state
    outputs = state(ops.convert_to_tensor(y_pred))
    for name, value in values.items():
        state.assign(name, value)
    return state(outputs)


def test_an_adjustable_margin_is_the_one_the_predictions_carry():
    loss = ls.losses.triplet(margin=ls.adjustable(0.2))
    for margin in (0.2, 1.5):
        value = loss.against(IDS, with_values(loss, ROWS, margin=margin), MEMORY, MEMORY_IDS)
        expected = ls.losses.triplet(margin=margin).against(IDS, ROWS, MEMORY, MEMORY_IDS)
        assert to_numpy(value) == pytest.approx(to_numpy(expected), rel=1e-6)


def test_a_margin_that_is_not_valid_makes_the_value_nan():
    loss = ls.losses.triplet(margin=ls.adjustable(0.2))
    predictions = with_values(loss, ROWS, margin=-1.0)
    assert np.isnan(to_numpy(loss.against(IDS, predictions, MEMORY, MEMORY_IDS)))


def test_without_its_state_a_changing_loss_says_so():
    loss = ls.losses.triplet(margin=ls.adjustable(0.2))
    with pytest.raises(ValueError, match="predictions bring no value of `margin`"):
        loss.against(IDS, ROWS, MEMORY, MEMORY_IDS)
