import keras
import numpy as np
import pytest
from keras import ops

from lossmith.checker.evaluate import Evaluator, words_of

Y = np.asarray([[1.0], [0.0], [2.0]], "float32")
P = np.asarray([[0.5], [1.0], [-1.0]], "float32")


def squared(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


class Squared(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred), axis=-1)


def test_value_and_gradient_of_the_reduced_loss() -> None:
    seen = Evaluator(squared).reduced(Y, P)
    np.testing.assert_allclose(seen.value, np.mean((Y - P) ** 2), rtol=1e-6)
    np.testing.assert_allclose(seen.gradient, 2 * (P - Y) / 3, rtol=1e-6)
    assert seen.finite


def test_rows_have_a_value_and_a_gradient_of_their_own() -> None:
    seen = Evaluator(squared).rows(Y, P)
    np.testing.assert_allclose(seen.value, ((Y - P) ** 2)[:, 0], rtol=1e-6)
    np.testing.assert_allclose(seen.gradient, 2 * (P - Y), rtol=1e-6)


@pytest.mark.parametrize("loss", [squared, Squared(), Squared(reduction="sum")])
def test_what_the_formula_returns_is_seen_before_it_is_reduced(loss) -> None:
    seen = Evaluator(loss).unreduced(Y, P)
    np.testing.assert_allclose(seen.value, ((Y - P) ** 2)[:, 0], rtol=1e-6)


def test_a_function_is_wrapped_as_compile_does_and_an_instance_is_not() -> None:
    right = np.mean((Y - P) ** 2)
    np.testing.assert_allclose(Evaluator(squared).reduced(Y[:, 0], P).scalar, right, rtol=1e-6)
    crossed = np.mean((Y[:, 0][None] - P) ** 2)
    np.testing.assert_allclose(Evaluator(Squared()).reduced(Y[:, 0], P).scalar, crossed, rtol=1e-6)


def test_weights_go_through_keras() -> None:
    weight = np.asarray([1.0, 0.0, 3.0])
    wanted = np.sum(weight * ((Y - P) ** 2)[:, 0]) / 3
    np.testing.assert_allclose(Evaluator(squared).reduced(Y, P, weight).scalar, wanted, rtol=1e-6)


def of_two_columns(y_true, y_pred):
    if y_pred.shape[-1] != 2:
        raise ValueError("needs two columns")
    return squared(y_true, y_pred)


def test_a_loss_that_raises_on_some_inputs_is_compiled_for_others() -> None:
    evaluator = Evaluator(of_two_columns)
    assert not evaluator.reduced(Y, P).ran
    assert evaluator.not_compilable is None
    seen = evaluator.reduced(*(np.repeat(array, 2, axis=1) for array in (Y, P)))
    np.testing.assert_allclose(seen.value, np.mean((Y - P) ** 2), rtol=1e-6)


def signed(y_true, y_pred):
    """Its branch depends on a value, which no trace knows; it runs eagerly."""
    if y_pred.shape[-1] != 2:
        raise ValueError("needs two columns")
    try:
        return squared(y_true, y_pred) if y_pred[0, 0] > 0 else squared(y_true, -y_pred)
    except TypeError as error:
        raise RuntimeError("cannot branch") from error


def test_a_loss_that_cannot_be_traced_is_run_to_see_whether_it_runs() -> None:
    evaluator = Evaluator(signed)
    assert not evaluator.runs(Y, P).ran
    assert evaluator.runs(*(np.repeat(array, 2, axis=1) for array in (Y, P))).ran


def test_an_error_is_an_observation() -> None:
    def broken(y_true, y_pred):
        raise KeyError("nothing here")

    seen = Evaluator(broken).reduced(Y, P)
    assert not seen.ran
    assert "nothing here" in seen.error
    assert np.isnan(seen.scalar)


def test_a_loss_that_does_not_use_the_prediction_has_no_gradient() -> None:
    seen = Evaluator(lambda y_true, y_pred: ops.mean(ops.square(y_true), axis=-1)).reduced(Y, P)
    assert not np.any(seen.slopes)


def test_compiled_with_an_open_batch_size_takes_a_smaller_last_batch() -> None:
    first, last = Evaluator(squared).compiled((Y, P), (Y[:2], P[:2]))
    np.testing.assert_allclose(first.scalar, np.mean((Y - P) ** 2), rtol=1e-6)
    assert last.ran


def test_a_name_of_keras_is_resolved() -> None:
    seen = Evaluator("mse").reduced(Y, P)
    np.testing.assert_allclose(seen.scalar, np.mean((Y - P) ** 2), rtol=1e-6)


def test_a_name_that_only_a_training_step_takes_compiles() -> None:
    def _squared(y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred), axis=-1)

    for loss in (_squared, lambda y_true, y_pred: squared(y_true, y_pred)):
        assert Evaluator(loss).compiled((Y, P), (Y[:2], P[:2]))[0].ran


def test_words_of_an_error_end_with_a_whole_word() -> None:
    words = words_of(ValueError("one two three four"), 9)
    assert words == "ValueError: one two …"
