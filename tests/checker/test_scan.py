"""The curve of a regression where its targets make it odd."""

import pytest
from keras import ops

from lossmith.checker.inspection import inspect
from lossmith.checker.settings import Settings


def symmetric_relative_error(y_true, y_pred):
    sizes = ops.abs(y_true) + ops.abs(y_pred) + 1e-6
    return ops.mean(2 * ops.abs(y_true - y_pred) / sizes, axis=-1)


def test_a_relative_error_is_told_of_the_target_0_and_of_the_domain() -> None:
    findings = inspect(symmetric_relative_error, Settings("regression")).findings
    (jump,) = [each for each in findings if each.rule.code == "LSM205"]
    assert jump.severity == "information"
    assert "For the target 0 an error of 0.05 costs 2" in jump.message
    assert "domain=(low, high)" in jump.remedy


@pytest.mark.parametrize("domain", [(0.1, 100.0), (1.0, 2.0)])
def test_a_relative_error_of_positive_targets_is_left_alone(domain: tuple[float, float]) -> None:
    findings = inspect(symmetric_relative_error, Settings("regression", domain=domain)).findings
    assert not [each for each in findings if each.severity != "information"]
    assert "LSM205" not in {each.rule.code for each in findings}


def test_a_jump_at_no_error_is_no_matter_of_the_target_0() -> None:
    def none_is_free(y_true, y_pred):
        error = ops.abs(y_true - y_pred)
        return ops.mean(ops.where(error > 0, error + 2.0, error), axis=-1)

    findings = inspect(none_is_free, Settings("regression")).findings
    assert ("LSM205", "error") in {(each.rule.code, each.severity) for each in findings}


def test_targets_that_float32_hardly_tells_apart_make_no_jump() -> None:
    far_from_0 = inspect("mean_squared_error", Settings("regression", domain=(1e6, 1e6 + 1)))
    assert not [each for each in far_from_0.findings if each.severity != "information"]
