"""What a finding says, and what it advises, fits the loss."""

from typing import Any

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


def root_of_shares(y_true, y_pred):
    share = ops.sqrt(y_true) * ops.sqrt(1 - y_true)
    return ops.mean(share * ops.square(y_true - y_pred), axis=-1)


def of_positive_targets(y_true, y_pred):
    if float(ops.min(y_true)) < 0:
        raise ValueError("targets must not be negative")
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def never_finite(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred) / (y_true - y_true), axis=-1)


@pytest.mark.parametrize(
    ("loss", "code", "advice"),
    [
        (root_of_shares, "LSM101", "`domain=(0, 1)` (`--domain 0 1`)"),
        (of_positive_targets, "LSM901", "`domain=(0, None)` (`--domain 0 inf`)"),
        (never_finite, "LSM101", ""),
    ],
)
def test_a_range_in_which_a_loss_is_finite_is_named(loss: Any, code: str, advice: str) -> None:
    settings = Settings("regression", entry="direct", time_limit=600)
    (found,) = (each for each in inspect(loss, settings).findings if each.rule.code == code)
    assert advice in found.remedy
    assert ("domain" in found.remedy) == bool(advice)
