import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls
from lossmith.checker import saving
from lossmith.checker.report import BackendResult
from lossmith.checker.settings import Settings
from lossmith.checker.subject import describe

INPUTS = saving.trials(BackendResult("any", target="regression"), Settings())


def absolute(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@keras.saving.register_keras_serializable("lossmith_tests")
def registered(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def make_huber(delta: float) -> Callable[..., Any]:
    def huber(y_true: Any, y_pred: Any) -> Any:
        error = ops.abs(y_true - y_pred)
        return ops.where(error <= delta, 0.5 * error**2, delta * (error - 0.5 * delta))

    return huber


def make_scaled(scale: float) -> Callable[..., Any]:
    def scaled(y_true: Any, y_pred: Any) -> Any:
        return scale * ops.abs(y_true - y_pred)

    return scaled


class Unconfigured(keras.losses.Loss):
    def __init__(self, scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.scale * ops.abs(y_true - y_pred)


class Configured(Unconfigured):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("lossmith_tests")
class Registered(Configured):
    pass


class Closed(keras.losses.Loss):
    """Takes neither name nor reduction, so that Keras cannot make it again."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.scale * ops.abs(y_true - y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


class Forgetful(Unconfigured):
    """Cannot be made again without what its configuration lacks."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(scale, **kwargs)


@ls.loss
def forged(y_true: Any, y_pred: Any, *, scale: ls.Positive = 2.0) -> Any:
    return scale * ops.abs(y_true - y_pred)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (registered, []),
        (Registered(), []),
        (forged, []),
        (ls.losses.huber, []),
        (keras.losses.MeanSquaredError(), []),
        (absolute, [("LSM602", "information")]),
        (Configured(), [("LSM602", "information")]),
        (make_scaled(2.0), [("LSM602", "warning")]),
        (lambda y_true, y_pred: ops.abs(y_true - y_pred), [("LSM602", "warning")]),
        (Closed(), [("LSM602", "error")]),
        (Unconfigured(), [("LSM601", "error")]),
        (Forgetful(2.0), [("LSM601", "error")]),
        (keras.losses.Huber(), [("LSM601", "error")]),  # loses delta in Keras 3.15
        (make_huber(2.0), [("LSM604", "error")]),
        (functools.partial(absolute), [("LSM603", "error")]),
    ],
)
def test_each_way_of_writing_a_loss_is_judged(
    loss: Any, expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    receipt = saving.save(loss, INPUTS, str(tmp_path))
    reply = None if receipt["error"] else saving.reload(describe(loss), receipt, INPUTS)
    findings = saving.judge(receipt, reply, "any")
    assert [(finding.rule.code, finding.severity) for finding in findings] == expected


def test_the_hyperparameters_that_are_lost_are_named(tmp_path: Path) -> None:
    loss = Unconfigured(scale=4.0)
    receipt = saving.save(loss, INPUTS, str(tmp_path))
    assert receipt["changes"]["scale"] != 4.0
    (finding,) = saving.judge(receipt, saving.reload(describe(loss), receipt, INPUTS), "any")
    assert f"scale = {receipt['changes']['scale']} came back as 2.0" in finding.message
    assert finding.evidence is not None
    assert finding.evidence.value != pytest.approx(0)


@pytest.mark.parametrize("value", [0.3, 1.0, 0.0, -2.0, 3, True, [1.0, 2.0], (1, 2)])
def test_variations_differ_and_keep_the_type(value: Any) -> None:
    for variation in saving.variations(value):
        assert type(variation) is type(value)
        assert variation != value


def test_an_unsuitable_value_has_no_variation() -> None:
    assert list(saving.variations("mean")) == []
    (array,) = saving.variations(np.ones(3, "float32"))
    assert array.shape == (3,)


def test_what_cannot_be_saved_is_quoted_with_its_own_hyperparameters(tmp_path: Path) -> None:
    own = functools.partial(keras.losses.huber, delta=0.3)
    receipt = saving.save(own, INPUTS, str(tmp_path))
    assert "delta=0.3)" in receipt["error"]
    (finding,) = saving.judge(receipt, None, "any")
    assert finding.message.endswith(".")
    assert not finding.message.endswith("..")
