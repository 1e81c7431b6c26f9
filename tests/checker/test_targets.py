import math

import numpy as np
import pytest

from lossmith.checker.links import pull_back, to_free, to_prediction
from lossmith.checker.settings import TARGETS
from lossmith.checker.targets import ROWS, build

pytestmark = pytest.mark.backend_free


@pytest.mark.parametrize("kind", TARGETS)
def test_every_kind_has_a_battery_that_starts_with_a_random_batch(kind: str) -> None:
    problem = build(kind)
    assert problem.kind == kind
    assert problem.cases[0].role == "random"
    assert len(problem.y_true) == len(problem.y_pred) == ROWS
    for case in problem.cases:
        assert len(case.y_true) == len(case.y_pred)
        assert case.y_pred.dtype == np.float32
        assert np.isfinite(case.y_pred).all()


@pytest.mark.parametrize("kind", TARGETS)
def test_no_other_axis_is_as_long_as_the_batch(kind: str) -> None:
    assert ROWS not in build(kind).y_pred.shape[1:]


def test_regression_targets_have_both_signs_unless_a_domain_says_otherwise() -> None:
    both, positive = build("regression"), build("regression", domain=(0.0, math.inf))
    assert both.y_true.min() < 0 < both.y_true.max()
    assert all(case.y_pred.min() > 0 and case.y_true.min() > 0 for case in positive.cases)
    bounded = build("regression", domain=(-1.0, 2.0))
    assert all(np.abs(case.y_pred - 0.5).max() <= 1.5 for case in bounded.cases)


@pytest.mark.parametrize("kind", ["binary", "plus_minus", "segmentation", "categorical"])
def test_wrong_predictions_are_far_from_the_perfect_ones_and_not_saturated(kind: str) -> None:
    problem = build(kind)
    assert np.abs(problem.wrong - problem.perfect).max(axis=-1).min() > 0.9
    if problem.link != "identity":
        assert problem.wrong.min() > 0
        assert problem.wrong.max() < 1


@pytest.mark.parametrize("link", ["identity", "sigmoid", "softmax", "positive"])
def test_links_map_free_variables_to_predictions_and_gradients_back(link: str) -> None:
    free = np.random.default_rng(0).normal(size=(3, 4))
    p = to_prediction(free, link)
    np.testing.assert_allclose(to_prediction(to_free(p, link), link), p, rtol=1e-5)
    weights = np.random.default_rng(1).normal(size=(3, 4))
    step = 1e-6
    for index in np.ndindex(free.shape):
        moved = free.copy()
        moved[index] += step
        numeric = (weights * (to_prediction(moved, link) - p)).sum() / step
        np.testing.assert_allclose(pull_back(weights, p, link)[index], numeric, atol=1e-5)
