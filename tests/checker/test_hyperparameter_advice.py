"""What is said of hyperparameters: which values to refuse, and what their names promise."""

from typing import Any

import keras
import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


class Advised(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return self.formula(ops.reshape(y_true, ops.shape(y_pred)), y_pred)


class FocalLoss(Advised):
    def __init__(self, gamma=2.0, **options):
        super().__init__(**options)
        self.gamma = gamma

    def formula(self, y_true, y_pred):
        p = ops.clip(y_pred, 1e-7, 1 - 1e-7)
        right = y_true * p + (1 - y_true) * (1 - p)
        return -ops.mean((1 - right) ** self.gamma * ops.log(right), axis=-1)


class Scaled(Advised):
    def __init__(self, scale=2.0, **options):
        super().__init__(**options)
        self.scale = scale

    def formula(self, y_true, y_pred):
        return self.scale * ops.mean(ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("loss", "target", "advice", "why"),
    [
        (FocalLoss(), "binary", "if not gamma >= 0:", "Information only"),
        (Scaled(), "regression", "if not scale > 0:", "with scale=-1 the loss turns negative"),
    ],
)
def test_zero_is_refused_only_where_a_loss_does_not_train_with_it(
    loss: Any, target: Any, advice: str, why: str
) -> None:
    found = inspect(loss, Settings(target, time_limit=600)).findings
    (finding,) = (each for each in found if each.rule.code == "LSM502")
    assert advice in finding.remedy
    assert why in finding.message
    assert finding.severity == ("warning" if "with" in why else "information")


def linex(y_true, y_pred, a=2.0):
    scaled = a * (y_pred - y_true)
    return ops.mean(ops.exp(ops.clip(scaled, -50.0, 50.0)) - scaled - 1, axis=-1)


def expectile(y_true, y_pred, tau=0.8):
    error = y_true - y_pred
    weight = ops.abs(tau - ops.cast(error < 0, error.dtype))
    return ops.mean(weight * ops.square(error), axis=-1)


@pytest.mark.parametrize(
    ("loss", "example"), [(linex, "`if not a > 0:"), (expectile, "`if not 0 < tau < 1:")]
)
def test_a_range_that_the_formula_does_not_tell_is_an_example_only(loss: Any, example: str) -> None:
    found = inspect(loss, Settings("regression", time_limit=600)).findings
    (finding,) = (each for each in found if each.rule.code == "LSM502")
    assert "in the range it is meant for, which the formula does not tell" in finding.remedy
    assert example in finding.remedy
    assert "for example" in finding.remedy


def quantile_loss(y_true, y_pred, quantile=0.8):
    error = y_true - y_pred
    return ops.mean(ops.maximum(quantile * error, (quantile - 1) * error), axis=-1)


def turned_quantile_loss(y_true, y_pred, quantile=0.8):
    return quantile_loss(y_pred, y_true, quantile)


def turned_by_another_name(y_true, y_pred, under=0.8):
    return quantile_loss(y_pred, y_true, under)


@pytest.mark.parametrize(
    ("loss", "codes"),
    [(quantile_loss, []), (turned_quantile_loss, ["LSM503"]), (turned_by_another_name, [])],
)
def test_what_is_called_a_quantile_is_the_one_that_is_learned(loss: Any, codes: list[str]) -> None:
    found = inspect(loss, Settings("regression", time_limit=600)).findings
    assert [f.rule.code for f in found if f.severity != "information"] == codes
