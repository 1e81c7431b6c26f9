"""Every hyperparameter that is a real number or an array may be a tensor of the step."""

import keras
import numpy as np
import pytest
from gradients import (
    as_one_program,
    compiled,
    double_precision,
    finite_differences,
    to_numpy,
    value_and_gradient,
)
from keras import ops

import lossmith as ls
from contract.cases import CASES, each
from lossmith.allpairs import AllPairsLoss
from lossmith.core import traced
from lossmith.core.ranges import real_arm


def real_changes(case):
    """The hyperparameters of the case that a step may compute, and their values."""
    declared = case.loss.declared
    return {
        name: np.asarray(value, "float64")
        for name, value in case.changed.items()
        if (real_arm(declared[name].kind) and value is not None)
        or isinstance(case.other().hyperparameters[name], np.ndarray)
    }


REAL = [case for case in CASES if real_changes(case)]
# Over all pairs nothing can be learned, and only the embeddings have a gradient.
DIFFERENTIABLE = [case for case in REAL if not isinstance(case.loss, AllPairsLoss)]


def test_most_losses_have_such_hyperparameters():
    assert len(REAL) >= 10


@each(REAL)
def test_a_tensor_gives_what_the_number_gives(case, backend):
    loss, values = case.other(), real_changes(case)
    y_true, y_pred = case.batch()
    labels = ops.convert_to_tensor(y_true)
    expected = value_and_gradient(lambda p: loss(y_true, p), y_pred)
    names = list(values)

    def evaluate(p, *tensors):
        return traced(loss, dict(zip(names, tensors, strict=True)))(labels, p)

    tensors = [ops.convert_to_tensor(each, "float32") for each in values.values()]
    step = evaluate if backend == "torch" else compiled(evaluate)
    result = value_and_gradient(lambda p: step(p, *tensors), y_pred)
    np.testing.assert_allclose(result[0], expected[0], rtol=2e-5)
    np.testing.assert_allclose(result[1], expected[1], rtol=2e-4, atol=1e-6)


@each(DIFFERENTIABLE)
def test_the_gradient_with_respect_to_it_equals_finite_differences(case):
    y_true, y_pred = case.batch(dtype="float64")
    with double_precision():
        labels, predictions = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        as_number = as_one_program(case.other())(labels, predictions)
        for name, value in real_changes(case).items():
            evaluate = as_one_program(
                lambda tensor, name=name: traced(case.other(), {name: tensor})(labels, predictions)
            )
            gradient = value_and_gradient(evaluate, value)[1]
            expected = finite_differences(
                lambda changed, evaluate=evaluate: float(evaluate(ops.convert_to_tensor(changed))),
                np.array(value),
            )
            as_tensor = evaluate(ops.convert_to_tensor(value))
            np.testing.assert_allclose(to_numpy(as_tensor), to_numpy(as_number), rtol=1e-9)
            np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7, err_msg=name)


@each(REAL)
def test_many_values_at_once(case, backend):
    """`jax.vmap` over a hyperparameter is the loss at each value; elsewhere one after the other."""
    name, value = next(iter(real_changes(case).items()))
    values = np.stack([value, value * 0.9]).astype("float32")
    labels, predictions = (ops.convert_to_tensor(each) for each in case.batch())

    def evaluate(tensor):
        return traced(case.other(), {name: tensor})(labels, predictions)

    if backend == "jax":
        import jax

        together = jax.jit(jax.vmap(evaluate))(values)
    else:
        together = ops.stack([evaluate(each) for each in ops.convert_to_tensor(values)])
    expected = [to_numpy(case.other()(**{name: each})(labels, predictions)) for each in values]
    np.testing.assert_allclose(to_numpy(together), expected, rtol=2e-5)


def test_unknown_names_are_refused():
    with pytest.raises(TypeError, match="no hyperparameter `delta`; it has threshold"):
        traced(ls.losses.huber, {"delta": 2.0})


def test_the_original_is_left_as_it_was():
    loss = traced(ls.losses.huber, {"threshold": keras.ops.convert_to_tensor(2.0)})
    assert float(loss([0.0], [3.0])) == 4
    assert float(ls.losses.huber([0.0], [3.0])) == 2.5
