from typing import Any

from keras import ops

from lossmith.checker.curve import trace


def correlation(y_true: Any, y_pred: Any) -> Any:
    t, p = y_true - ops.mean(y_true, axis=0), y_pred - ops.mean(y_pred, axis=0)
    return 1 - ops.sum(t * p) / ops.sqrt(ops.sum(t * t) * ops.sum(p * p))


def squared(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def test_a_loss_that_has_no_value_for_one_prediction_is_not_drawn() -> None:
    assert trace(correlation, "regression", "compile") == []
    (curve,) = trace(squared, "regression", "compile")
    assert curve.values[0] == 16.0
