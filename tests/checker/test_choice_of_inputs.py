"""With which columns a loss is tried, and which kind is named where the one given does not run."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def weighted_columns(y_true, y_pred):
    return ops.mean(ops.convert_to_tensor([1.0, 30.0]) * ops.square(y_true - y_pred), axis=-1)


def first_column(y_true, y_pred):
    return ops.square(y_true[:, 0] - y_pred[:, 0])


@pytest.mark.parametrize(("loss", "columns"), [(weighted_columns, 2), (first_column, 1)])
def test_the_card_is_measured_on_as_many_columns_as_the_loss_weighs(
    loss: Any, columns: int
) -> None:
    card = inspect(loss, Settings("regression")).card
    assert card.rows["values"].value == f"(6,) for predictions (6, {columns})"


@pytest.mark.parametrize("loss", [weighted_columns, first_column])
def test_the_card_is_measured_on_as_many_columns_as_the_batch_has(loss: Any) -> None:
    y = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    card = inspect(loss, Settings("regression", y, y[::-1].copy())).card
    assert card.rows["values"].value == "(6,) for predictions (6, 2)"


def of_classes(y_true: Any, y_pred: Any) -> Any:
    """A cross entropy that refuses a single column, which JAX would take class 0 for."""
    if y_pred.shape[-1] < 2:
        raise ValueError(f"needs a column for each class; got {y_pred.shape}")
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


@pytest.mark.parametrize(
    ("loss", "target", "guess"),
    [
        (keras.losses.Huber(), "sparse_categorical", "regression"),
        (of_classes, "regression", "sparse_categorical"),
    ],
)
def test_the_kind_that_a_loss_looks_like_leads(loss: Any, target: Any, guess: str) -> None:
    (finding,) = inspect(loss, Settings(target)).findings
    assert finding.rule.code == "LSM902"
    assert finding.remedy.startswith(f"it looks like one of target='{guess}'; it also runs with")
