"""Every loss, in every form, against its oracle."""

import inspect

import keras
import numpy as np
import pytest
from gradients import as_one_program, to_numpy
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
    def both(y_true, y_pred):
        return case.loss.values(y_true, y_pred), case.loss(y_true, y_pred)

    y_true, y_pred = case.batch(rows)
    expected = case.expected(y_true, y_pred)
    evaluate = as_one_program(both) if rows == 1 else both
    values, value = (to_numpy(each) for each in evaluate(y_true, y_pred))
    assert values.shape == np.shape(expected)
    np.testing.assert_allclose(values, expected, rtol=RTOL, atol=1e-6)
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


def output_of(case):
    return f"output_{CASES.index(case)}"


@pytest.fixture(scope="module")
def reported(backend):
    """What a model reports that has an output for every loss: one step is compiled, not many."""
    inputs, outputs, losses, metrics, x, y = {}, {}, {}, {}, {}, {}
    for case in CASES:
        name, loss = output_of(case), case.other()
        y[name], y_pred = case.batch()
        x[name] = y_pred if y_pred.ndim > 1 else y_pred[:, None]
        inputs[name] = keras.layers.Input(x[name].shape[1:])
        outputs[name] = keras.layers.Activation("linear", name=name)(inputs[name])
        losses[name], metrics[name] = loss, [loss]
    model = keras.Model(inputs, outputs)
    # TensorFlow's XLA is the subject of the compiled steps; here it takes longest by far.
    jit_compile = False if backend == "tensorflow" else "auto"
    model.compile(loss=losses, metrics=metrics, jit_compile=jit_compile)
    return model.evaluate(x, y, verbose=0, return_dict=True)


@each(CASES)
def test_a_model_reports_the_same_number(case, reported):
    loss, name = case.other(), output_of(case)
    expected = float(loss(*case.batch()))
    assert reported[f"{name}_loss"] == pytest.approx(expected, rel=1e-5)
    assert reported[f"{name}_{loss.name}"] == pytest.approx(expected, rel=1e-5)


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
