"""Shapes: aligned where they mean the same, refused where they would broadcast."""

import keras
import numpy as np
import pytest
from gradients import SHAPE_ERRORS, compiled, open_shapes, to_numpy
from keras import ops

import lossmith as ls
from contract import user_losses
from contract.cases import CASES, each

VALUE_LOSSES = [case for case in CASES if case.loss.targets == "value"]
ONE_OUTPUT = [case for case in VALUE_LOSSES if "Scaled" not in case.id]
PAIR_LOSSES = [case for case in CASES if case.loss.targets == "pair"]
CLASS_LOSSES = [case for case in CASES if case.loss.targets == "class"]
ACCIDENTS = [
    ((6,), (6, 3)), ((6, 1), (6, 3)), ((6, 3), (6,)), ((6, 3), (6, 1)), ((6,), (6, 1, 1)),
    ((6, 1, 1), (6,)), ((6,), (6, 6)), ((1,), (6,)), ((6,), (1,)), ((1, 3), (6, 3)), ((), (6,)),
    ((6,), ()), ((6, 2), (6, 3)), ((3, 6), (6, 3)), ((6, 5), (6, 5, 3)), ((6, 1, 3), (6, 5, 3)),
    ((5,), (6,)), ((5,), (6, 1)),
]  # fmt: skip


def figures(loss, y_true, y_pred):
    """The value in every form: called, compiled, traced with open dimensions."""
    tensors = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    yield "called", loss(y_true, y_pred)
    yield "values", ops.mean(loss.values(y_true, y_pred))
    yield "open", open_shapes(loss, *tensors)(*tensors)


@each(ONE_OUTPUT)
def test_flat_and_column_are_alike(case):
    loss = case.other()(reduction="sum_over_batch_size")
    y_true, y_pred = (each[:, :1] for each in case.batch())
    expected = to_numpy(loss(y_true, y_pred))
    for true, pred in (
        (y_true[:, 0], y_pred),
        (y_true, y_pred[:, 0]),
        (y_true[:, 0], y_pred[:, 0]),
    ):
        for form, value in figures(loss, true, pred):
            np.testing.assert_allclose(to_numpy(value), expected, rtol=1e-5, err_msg=form)
        if not loss.batchwise:
            assert tuple(loss.values(true, pred).shape) == (6,)


@pytest.mark.parametrize("label_shape", [(6,), (6, 1)])
@each(PAIR_LOSSES)
def test_labels_of_pairs(case, label_shape):
    labels, distances = case.batch()
    expected = case.expected(labels, distances)
    for given in (distances, distances[:, None]):
        values = to_numpy(case.loss.values(labels.reshape(label_shape), given))
        np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("label_shape", [(6,), (6, 1)])
@each(CLASS_LOSSES)
def test_labels_of_classes(case, label_shape):
    labels, vectors = case.batch()
    value = to_numpy(case.loss.values(labels.reshape(label_shape), vectors))
    np.testing.assert_allclose(value, case.expected(labels, vectors), rtol=1e-5)


def model_of(shape):
    return keras.Sequential([keras.layers.Input(shape), keras.layers.Activation("linear")])


@pytest.mark.parametrize("loss", [ls.losses.huber, user_losses.ClassicHuber()], ids=str)
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_ranks_through_compile(loss, shape):
    y_pred = np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [9.0]], "float32")
    y_true = np.array([1.0, 2.5, 3.0, 4.0, 5.0, 6.0], "float32").reshape(shape)
    model = model_of((1,))
    model.compile(loss=loss, metrics=[loss])
    expected = (0.125 + 2.5) / 6
    assert model.evaluate(y_pred, y_true, verbose=0) == pytest.approx([expected] * 2)


@each(VALUE_LOSSES)
def test_an_accidental_broadcast_is_refused(case):
    for y_true, y_pred in (((6,), (6, 3)), ((6, 1), (6, 3)), ((1, 3), (6, 3))):
        with pytest.raises(ValueError, match=r"y_true has shape .* and y_pred has shape"):
            case.loss(np.zeros(y_true, "float32"), np.zeros(y_pred, "float32"))


@pytest.mark.parametrize(("true_shape", "pred_shape"), ACCIDENTS)
def test_accidental_broadcasts_are_refused_naming_both_shapes(true_shape, pred_shape):
    y_true, y_pred = np.zeros(true_shape, "float32"), np.zeros(pred_shape, "float32")
    calls = {
        "called": ls.losses.huber,
        "values": ls.losses.huber.values,
        "weighted": lambda y, p: ls.losses.huber(y, p, 1.0),
        "batchwise": ls.losses.root_mean_squared_error,
    }
    for form, call in calls.items():
        with pytest.raises(ValueError, match="one shape") as refused:
            call(y_true, y_pred)
        assert f"y_true has shape {true_shape}" in str(refused.value), form
        assert f"y_pred has shape {pred_shape}" in str(refused.value), form


@pytest.mark.parametrize(("true_shape", "pred_shape"), [each for each in ACCIDENTS if each[1]])
def test_accidental_broadcasts_are_refused_with_open_dimensions(true_shape, pred_shape):
    tensors = ops.zeros(true_shape), ops.zeros(pred_shape)
    with pytest.raises(SHAPE_ERRORS):
        open_shapes(ls.losses.huber, *tensors)(*tensors)


