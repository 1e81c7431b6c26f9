"""What a finding says, and what it advises, fits the loss."""

import keras
import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def test_pairs_that_are_all_pulled_together_are_not_said_to_be_pushed_apart() -> None:
    def no_push(y_true, y_pred):
        far = ops.square(ops.maximum(y_pred - 1.0, 0.0))
        return ops.mean(y_true * ops.square(y_pred) + (1 - y_true) * far, axis=-1)

    findings = inspect(no_push, Settings("distance", same=1, time_limit=600)).findings
    codes = [finding.rule.code for finding in findings]
    assert "LSM208" in codes
    assert "LSM703" not in codes


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("quantile", "check in the function, with `if not 0 < q < 1: raise"),
        ("scaled", "check in `__init__`, with `if not scale > 0: raise"),
    ],
)
def test_the_check_to_write_is_one_of_the_hyperparameter(loss: str, words: str) -> None:
    def quantile(y_true, y_pred, q=0.3):
        error = y_true - y_pred
        return ops.mean(ops.maximum(q * error, (q - 1) * error), axis=-1)

    class Scaled(keras.losses.Loss):
        def __init__(self, scale=2.0):
            super().__init__()
            self.scale = scale

        def call(self, y_true, y_pred):
            return self.scale * ops.mean(ops.abs(y_true - y_pred), axis=-1)

    subject = quantile if loss == "quantile" else Scaled()
    findings = inspect(subject, Settings("regression", time_limit=600)).findings
    (remedy,) = [finding.remedy for finding in findings if finding.rule.code == "LSM502"]
    assert remedy.startswith(words)
