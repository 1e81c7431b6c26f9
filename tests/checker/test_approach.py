"""Losses of labels that jump, lose their floor or divide by nothing, and how that is said."""

from typing import Any

import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.report import Finding
from lossmith.checker.settings import Settings


def found(code: str, loss: Any, target: Any, **settings: Any) -> Finding:
    (one,) = [each for each in inspect(loss, Settings(target, **settings)).findings
              if each.rule.code == code]  # fmt: skip
    return one


def squares_weighted_from(threshold: float, *, by_label: bool = False) -> Any:
    def squares(y_true, y_pred):
        share = y_true * y_pred + (1 - y_true) * (1 - y_pred)
        dear = (share if by_label else y_pred) > threshold
        return ops.mean(ops.where(dear, 1.8, 1.0) * ops.square(y_true - y_pred), axis=-1)

    return squares


def test_the_two_predictions_beside_a_jump_are_shown() -> None:
    jump = found("LSM205", squares_weighted_from(0.5), "binary")
    assert jump.severity == "error"
    assert jump.message.startswith("For label [1.0, 1.0, 1.0] the loss jumps from 0.2502 to 0.4499")
    assert "y_true" in jump.remedy
    assert jump.evidence is not None
    below, above = (max(row) for row in jump.evidence.y_pred)
    assert below < 0.5 <= above < below + 1e-3


@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_a_jump_away_from_a_decision_is_one_if_other_labels_have_it_too(threshold: float) -> None:
    assert found("LSM205", squares_weighted_from(threshold), "binary").severity == "error"
    by_difficulty = found("LSM205", squares_weighted_from(0.8, by_label=True), "binary")
    assert by_difficulty.severity == "information"


def test_a_jump_is_left_alone_where_outliers_are_dropped_on_purpose() -> None:
    findings = inspect(squares_weighted_from(0.5), Settings("binary", redescending=True)).findings
    assert "LSM205" not in {each.rule.code for each in findings}


def test_an_empty_row_that_costs_minus_ten_million_is_shown_alone() -> None:
    def dice(y_true, y_pred):
        total = ops.sum(y_true, axis=-1) + ops.sum(y_pred, axis=-1)
        return 1 - (2 * ops.sum(y_true * y_pred, axis=-1) + 1) / (total + 1e-7)

    cheap = found("LSM209", dice, "binary")
    assert "costs -" in cheap.message
    assert "numerator and the denominator" in cheap.remedy
    assert cheap.evidence is not None
    assert len(cheap.evidence.y_true) == 1
