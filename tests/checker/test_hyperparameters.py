import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls
from lossmith.checker.hyperparameters import hyperparameters, rebuild


class Scaled(keras.losses.Loss):
    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError("scale must be positive")
        self._scale = scale
        self.doubled = 2 * scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.doubled * ops.abs(y_true - y_pred)


class KeptOtherwise(keras.losses.Loss):
    """Keeps one hyperparameter under another name, and of the second only what follows from it."""

    def __init__(self, scale: float = 2.0, power: float = 1.0) -> None:
        super().__init__()
        self.factor = scale
        self.exponent = 2 * power

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.factor * ops.abs(y_true - y_pred) ** self.exponent


def make_scaled(scale: float) -> Callable[..., Any]:
    def scaled(y_true: Any, y_pred: Any, power: int = 1, *, shift: float = 0.0) -> Any:
        return scale * ops.abs(y_true - y_pred) ** power + shift

    return scaled


def make_bent(width: float, curvature: float = 2.0) -> Callable[..., Any]:
    joint = width * curvature

    def bent(y_true: Any, y_pred: Any) -> Any:
        return width * ops.abs(y_true - y_pred) + joint

    return bent


def make_bent_out_of_reach() -> Callable[..., Any]:
    def make(width: float) -> Callable[..., Any]:
        joint = 2.0 * width

        def bent(y_true: Any, y_pred: Any) -> Any:
            return width * ops.abs(y_true - y_pred) + joint

        return bent

    return make(1.0)


def value(loss: Any) -> float:
    y_true, y_pred = (ops.convert_to_tensor(x) for x in (np.float32([[0.0]]), np.float32([[3.0]])))
    return float(ops.mean(loss(y_true, y_pred)))


@pytest.mark.parametrize(
    ("loss", "found", "changes", "expected"),
    [
        (make_scaled(2.0), {"power": 1, "shift": 0.0, "scale": 2.0}, {"scale": 5.0}, 15.0),
        (make_scaled(2.0), {"power": 1, "shift": 0.0, "scale": 2.0}, {"power": 2}, 18.0),
        (make_scaled(2.0), {"power": 1, "shift": 0.0, "scale": 2.0}, {"shift": 1.0}, 7.0),
        (
            functools.partial(make_scaled(2.0), shift=4.0),
            {"power": 1, "shift": 4.0, "scale": 2.0},
            {"shift": 1.0},
            7.0,
        ),
        (Scaled(), {"scale": 2.0}, {"scale": 1.0}, 6.0),
        (keras.losses.Huber(delta=2.0), {"delta": 2.0}, {"delta": 1.0}, 2.5),
        (KeptOtherwise(), {"scale": 2.0, "power": 1.0}, {"scale": 3.0}, 27.0),
        (KeptOtherwise(5.0), {"scale": 5.0, "power": 1.0}, {"scale": 1.0}, 9.0),
        (ls.losses.huber, {"threshold": 1.0}, {"threshold": 2.0}, 4.0),
    ],
)
def test_hyperparameters_are_found_and_changed(
    loss: Any, found: dict[str, Any], changes: dict[str, Any], expected: float
) -> None:
    before = value(loss)
    assert hyperparameters(loss) == found
    changed = rebuild(loss, **changes)
    assert hyperparameters(changed) == {**found, **changes}
    assert value(changed) == pytest.approx(expected)
    assert value(loss) == before


def test_a_hyperparameter_that_is_not_kept_as_given_is_known_by_its_default() -> None:
    assert value(rebuild(KeptOtherwise(), power=0.5)) == pytest.approx(6.0)
    assert hyperparameters(KeptOtherwise(power=0.5)) == {"scale": 2.0}


def test_what_init_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        rebuild(Scaled(), scale=-1.0)


def test_an_unknown_hyperparameter_is_named() -> None:
    with pytest.raises(KeyError, match="margin"):
        rebuild(Scaled(), margin=1.0)


def test_a_plain_function_has_none() -> None:
    assert hyperparameters(lambda y_true, y_pred: y_true) == {}


def test_what_a_factory_computes_follows_its_arguments() -> None:
    bent = make_bent(1.0)
    assert hyperparameters(bent) == {"width": 1.0}
    assert value(rebuild(bent, width=3.0)) == pytest.approx(3.0 * 3.0 + 6.0)


def test_what_only_the_factory_could_change_rightly_is_left_alone() -> None:
    assert hyperparameters(make_bent_out_of_reach()) == {}
