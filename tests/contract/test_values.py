"""Every loss, in every form, against its oracle."""

import inspect

import keras
import numpy as np
import pytest
from gradients import compiled, open_shapes, to_numpy
from keras import ops

import lossmith as ls
from contract.cases import CASES, each
from lossmith.core import registry

RTOL = 2e-5
CLASSES = list({type(case.loss) for case in CASES})


def reduced(case, values):
    """What the loss' own reduction makes of the oracle's values."""
    if case.loss.batchwise:
        return values
    return np.sum(values) if case.loss.reduction == "sum" else np.mean(values)


def test_the_whole_catalogue_goes_through_the_contract():
    assert set(registry.catalogue().values()) <= set(CLASSES)
    assert len(registry.catalogue()) >= 10


@each(CASES)
@pytest.mark.parametrize("rows", [1, 6])
def test_values_are_those_of_the_oracle(case, rows):
    y_true, y_pred = case.batch(rows)
    expected = case.expected(y_true, y_pred)
    values = to_numpy(case.loss.values(y_true, y_pred))
    assert values.shape == np.shape(expected)
    np.testing.assert_allclose(values, expected, rtol=RTOL, atol=1e-6)
    value = to_numpy(case.loss(y_true, y_pred))
    np.testing.assert_allclose(value, reduced(case, expected), rtol=RTOL, atol=1e-6)


@each([case for case in CASES if case.changed])
def test_hyperparameters_are_used(case):
    y_true, y_pred = case.batch()
    expected = case.expected(y_true, y_pred, **case.changed)
    assert not np.allclose(expected, case.expected(y_true, y_pred), rtol=1e-3)
    values = to_numpy(case.other().values(y_true, y_pred))
    np.testing.assert_allclose(values, expected, rtol=RTOL, atol=1e-6)


@each(CASES)
def test_all_forms_are_one_loss(case):
    loss, kind = case.other(), type(case.loss)
    forms = {
        "class": kind(**{**case.loss.hyperparameters, **case.changed}),
        "changed twice": case.loss(reduction="none")(**case.changed)(reduction=case.loss.reduction),
        "config": kind.from_config(loss.get_config()),
        "dictionary": ls.get(
            {"class_name": registry.registered_name(kind), "config": loss.get_config()}
        ),
        "serialized": ls.get(keras.losses.serialize(loss)),
    }
    y_true, y_pred = case.batch()
    for form, other in forms.items():
        assert type(other) is kind, form
        assert other == loss, form
        assert hash(other) == hash(loss), form
        np.testing.assert_array_equal(
            to_numpy(other(y_true, y_pred)), to_numpy(loss(y_true, y_pred)), form
        )
    assert case.loss() is case.loss


@each([case for case in CASES if case.is_default])
def test_a_loss_by_its_registered_name(case):
    assert ls.get(registry.registered_name(type(case.loss))) == case.loss


@each(CASES)
def test_a_model_reports_the_same_number(case):
    loss = case.other()
    y_true, y_pred = case.batch()
    model = keras.Sequential(
        [keras.layers.Input(y_pred.shape[1:] or (1,)), keras.layers.Activation("linear")]
    )
    model.compile(loss=loss, metrics=[loss])
    inputs = y_pred if y_pred.ndim > 1 else y_pred[:, None]
    reported = model.evaluate(inputs, y_true, verbose=0)
    np.testing.assert_allclose(reported, [float(loss(y_true, y_pred))] * 2, rtol=1e-5)


@each(CASES)
def test_a_compiled_step_gives_the_same_number(case):
    y_true, y_pred = (ops.convert_to_tensor(each) for each in case.batch())
    loss = case.other()
    expected = to_numpy(loss(y_true, y_pred))
    for step in (compiled(loss), open_shapes(loss, y_true, y_pred)):
        np.testing.assert_allclose(to_numpy(step(y_true, y_pred)), expected, rtol=1e-5)


@each(CASES)
def test_a_compiled_step_with_weights_gives_the_same_number(case):
    y_true, y_pred = (ops.convert_to_tensor(each) for each in case.batch())
    weights = ops.convert_to_tensor(np.array([0, 2, 1, 0, 3, 1], "float32"))
    loss = case.other()
    expected = to_numpy(loss(y_true, y_pred, weights))
    for step in (compiled(loss), open_shapes(loss, y_true, y_pred, weights)):
        np.testing.assert_allclose(to_numpy(step(y_true, y_pred, weights)), expected, rtol=1e-5)


@each(CASES)
def test_numpy_lists_and_tensors_are_alike(case):
    y_true, y_pred = case.batch()
    expected = to_numpy(case.loss(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)))
    np.testing.assert_array_equal(to_numpy(case.loss(y_true, y_pred)), expected)
    listed = case.loss(y_true.tolist(), y_pred.tolist())
    np.testing.assert_allclose(to_numpy(listed), expected, rtol=1e-6)


@each(CASES)
def test_an_empty_batch_costs_nothing(case):
    y_true, y_pred = (each[:0] for each in case.batch())
    assert to_numpy(case.loss(y_true, y_pred)) == 0
    assert to_numpy(case.loss(y_true, y_pred, np.zeros(0, "float32"))) == 0


@each(CASES)
def test_names_and_text(case):
    loss = case.other()
    assert inspect.getdoc(type(loss))
    for name in case.changed:
        assert f"{name}=" in repr(loss)
    assert loss(name="mine").name == "mine"
    assert loss(name="mine") == loss