def test_accidental_broadcasts_are_refused_through_compile():
    model = model_of((3,))
    model.compile(loss=ls.losses.huber)
    with pytest.raises(ValueError, match=r"y_true has shape .* and y_pred has shape"):
        model.evaluate(np.zeros((6, 3)), np.zeros((6, 1)), verbose=0)


@pytest.mark.parametrize(
    ("true_shape", "pred_shape"),
    [((6,), (6,)), ((6, 4), (6, 3)), ((5,), (6, 3)), ((6, 1, 1), (6, 3))],
)
def test_class_labels_that_do_not_fit_are_refused(true_shape, pred_shape):
    y_true, y_pred = np.zeros(true_shape, "int32"), np.zeros(pred_shape, "float32")
    with pytest.raises(ValueError, match="has shape"):
        user_losses.cross_entropy(y_true, y_pred)


def test_floating_class_labels_are_refused():
    with pytest.raises(TypeError, match="integer class ids; got float32"):
        user_losses.cross_entropy(np.zeros(6, "float32"), np.zeros((6, 3), "float32"))


@pytest.mark.parametrize(
    ("true_shape", "pred_shape"),
    [((6,), (6, 3)), ((6,), (6, 3, 4)), ((5,), (6,)), ((6, 2), (6,)), ((6, 2), (6, 2, 4))],
)
def test_pairs_that_do_not_fit_are_refused(true_shape, pred_shape):
    y_true, y_pred = np.zeros(true_shape, "float32"), np.zeros(pred_shape, "float32")
    with pytest.raises(ValueError, match="has shape"):
        ls.losses.contrastive(y_true, y_pred)


@ls.loss
def mean_of_all(y_true, y_pred):
    return ops.mean(y_true - y_pred)


@ls.loss
def turned(y_true, y_pred):
    return ops.transpose(y_true - y_pred)


@ls.loss
def doubled_rows(y_true, y_pred):
    return ops.concatenate([y_true, y_pred], axis=0)


@pytest.mark.parametrize("loss", [mean_of_all, turned, doubled_rows], ids=str)
def test_a_formula_that_returns_another_shape_is_refused(loss):
    with pytest.raises(ValueError, match=f"{loss.name}: the formula returned shape"):
        loss(np.zeros((6, 3), "float32"), np.zeros((6, 3), "float32"))


def test_a_structure_reaches_the_formula_as_it_is():
    y_true = {"a": np.zeros(4, "float32"), "b": np.zeros((4, 1), "float32")}
    y_pred = {"a": np.ones((4, 1), "float32"), "b": np.full((4, 1), 2.0, "float32")}
    loss = user_losses.structured
    assert float(loss(y_true, y_pred)) == 5
    assert float(loss(y_true, y_pred, np.array([1.0, 0.0, 0.0, 0.0]))) == 5 / 4
    with pytest.raises(ValueError, match="nested unlike"):
        loss({"a": y_true["a"]}, y_pred)


def test_a_list_of_arrays_against_a_tensor():
    rows = [np.zeros(3, "float32"), np.ones(3, "float32")]
    assert float(ls.losses.mean_squared_error(rows, np.zeros((2, 3), "float32"))) == 0.5


def test_several_outputs_with_a_loss_each():
    inputs = keras.layers.Input((1,))
    model = keras.Model(
        inputs, {"a": keras.layers.Identity()(inputs), "b": keras.layers.Identity()(inputs)}
    )
    losses = {"a": ls.losses.huber(threshold=2.0), "b": ls.losses.mean_squared_error}
    model.compile(loss=losses, loss_weights={"a": 1.0, "b": 10.0})
    x = np.array([[1.0], [2.0], [4.0]], "float32")
    zeros = np.zeros(3, "float32")
    report = model.evaluate(x, {"a": zeros, "b": zeros}, verbose=0, return_dict=True)
    huber, squared = (0.5 + 2 + 6) / 3, 21 / 3
    assert report["loss"] == pytest.approx(huber + 10 * squared)


@ls.loss
def mean_of_features(y_true, y_pred):
    """A value per time step, however many there are."""
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize("steps", [1, 2])
def test_values_per_time_step_keep_their_axis(steps):
    y_true, y_pred = np.zeros((4, steps, 3)), np.ones((4, steps, 3))
    assert mean_of_features.values(y_true, y_pred).shape == (4, steps)
    weights = np.full((4, steps), 0.5)
    assert float(mean_of_features(y_true, y_pred, sample_weight=weights)) == 0.5


def test_time_steps_keep_their_axis():
    y_true, y_pred = np.zeros((2, 5), "float32"), np.ones((2, 5, 1), "float32")
    assert tuple(ls.losses.huber.values(y_true, y_pred).shape) == (2, 5)
    step = compiled(ls.losses.huber)
    assert float(step(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))) == 0.5


def test_labels_of_two_ranks_are_explained_where_the_backend_forgets_the_rank(backend):
    model = model_of((1,))
    model.compile("sgd", ls.losses.huber)
    x, y = np.zeros((4, 1)), np.zeros(4)
    model.train_on_batch(x, y)
    if backend == "tensorflow":
        with pytest.raises(ValueError, match=r"how many axes.*compile the model again"):
            model.train_on_batch(x, y[:, None])
        model.compile("sgd", ls.losses.huber)
    assert np.isfinite(model.train_on_batch(x, y[:, None]))
