"""What a model's output shape must be, whatever the loss computes."""

from typing import Any

import keras
import numpy as np
import pytest

from lossmith.checker.context import Context
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.probes.reach import probe_shapes
from lossmith.checker.settings import Settings
from lossmith.checker.targets import build
from lossmith.checker.wire import settings_from_json, settings_to_json

ONE_HOT = np.eye(3, dtype="float32")


def found(kind: Any, shape: tuple[int | None, ...], y_true: Any = None) -> list[str]:
    y_pred = None if y_true is None else np.zeros((len(y_true), 3), "float32")
    settings = Settings(kind, y_true, y_pred, output_shape=shape)
    travelled = settings_from_json(settings_to_json(settings))
    evaluator = Evaluator(keras.losses.mean_squared_error)
    findings = probe_shapes(Context(evaluator, build(kind), travelled))
    return [finding.message for finding in findings if finding.rule.code == "LSM803"]


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("categorical", (None, 1), "softmax is always 1"),
        ("sparse_categorical_logits", (None, 1), "a column for each class"),
        ("pair", (None, 2), "(N, 2, D)"),
        ("embedding", (None, 4, 4, 8), "(N, D)"),
        ("boxes", (None, 5), "four numbers"),
        ("distance", (None, 2), "(N, 1)"),
    ],
)
def test_an_output_of_another_shape_is_told(kind: str, shape: Any, words: str) -> None:
    (message,) = found(kind, shape)
    assert str(shape) in message
    assert words in message


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("categorical", (None, 2)),
        ("sparse_categorical", (None, None, None, 3)),
        ("pair", (None, 2, 8)),
        ("embedding", (None, 8)),
        ("boxes", (None, 4)),
        ("distance", (None, 1)),
        ("distance", (None,)),
        ("regression", (None, 7)),
        ("survival", (None, 30)),
    ],
)
def test_an_output_that_fits_is_left_alone(kind: str, shape: Any) -> None:
    assert found(kind, shape) == []


def test_the_targets_given_decide_the_columns() -> None:
    assert found("categorical", (None, 3), ONE_HOT) == []
    assert "(3, 3)" in found("categorical", (None, 4), ONE_HOT)[0]
    assert found("sparse_categorical", (None, 3), np.arange(3)) == []
    assert "go up to 3" in found("sparse_categorical", (None, 3), np.arange(4))[0]
    assert found("regression", (None, 1), ONE_HOT) == []
