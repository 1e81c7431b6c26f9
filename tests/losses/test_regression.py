"""Identities of the regression losses, and other people's implementations."""

import numpy as np
import pytest
import sklearn.metrics
from gradients import to_numpy, value_and_gradient
from hypothesis import given
from hypothesis import strategies as st

import lossmith as ls

losses = ls.losses
# Always as many: JAX compiles every operation again for each length, and each error is by itself.
ERRORS = st.lists(st.floats(-1e3, 1e3, width=32), min_size=6, max_size=6)
THRESHOLDS = st.floats(0.0625, 128, width=32)


def values(loss, errors):
    errors = np.asarray(errors, "float32")
    return to_numpy(loss.values(errors, np.zeros_like(errors))).astype("float64")


def slope(loss, errors):
    """The derivative with respect to the error, y_pred - y_true."""
    errors = np.asarray(errors, "float32")
    return value_and_gradient(lambda p: loss(reduction="sum")(np.zeros_like(errors), p), errors)[1]


@given(ERRORS, THRESHOLDS)
def test_the_slope_of_huber_is_the_clipped_error(errors, threshold):
    np.testing.assert_allclose(
        slope(losses.huber(threshold=threshold), errors),
        np.clip(np.float32(errors), -threshold, threshold),
        rtol=1e-5,
        atol=1e-30,
    )


@given(ERRORS, THRESHOLDS)
def test_bounds_of_huber(errors, threshold):
    size = np.abs(np.float32(errors)).astype(float)
    value = values(losses.huber(threshold=threshold), errors)
    slack = 1e-5 * (1 + threshold * size)
    assert (value >= 0).all()
    assert (value <= np.minimum(size**2 / 2, threshold * size) + slack).all()
    assert (value >= threshold * size - threshold**2 / 2 - slack).all()


@given(ERRORS, THRESHOLDS, st.floats(0.125, 8, width=32))
def test_huber_scales(errors, threshold, factor):
    scaled = values(losses.huber(threshold=threshold), factor * np.float32(errors))
    inner = values(losses.huber(threshold=threshold / factor), errors)
    np.testing.assert_allclose(scaled, factor**2 * inner, rtol=1e-3, atol=1e-6)


@given(ERRORS, THRESHOLDS)
def test_pseudo_huber_lies_below_huber(errors, threshold):
    size = np.abs(np.float32(errors)).astype(float)
    slack = 1e-5 * (1 + threshold * size)
    pseudo = values(losses.pseudo_huber(threshold=threshold), errors)
    huber = values(losses.huber(threshold=threshold), errors)
    assert (pseudo >= 0).all()
    assert (pseudo <= huber + slack).all()
    assert (pseudo >= huber - threshold**2 / 2 - slack).all()
    assert (np.abs(slope(losses.pseudo_huber(threshold=threshold), errors))
            <= threshold * (1 + 1e-6)).all()  # fmt: skip


@given(ERRORS)
def test_limits(errors):
    squared, absolute = values(losses.mean_squared_error, errors), np.abs(np.float32(errors))
    np.testing.assert_allclose(values(losses.huber(threshold=1e4), errors), squared / 2, rtol=1e-5,
                               atol=1e-30)  # fmt: skip
    np.testing.assert_allclose(
        values(losses.huber(threshold=1e-4), errors) / 1e-4, absolute, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(values(losses.quantile, errors), absolute / 2, rtol=1e-6,
                               atol=1e-30)  # fmt: skip
    np.testing.assert_allclose(
        values(losses.log_cosh, errors),
        np.logaddexp(absolute.astype(float), -absolute) - np.log(2),
        rtol=1e-5,
        atol=2e-7,
    )


@given(ERRORS)
def test_no_loss_is_negative(errors):
    for name in ("mean_squared_error", "mean_absolute_error", "huber", "pseudo_huber",
                 "quantile"):  # fmt: skip
        assert (values(getattr(losses, name), errors) >= 0).all(), name
    assert (values(losses.log_cosh, errors) >= -1e-6).all()


@pytest.mark.parametrize("q", [1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])
def test_quantile_is_the_pinball_loss_of_scikit_learn(q):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.normal(size=(2, 200, 3)).astype("float32")
    weights = rng.uniform(size=200)
    expected = sklearn.metrics.mean_pinball_loss(
        y_true.astype(float), y_pred.astype(float), alpha=q, sample_weight=weights
    )
    value = losses.quantile(q=q, reduction="mean_with_sample_weight")(y_true, y_pred, weights)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    above = losses.quantile(q=q)([1.0], [0.0]), losses.quantile(q=q)([0.0], [1.0])
    assert [float(each) for each in above] == pytest.approx([q, 1 - q], rel=1e-4)


def test_the_rmse_of_the_course():
    y_true = np.array([-1, 0, 1, 2, 3, 4], "float32")
    y_pred = np.array([-3, -1, 1, 3, 5, 7], "float32")
    for pred in (y_pred, y_pred[:, None]):
        value = losses.root_mean_squared_error(y_true, pred)
        assert float(value) == pytest.approx(1.7795130420052185, rel=1e-7)


def test_large_errors_stay_finite():
    for loss in (losses.huber, losses.pseudo_huber, losses.log_cosh, losses.mean_absolute_error):
        value = values(loss, [1e30, -1e30])
        np.testing.assert_allclose(value, 1e30, rtol=1e-5, err_msg=loss.name)
        np.testing.assert_allclose(slope(loss, [1e30, -1e30]), [1, -1], rtol=1e-5)


@pytest.mark.parametrize("threshold", [1.2e-38, 1e-20])
def test_tiny_thresholds_stay_finite(threshold):
    for loss in (losses.huber, losses.pseudo_huber):
        errors = [0.0, 1e-30, 1.0, -1e20]
        assert np.isfinite(values(loss(threshold=threshold), errors)).all(), loss.name
        assert np.isfinite(slope(loss(threshold=threshold), errors)).all(), loss.name


def test_log_cosh_keeps_its_digits():
    errors = np.concatenate([np.logspace(-15, 1, 60), -np.logspace(-15, 1, 60)])
    expected = np.log1p(2 * np.sinh(errors / 2) ** 2)
    values = losses.log_cosh.values(np.zeros(120, "float32"), errors.astype("float32"))
    np.testing.assert_allclose(np.asarray(values), expected, rtol=5e-6)


@pytest.mark.parametrize(
    ("threshold", "error"),
    [(1e30, 1e10), (1e30, 1e-10), (3e38, 1e15), (1e20, 1e19), (1e19, 1e19), (1e10, 1e25),
     (1.0, 1e35), (1e-3, 1e5), (1e-3, 1e4), (2.0, 3.0), (2.0, 1e-6), (1e-20, 1.0)],
)  # fmt: skip
def test_pseudo_huber_is_finite_where_its_value_is(threshold, error):
    ratio = np.longdouble(error) / np.longdouble(threshold)
    root = np.sqrt(1 + ratio**2)
    expected = np.longdouble(error) ** 2 / (1 + root)
    loss = losses.pseudo_huber(threshold=threshold)
    errors = np.array([error, -error])
    np.testing.assert_allclose(values(loss, errors), float(expected), rtol=1e-6)
    steepest = float(error / root)
    np.testing.assert_allclose(slope(loss, errors), [steepest, -steepest], rtol=1e-6)
