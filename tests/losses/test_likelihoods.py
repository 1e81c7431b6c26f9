"""Likelihoods: they are densities, and their special cases are each other."""

import numpy as np
import pytest
import scipy.integrate
from contract import oracles
from gradients import double_precision, finite_differences, to_numpy, value_and_gradient
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import lossmith as ls
from lossmith.core import traced

losses = ls.losses
ERRORS = np.array([-1e4, -30.0, -2.0, -1e-3, 0.0, 0.5, 1.0, 7.0, 1e6])


def values(loss, errors=ERRORS):
    with double_precision():
        y_pred = np.asarray(errors, "float64")
        return to_numpy(loss.values(np.zeros_like(y_pred), ops.convert_to_tensor(y_pred)))


@pytest.mark.parametrize(
    "loss",
    [losses.gaussian_likelihood, losses.laplace_likelihood, losses.cauchy_likelihood,
     losses.student_t_likelihood(df=2.0), losses.general_adaptive(alpha=0.0),
     losses.general_adaptive(alpha=0.5), losses.general_adaptive, losses.general_adaptive(alpha=2)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("scale", [0.3, 1.0, 20.0])
def test_each_is_the_logarithm_of_a_density(loss, scale):
    """x = sinh(t), so that heavy tails end within reach of the trapezoidal rule."""
    t = np.linspace(-45, 45, 200_001)
    log_density = -values(loss(scale=scale), scale * np.sinh(t))
    total = scipy.integrate.trapezoid(np.exp(log_density + np.log(scale * np.cosh(t))), t)
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [0.3, 20.0])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (losses.general_adaptive(alpha=2.0), losses.gaussian_likelihood),
        (losses.student_t_likelihood(df=1.0), losses.cauchy_likelihood),
    ],
    ids=str,
)
def test_special_cases(first, second, scale):
    errors = ERRORS[np.abs(ERRORS) < 100]
    expected = values(second(scale=scale), errors)
    np.testing.assert_allclose(values(first(scale=scale), errors), expected, rtol=1e-9)


def test_cauchy_is_barrons_loss_at_0():
    general = values(losses.general_adaptive(alpha=0.0, scale=1.5))
    cauchy = values(losses.cauchy_likelihood(scale=1.5 * np.sqrt(2)))
    np.testing.assert_allclose(general, cauchy, rtol=1e-12)


def test_alpha_1_is_pseudo_huber_but_for_a_constant():
    general = values(losses.general_adaptive(scale=1.5))
    pseudo = values(losses.pseudo_huber(threshold=1.5)) / 1.5**2
    np.testing.assert_allclose(general - general[4], pseudo, rtol=1e-9, atol=1e-9)


@given(
    st.floats(0, 2).filter(lambda alpha: 1e-6 < alpha < 2 - 1e-6),
    st.floats(-100, 100),
    st.sampled_from([0.1, 1.0, 30.0]),
)
def test_the_general_loss_is_barrons_formula(alpha, error, scale):
    value = values(losses.general_adaptive(alpha=alpha, scale=scale), [error])[0]
    at_zero = values(losses.general_adaptive(alpha=alpha, scale=scale), [0.0])[0]
    expected = oracles.barron(error / scale, alpha)
    assert value - at_zero == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.01, 0.3, 1.0, 1.7, 1.99, 2.0])
def test_the_normalising_term_is_that_of_quadrature(alpha):
    value = values(losses.general_adaptive(alpha=alpha), [0.0])[0]
    assert value == pytest.approx(np.log(oracles.barron_partition(alpha)), abs=2e-9)


@pytest.mark.parametrize("alpha", [0.02, 0.3, 1.0, 1.7, 1.98])
def test_the_gradient_of_the_normalising_term(alpha):
    def loss_at(tensor):
        return traced(losses.general_adaptive, {"alpha": tensor})(zero, zero)

    with double_precision():
        zero = ops.zeros((1,), "float64")
        gradient = value_and_gradient(loss_at, np.array(alpha))[1]
    expected = finite_differences(
        lambda a: np.log(oracles.barron_partition(float(a))), np.array(alpha)
    )
    assert gradient == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1e-7, 0.5, 1.0, 1.5, 1.9999999, 2.0])
def test_single_precision_is_finite_and_right_everywhere(alpha):
    errors = np.array([0.0, 1e-20, 1e-3, 1.0, 1e5, 1e15], "float32")
    loss = losses.general_adaptive(alpha=alpha, reduction="sum")
    value, gradient = value_and_gradient(lambda p: loss(np.zeros_like(errors), p), errors)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    single = to_numpy(loss.values(np.zeros_like(errors), errors))
    np.testing.assert_allclose(single, values(loss, errors), rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", [-0.1, 2.1, float("nan")])
def test_shapes_without_a_density_are_refused(alpha):
    with pytest.raises(ValueError, match="`alpha` must be a finite number >= 0 and <= 2"):
        losses.general_adaptive(alpha=alpha)
