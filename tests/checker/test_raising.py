"""What is said of losses that do not run, or that give no number of a sample."""

from typing import Any

import keras
import numpy as np
import pytest

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def constant(y_true, y_pred):
    return np.float32(3.0)


def test_a_constant_is_no_mean_over_the_samples() -> None:
    codes = {found.rule.code for found in inspect(constant, Settings("regression")).findings}
    assert "LSM201" in codes
    assert "LSM302" not in codes


def generator(y_true, y_pred):
    yield y_pred


class WithoutBase(keras.losses.Loss):
    def __init__(self) -> None:
        self.scale = 2.0

    def call(self, y_true, y_pred):
        return self.scale * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def unreadable(y_true, y_pred):
    raise UnreadableError


def steering(y_true, y_pred):
    raise ValueError("\x1b[31m \ud800")


@pytest.mark.parametrize(
    ("loss", "message", "remedy"),
    [
        (generator, "returns <generator object generator", "one value per sample"),
        (WithoutBase(), "has no attribute", "super().__init__()"),
        (unreadable, "UnreadableError: its text cannot be read, RuntimeError", ""),
        (steering, "ValueError: \\x1b[31m \\ud800", ""),
    ],
)
def test_a_loss_that_does_not_run_is_told_in_plain_words(
    loss: Any, message: str, remedy: str
) -> None:
    (finding,) = inspect(loss, Settings("regression")).findings
    assert finding.rule.code == "LSM901"
    assert message in finding.message
    assert remedy in finding.remedy
