"""Closures are made again by the functions that made them, and never by one that checks them."""

from collections.abc import Callable
from typing import Any

import keras
import pytest

import lossmith as ls
from lossmith.checker import factories
from lossmith.checker.hyperparameters import hyperparameters, rebuild
from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings
from lossmith.checker.transport import pack, unpack

CALLED: list[float] = []
CHECKS: list[Callable[[Any], Any]] = []


@pytest.fixture(autouse=True)
def nothing_called(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLED.clear()
    CHECKS.clear()
    monkeypatch.setattr(factories, "_CHECKING", set())


def checks_what_it_makes(delta: float = 2.0) -> Any:
    CALLED.append(delta)

    def scaled(y_true, y_pred):
        return delta * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    for check in CHECKS:
        check(scaled)
    return scaled


def uses_what_it_makes(seen: list[Any], delta: float = 2.0) -> None:
    CALLED.append(delta)

    def scaled(y_true, y_pred):
        return delta * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1) + 0 * len(seen)

    seen.append(scaled)


def makes(delta: float = 2.0, half: bool = False) -> Any:
    CALLED.append(delta)
    width = delta / 2 if half else delta

    def scaled(y_true, y_pred):
        return width * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1) / delta

    return scaled


@pytest.mark.parametrize(
    "check",
    [
        lambda loss: inspect(loss, Settings("regression")),
        lambda loss: ls.check(loss, target="regression"),
    ],
)
@pytest.mark.backend_free
def test_a_function_that_checks_what_it_makes_is_not_called_by_the_check_again_and_again(
    check: Callable[[Any], Any],
) -> None:
    loss = checks_what_it_makes()
    refused: list[Exception] = []

    def noted(loss: Any) -> None:
        with pytest.raises(factories.NestedCheckError) as raised:
            check(loss)
        refused.append(raised.value)
        raise raised.value

    CHECKS.append(noted)
    assert factories.remade(loss, {"delta": 2.0}, {"delta": 3.0}) is None
    assert factories.remade(loss, {"delta": 2.0}, {"delta": 3.0}) is None
    assert (CALLED, len(refused)) == ([2.0, 2.0], 1)
    factories.refuse_nested()


@pytest.mark.backend_free
def test_a_function_that_returns_nothing_makes_no_loss_for_others() -> None:
    seen: list[Any] = []
    uses_what_it_makes(seen)
    (loss,) = seen
    assert factories.factory_of(loss) is None
    assert factories.parameters(loss) == {"seen", "delta"}
    assert factories.factory_of(unpack(pack(loss))) is None
    assert hyperparameters(loss) == {"delta": 2.0}
    rebuild(loss, delta=3.0)
    assert CALLED == [2.0]


@pytest.mark.backend_free
def test_a_function_that_returns_what_it_makes_is_called_again() -> None:
    loss = makes()
    assert factories.factory_of(loss) is makes
    assert rebuild(loss, delta=3.0) is not None
    assert CALLED[-1] == 3.0


def test_a_check_ends_in_the_function_that_the_loss_is_made_in() -> None:
    results: list[Any] = []

    def once(loss: Any) -> None:
        assert len(CALLED) < 9
        results.append(inspect(loss, Settings("regression", time_limit=600)))

    CHECKS.append(once)
    checks_what_it_makes()
    assert (len(results), len(CALLED)) == (1, 2)
