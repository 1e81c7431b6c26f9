"""What is said of sample_weight, and of losses of the whole batch."""

from typing import Any

import keras
import pytest
from keras import ops

import lossmith as ls
from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def found(loss: Any) -> dict[str, Any]:
    result = inspect(loss, Settings("regression", time_limit=600))
    return {finding.rule.code: finding for finding in result.findings}


class OwnCall(keras.losses.Loss):
    def __init__(self, axes: Any = None):
        super().__init__()
        self.axes = axes

    def __call__(self, y_true, y_pred, sample_weight=None):
        return ops.mean(ops.square(ops.reshape(y_true, ops.shape(y_pred)) - y_pred), self.axes)


@pytest.mark.parametrize("axes", [None, -1])
def test_a_call_of_its_own_that_drops_the_weights_is_named(axes: Any) -> None:
    finding = found(OwnCall(axes))["LSM302"]
    assert "`__call__`" in finding.message
    assert "leave `__call__` to Keras" in finding.remedy


@ls.loss(batchwise=True)
def root_of_the_batch(y_true, y_pred):
    return ops.sqrt(ops.mean(ops.square(y_true - y_pred)) + 1e-6)


def test_what_is_declared_is_not_advised() -> None:
    findings = found(root_of_the_batch)
    assert {findings[code].severity for code in ("LSM307", "LSM309")} == {"information"}
    for code in ("LSM307", "LSM309"):
        assert "batchwise=True" not in findings[code].remedy
        assert "weights" not in findings[code].consequence
