"""The cause of several findings leads, and what it explains is left out."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from lossmith.checker import rules
from lossmith.checker.inspection import inspect, settle
from lossmith.checker.report import Finding
from lossmith.checker.settings import Settings


def found(loss: Any, target: str, **words: Any) -> list[Finding]:
    findings = inspect(loss, Settings(target, time_limit=600, **words)).findings
    return [finding for finding in findings if finding.severity != "information"]


def codes(loss: Any, target: str, **words: Any) -> list[str]:
    return [finding.rule.code for finding in found(loss, target, **words)]


class Counting(keras.losses.Loss):
    """Each call is worth a little more than the last one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls = 0

    def call(self, y_true, y_pred):
        self.calls += 1
        error = ops.abs(ops.reshape(y_true, ops.shape(y_pred)) - y_pred)
        return ops.mean(error, axis=-1) * (1 + 0.01 * self.calls)


class WarmingUp(Counting):
    """The value no longer changes when it has been called often enough."""

    def call(self, y_true, y_pred):
        self.calls += 1
        share = min(1.0, self.calls / 20)
        error = ops.abs(ops.reshape(y_true, ops.shape(y_pred)) - y_pred)
        return ops.mean(share * ops.square(error) + (1 - share) * error, axis=-1)


class CountingOnly(Counting):
    """The count is not read: what else is wrong has another cause."""

    def call(self, y_true, y_pred):
        self.calls += 1
        return ops.mean(ops.abs(ops.reshape(y_true, ops.shape(y_pred)) - y_pred))


@pytest.mark.parametrize("loss", [Counting, WarmingUp])
def test_state_explains_what_changes_from_call_to_call(loss: Any) -> None:
    (finding,) = found(loss(), "regression")
    assert finding.rule.code == "LSM408"
    assert "its own calls, and the same input gives" in finding.message


def test_state_that_no_value_depends_on_explains_nothing_else() -> None:
    assert codes(CountingOnly(), "regression") == ["LSM408", "LSM302"]


def logarithm_of_scores(y_true, y_pred):
    return -ops.sum(y_true * ops.log(y_pred), axis=-1)


def clipped_logarithm_of_scores(y_true, y_pred):
    return -ops.sum(y_true * ops.log(ops.clip(y_pred, 1e-7, 1.0)), axis=-1)


def logarithms_of_scores(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (logarithm_of_scores, "categorical_logits"),
        (clipped_logarithm_of_scores, "categorical_logits"),
        (logarithms_of_scores, "binary_logits"),
    ],
)
def test_the_logarithm_of_logits_explains_labels_without_gradient(loss: Any, target: str) -> None:
    assert codes(loss, target) == ["LSM705"]


def test_a_warning_hides_no_error() -> None:
    y = np.asarray([[0.0, 1.0], [1.0, 0.0]])
    result = inspect(logarithm_of_scores, Settings(y_true=y, y_pred=[[2.0, -1.0], [-0.5, 0.5]]))
    severities = {finding.rule.code: finding.severity for finding in result.findings}
    assert (severities["LSM705"], severities["LSM101"]) == ("warning", "error")


def test_causes_lead_among_what_is_as_serious() -> None:
    below, cause = (rules.finding(rule, "") for rule in (rules.RANK_BROADCAST, rules.LOGITS_UNFIT))
    assert settle([below, cause]) == [cause, below]
