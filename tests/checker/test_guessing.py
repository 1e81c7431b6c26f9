"""The kind of target that is guessed where none is given."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 4, 20)
ONE_HOT = np.eye(4)[CLASSES]
UNIT = RNG.uniform(0, 1, (20, 4))
SCORES = RNG.normal(0, 1, (20, 4))
SHARES = UNIT / UNIT.sum(axis=1, keepdims=True)


def sparse_of_logits(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def one_hot_of_logits(y_true, y_pred):
    return keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)


def of_probabilities(y_true, y_pred):
    p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
    return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)


def of_probabilities_and_overlap(y_true, y_pred):
    both = ops.sum(y_true * y_pred, axis=-1)
    either = ops.sum(y_true + y_pred, axis=-1)
    return of_probabilities(y_true, y_pred) - (2 * both + 1) / (either + 1)


def of_distances(y_true, y_pred):
    far = ops.square(ops.maximum(1.0 - y_pred, 0.0))
    return ops.mean(y_true * ops.square(y_pred) + (1 - y_true) * far, axis=-1)


def squared(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def serious(result: Any) -> list[str]:
    return [f.rule.code for f in result.findings if f.severity != "information"]


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (squared, "regression"),
        (sparse_of_logits, "sparse_categorical_logits"),
        (one_hot_of_logits, "categorical_logits"),
        (of_probabilities, "binary"),
        (of_probabilities_and_overlap, "binary"),
        (of_distances, "distance"),
    ],
)
def test_a_correct_loss_is_guessed_a_kind_that_makes_sense_of_it(loss: Any, kind: str) -> None:
    result = inspect(loss, Settings(time_limit=600))
    assert (result.target, result.target_inferred) == (kind, True)
    assert serious(result) == []


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "kind"),
    [
        (sparse_of_logits, CLASSES, UNIT, "sparse_categorical_logits"),
        (sparse_of_logits, CLASSES.astype("float32"), SCORES, "sparse_categorical_logits"),
        (one_hot_of_logits, ONE_HOT, UNIT, "categorical_logits"),
    ],
)
def test_predictions_that_do_not_sum_to_one_may_be_logits(
    loss: Any, y_true: Any, y_pred: Any, kind: str
) -> None:
    result = inspect(loss, Settings(y_true=y_true, y_pred=y_pred, time_limit=600))
    assert result.target == kind
    assert serious(result) == []


def test_a_softmax_of_probabilities_in_a_batch_is_still_found() -> None:
    result = inspect(sparse_of_logits, Settings(y_true=CLASSES, y_pred=SHARES, time_limit=600))
    assert "LSM701" in serious(result)


def test_a_loss_that_makes_sense_nowhere_is_tried_as_a_regression() -> None:
    result = inspect(lambda y_true, y_pred: -squared(y_true, y_pred), Settings(time_limit=600))
    assert (result.target, result.target_inferred) == ("regression", True)
    assert "LSM209" in serious(result)


def test_a_loss_of_keras_is_known_and_not_guessed() -> None:
    result = inspect("categorical_crossentropy", Settings(time_limit=600))
    assert (result.target, result.target_inferred) == ("categorical", False)
