"""What the card and the advice say agrees with what was measured."""

import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def squared(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def absolute(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("loss", "row", "value", "note"),
    [
        (squared, "bounded influence", False, "large errors pull harder"),
        (absolute, "bounded influence", True, "large errors pull no harder"),
        (squared, "redescending", False, "large errors do not pull less"),
        (squared, "smooth", True, ""),
        (absolute, "smooth", False, "the slope changes at once"),
    ],
)
def test_a_note_agrees_with_its_value(loss, row, value, note) -> None:
    found = inspect(loss, Settings("regression", time_limit=600)).card.rows[row]
    assert (found.value, found.note) == (value, note)
    assert "y_pred - y_true" in found.measured_on


def test_the_card_says_with_which_hyperparameters_it_was_measured() -> None:
    def scaled(y_true, y_pred, scale=2.5, kind="mean"):
        return scale * ops.mean(ops.square(y_true - y_pred), axis=-1)

    card = inspect(scaled, Settings("regression", time_limit=600)).card
    assert card.rows["measured with"].value == "scale=2.5, kind='mean'"


def test_an_overflow_is_not_mended_by_a_guard_at_zero() -> None:
    def exponential(y_true, y_pred):
        return ops.mean(ops.exp(ops.abs(y_true - y_pred)) - 1.0, axis=-1)

    findings = inspect(exponential, Settings("regression", time_limit=600)).findings
    (remedy,) = [finding.remedy for finding in findings if finding.rule.code == "LSM101"]
    assert "overflow" in remedy
