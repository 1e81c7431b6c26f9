"""The kind of target that is guessed where none is given."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from lossmith.checker.evaluate import Evaluator
from lossmith.checker.guessing import choose
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


def expectile_without_abs(y_true, y_pred):
    error = y_true - y_pred
    return ops.mean((0.8 - ops.cast(error < 0, "float32")) * ops.square(error), axis=-1)


def overlap_without_clipping(y_true, y_pred):
    sides = ops.minimum(y_true[:, 2:], y_pred[:, 2:]) - ops.maximum(y_true[:, :2], y_pred[:, :2])
    both, areas = ops.prod(sides, axis=-1), 0.0
    for box in (y_true, y_pred):
        areas = areas + ops.prod(box[:, 2:] - box[:, :2], axis=-1)
    return 1.0 - both / (areas - both + 1e-7)


def farthest_first(y_true, y_pred):
    gaps = ops.sum(ops.square(y_pred[:, None] - y_pred[None]), axis=-1)
    same = ops.equal(ops.reshape(y_true, (-1, 1)), ops.reshape(y_true, (1, -1)))
    same = ops.cast(same, "float32")
    return ops.relu(ops.min(gaps + 1e6 * same, axis=1) - ops.max(gaps * same, axis=1) + 0.5)


def squared_hinge_of_shares(y_true, y_pred):
    return ops.mean(ops.square(ops.relu(1.0 + y_true * y_pred)), axis=-1)


def exponential_survival(y_true, y_pred):
    return ops.exp(y_pred[:, 0]) * y_true[:, 0] - y_true[:, 1] * y_pred[:, 0]


def of_the_middle(y_true, y_pred):
    middle = 0.5 * (y_true + y_pred)

    def divergence(a):
        sizes = ops.log(ops.clip(a, 1e-7, 1.0)) - ops.log(ops.clip(middle, 1e-7, 1.0))
        return ops.sum(a * sizes, axis=-1)

    return 0.5 * divergence(y_true) + 0.5 * divergence(y_pred)


def powers_of_what_is_missing(y_true, y_pred):
    missing = 1.0 - ops.sum(y_true * y_pred, axis=-1)
    return missing + missing**2 / 2 + missing**3 / 3


def overlap_of_everything(y_true, y_pred):
    both = ops.sum(y_true * y_pred)
    return 1.0 - (2 * both + 1) / (ops.sum(y_true) + ops.sum(y_pred) + 1)


def steps_that_are_no_padding(y_true, y_pred):
    valid = ops.cast(ops.any(ops.not_equal(y_true, 0.0), axis=-1), "float32")
    error = ops.mean(ops.square(y_true - y_pred), axis=-1) * valid
    return ops.sum(error, axis=1) / ops.maximum(ops.sum(valid, axis=1), 1.0)


def likelihood_of_two_columns(y_true, y_pred):
    mean, log_variance = ops.split(y_pred, 2, axis=-1)
    return ops.mean(log_variance + ops.square(y_true - mean) * ops.exp(-log_variance), axis=-1)


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
        (of_the_middle, "binary"),
        (powers_of_what_is_missing, "categorical"),
        (overlap_of_everything, "segmentation"),
        (likelihood_of_two_columns, "regression"),
        (steps_that_are_no_padding, "sequence"),
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


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred"),
    [
        (
            lambda y_true, y_pred: (
                -ops.sum(
                    ops.log(ops.clip(1.0 + y_true[:, :4] * (y_pred - 1.0), 1e-7, 1e9))
                    + ops.log(ops.clip(1.0 - y_true[:, 4:] * y_pred, 1e-7, 1e9)),
                    axis=-1,
                )
            ),
            np.concatenate([ONE_HOT[::-1], ONE_HOT], axis=1),
            UNIT,
        ),
        (
            lambda y_true, y_pred: ops.mean(ops.square(y_pred), axis=-1),
            np.zeros((20, 1)),
            SCORES,
        ),
    ],
)
def test_targets_of_another_shape_than_predictions_are_no_classes(
    loss: Any, y_true: Any, y_pred: Any
) -> None:
    result = inspect(loss, Settings(y_true=y_true, y_pred=y_pred, time_limit=600))
    assert (result.target, serious(result)) == ("regression", [])


def test_a_softmax_of_probabilities_in_a_batch_is_still_found() -> None:
    result = inspect(sparse_of_logits, Settings(y_true=CLASSES, y_pred=SHARES, time_limit=600))
    assert "LSM701" in serious(result)


def test_a_loss_that_makes_sense_nowhere_is_tried_as_a_regression() -> None:
    result = inspect(lambda y_true, y_pred: -squared(y_true, y_pred), Settings(time_limit=600))
    assert (result.target, result.target_inferred) == ("regression", True)
    assert "LSM209" in serious(result)


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (expectile_without_abs, "regression"),
        (overlap_without_clipping, "boxes"),
        (farthest_first, "embedding"),
        (squared_hinge_of_shares, "plus_minus"),
    ],
)
def test_symmetries_tell_the_kind_of_a_wrong_loss(loss: Any, kind: str) -> None:
    result = inspect(loss, Settings(time_limit=600))
    assert result.target == kind
    assert serious(result)


def test_a_loss_of_times_and_events_is_guessed_and_left_alone() -> None:
    result = inspect(exponential_survival, Settings(time_limit=600))
    assert (result.target, serious(result)) == ("survival", [])


def test_a_guess_is_weak_unless_a_symmetry_of_the_loss_speaks_for_it() -> None:
    def crossentropy(y_true, y_pred):
        p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
        return -ops.mean(y_true * ops.log(p) + (1 - y_true) * ops.log(1 - p), axis=-1)

    def absolute(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=-1)

    assert choose(Evaluator(crossentropy), Settings()).weak
    assert not choose(Evaluator(absolute), Settings()).weak


def test_a_label_that_means_the_same_belongs_to_pairs() -> None:
    result = inspect(of_distances, Settings(same=0, time_limit=600))
    assert (result.target, serious(result)) == ("distance", ["LSM703"])


def test_a_loss_of_keras_with_other_options_is_known_and_not_guessed() -> None:
    loss = functools.partial(
        keras.losses.binary_crossentropy, from_logits=True, label_smoothing=0.1
    )
    result = inspect(loss, Settings(time_limit=600))
    assert (result.target, result.target_inferred) == ("binary_logits", False)
    assert serious(result) == []


def test_a_loss_of_keras_is_known_and_not_guessed() -> None:
    result = inspect("categorical_crossentropy", Settings(time_limit=600))
    assert (result.target, result.target_inferred) == ("categorical", False)
