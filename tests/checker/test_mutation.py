"""The mutants are what they are called, and are told apart by what they do."""

import pytest
from keras import ops

import lossmith as ls
from checker import mutation


def half_square(y_true, y_pred):
    error = ops.abs(y_true - y_pred)
    return ops.mean(0.5 * error * error, axis=-1)


def guarded(y_true, y_pred):
    return ops.mean(ops.maximum(ops.abs(y_true - y_pred) - 0.5, 0.0), axis=-1)


def fates(loss: object, kind: str = "regression") -> dict[tuple[str, str], str]:
    return {
        (mutant.operator, mutant.line): mutation.compare(loss, mutant.loss, kind)
        for mutant in mutation.mutants(loss)
    }


def test_a_mutant_that_changes_nothing_is_equivalent() -> None:
    found = fates(half_square)
    assert found["drop abs", "error = _itself(y_true - y_pred)"] == "same"
    assert found["swap operands", "error = ops.abs(y_pred - y_true)"] == "same"


def test_a_mutant_that_changes_a_factor_is_told_apart() -> None:
    assert fates(half_square)["constant", "return ops.mean(1.0 * error * error, axis=-1)"] == (
        "scaled"
    )


def test_other_mutants_differ() -> None:
    found = fates(guarded)
    dropped = [kind for (operator, _), kind in found.items() if operator == "drop abs"]
    assert dropped == ["different"]
    assert {kind for (operator, _), kind in found.items() if operator == "axis"} == {"different"}
    switched = [kind for (operator, _), kind in found.items() if operator == "maximum and minimum"]
    assert switched == ["different"]


def test_what_a_factory_was_given_stays_as_it_was() -> None:
    def make(width):
        def shifted(y_true, y_pred):
            return ops.mean(ops.abs(y_true - y_pred) - width, axis=-1)

        return shifted

    found = list(mutation.mutants(make(2.0)))
    assert found
    for mutant in found:
        assert mutant.loss(ops.zeros((2, 2)), ops.ones((2, 2))) is not None


def test_a_class_stands_for_what_it_makes_without_arguments() -> None:
    found = list(mutation.mutants(ls.losses.Contrastive))
    assert found
    assert all(isinstance(mutant.loss, ls.losses.Contrastive) for mutant in found)


@pytest.mark.parametrize("loss", [ls.losses.contrastive(margin=3.0), ls.losses.quantile(q=0.9)])
def test_a_class_keeps_its_hyperparameters_in_its_mutants(loss: ls.Loss) -> None:
    found = list(mutation.mutants(loss))
    assert found
    for mutant in found:
        assert isinstance(mutant.loss, type(loss))
        assert mutant.loss.hyperparameters == loss.hyperparameters
