"""Losses of survival: what is said of those who were censored."""

from typing import Any

import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def serious(loss: Any, target: str = "survival") -> set[str]:
    settings = Settings(target, batchwise=True, time_limit=600)  # type: ignore[arg-type]
    return {f.rule.code for f in inspect(loss, settings).findings if f.severity != "information"}


def cox(at_risk: Any) -> Any:
    def partial_likelihood(y_true, y_pred):
        time, event, risk = y_true[:, 0], y_true[:, 1], ops.reshape(y_pred, (-1,))
        outside = 1 - ops.cast(at_risk(time[None, :], time[:, None]), "float32")
        log_sum = ops.logsumexp(risk[None, :] - 1e9 * outside, axis=1)
        return -ops.sum((risk - log_sum) * event) / (ops.sum(event) + 1e-7)

    return partial_likelihood


def penalised(y_true, y_pred):
    return cox(ops.greater_equal)(y_true, y_pred) + 0.01 * ops.mean(ops.square(y_pred))


def log_normal_times(y_true, y_pred):
    """Accelerated failure: the score is the logarithm of the time."""
    z = ops.log(y_true[:, :1]) - y_pred
    survived = -ops.log(0.5 * ops.erfc(ops.clip(z, -5.0, 3.0) / 1.4142) + 1e-7)
    return ops.mean(ops.where(y_true[:, 1:] > 0.5, 0.5 * z * z, survived), axis=-1)


def turned(loss: Any) -> Any:
    """The loss that takes 1 for censored."""

    def of_the_others(y_true, y_pred):
        return loss(ops.stack([y_true[:, 0], 1 - y_true[:, 1]], axis=1), y_pred)

    return of_the_others


def exponential(y_true, y_pred):
    return ops.mean(ops.exp(y_pred) * y_true[:, :1] - y_true[:, 1:] * y_pred, axis=-1)


def squared(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize("loss", [cox(ops.greater_equal), penalised])
def test_those_at_risk_are_those_who_live_longer(loss: Any) -> None:
    assert serious(loss) == set()


def test_the_logarithm_of_the_time_is_a_score_too() -> None:
    assert not serious(log_normal_times) & {"LSM207", "LSM208"}


def test_risk_sets_the_wrong_way_round_are_found() -> None:
    assert "LSM208" in serious(cox(ops.less_equal))


def test_a_regression_is_no_loss_of_survival() -> None:
    assert "LSM207" in serious(squared)


def masked(divisor: Any) -> Any:
    def error(y_true, y_pred):
        valid = ops.cast(ops.any(ops.not_equal(y_true, 0.0), axis=-1), "float32")
        each = ops.mean(ops.square(y_true - y_pred), axis=-1) * valid
        return ops.sum(each, axis=1) / divisor(valid)

    return error


@pytest.mark.parametrize("loss", [cox(ops.greater_equal), penalised, log_normal_times, exponential])
def test_an_event_that_is_taken_for_censored_is_the_cause_that_leads(loss: Any) -> None:
    assert serious(loss) == set()
    assert serious(turned(loss)) == {"LSM704"}


def test_padding_that_is_left_out_is_not_counted() -> None:
    assert "LSM310" in serious(masked(lambda valid: ops.shape(valid)[1]), "sequence")
    right = masked(lambda valid: ops.maximum(ops.sum(valid, axis=1), 1.0))
    assert "LSM310" not in serious(right, "sequence")
