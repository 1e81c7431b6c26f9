"""What is said of sample_weight, and of losses of the whole batch."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls
from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def found(loss: Any, target: Any = "regression", *batch: Any) -> dict[str, Any]:
    result = inspect(loss, Settings(target, *batch, time_limit=600))
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


LENGTHS = np.asarray([5, 2, 4, 1, 3, 5])
WORDS = np.where(np.arange(5) < LENGTHS[:, None], 1 + np.arange(30).reshape(6, 5) % 3, 0)
LOGITS = np.random.default_rng(3).normal(0, 1, (6, 5, 4)).astype("float32")


def mean_of_what_counts(y_true, y_pred, weights=1.0):
    counts = ops.cast(ops.not_equal(y_true, 0), "float32") * weights
    one_hot = ops.one_hot(ops.cast(y_true, "int32"), 4)
    return -ops.sum(counts[..., None] * one_hot * ops.log_softmax(y_pred)) / ops.sum(counts)


def mean_under_the_sizes_of_targets(y_true, y_pred):
    return mean_of_what_counts(y_true, y_pred, ops.cast(y_true, "float32"))


def mean_of_rows(y_true, y_pred):
    return ops.mean(ops.square(ops.expand_dims(y_true, -1) - y_pred))


def test_a_mean_over_all_steps_that_count_is_told_and_not_warned_of() -> None:
    """Where one row has more steps than another, no values of the rows have that mean."""
    findings = found(mean_of_what_counts, "sequence", WORDS, LOGITS)
    assert {findings[code].severity for code in ("LSM307", "LSM309")} == {"information"}
    assert "weights of single samples cannot act" in findings["LSM309"].consequence
    assert "LSM302" not in findings


def test_another_mean_over_the_batch_is_warned_of() -> None:
    weighted = found(mean_under_the_sizes_of_targets, "sequence", WORDS, LOGITS)
    assert weighted["LSM307"].severity == "warning"
    assert found(mean_of_rows, "sequence", WORDS, LOGITS)["LSM302"].severity == "error"
