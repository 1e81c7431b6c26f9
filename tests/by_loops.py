"""A loss over all pairs against the loops of its oracle."""

from typing import Any

import numpy as np
from contract import allpairs_oracles as oracles
from gradients import finite_differences, value_and_gradient


def check(loss: Any, labels: np.ndarray, embeddings: np.ndarray, weights: Any = None) -> float:
    """Value and gradient are those of the loops; the value is given back."""
    oracle, options = getattr(oracles, loss.default_name), dict(loss.hyperparameters)
    value, gradient = value_and_gradient(lambda p: loss(labels, p, weights), embeddings)
    exact = embeddings.astype(float)
    expected = oracle(labels, exact, weights, **options)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    slope = finite_differences(lambda p: oracle(labels, p, weights, **options), exact)
    np.testing.assert_allclose(gradient, slope, rtol=2e-4, atol=2e-6)
    return float(value)
