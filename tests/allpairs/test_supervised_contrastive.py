"""Supervised contrastive loss against loops, and at its edges."""

import numpy as np
import pytest
from contract import allpairs_oracles as oracles
from gradients import value_and_gradient

import lossmith as ls

supcon = ls.losses.supervised_contrastive
RNG = np.random.default_rng(2)
EMBEDDINGS = RNG.normal(size=(7, 3)).astype("float32")
IDS = np.array([0, 1, 0, 2, 1, 0, 3])


def check(ids, embeddings, weights=None, **hyperparameters):
    """The loss equals the loops, and its gradient is finite."""
    loss = supcon(**hyperparameters)
    value, gradient = value_and_gradient(lambda p: loss(ids, p, weights), embeddings)
    expected = oracles.supervised_contrastive(
        ids, embeddings.astype(float), weights, **{"temperature": 0.1, **hyperparameters}
    )
    np.testing.assert_allclose(value, expected, rtol=2e-5, atol=1e-6)
    assert np.isfinite(gradient).all()
    return gradient


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0])
def test_temperatures(temperature):
    check(IDS, EMBEDDINGS, temperature=temperature)


def test_the_length_of_an_embedding_does_not_matter():
    scaled = EMBEDDINGS * np.array([1e-25, 1e25, 1, 1e3, 1, 1, 1], "float32")[:, None]
    assert float(supcon(IDS, scaled)) == pytest.approx(float(supcon(IDS, EMBEDDINGS)), rel=1e-5)


@pytest.mark.parametrize(
    "weights", [[1, 2, 0.5, 3, 1, 1, 1], [0, 1, 1, 0, 1, 0, 1], [1, 0, 0, 1, 1, 0, 1], [0] * 7]
)
def test_weights(weights):
    gradient = check(IDS, EMBEDDINGS, np.array(weights, "float32"))
    np.testing.assert_array_equal(gradient[np.array(weights) == 0], 0)


def test_an_item_without_a_positive_is_a_negative_only():
    gradient = check(IDS, EMBEDDINGS)
    assert (gradient[6] != 0).any()


def test_no_positives_at_all():
    gradient = check(np.arange(7), EMBEDDINGS)
    np.testing.assert_array_equal(gradient, 0)


def test_one_class():
    check(np.zeros(7, int), EMBEDDINGS)


def test_equal_embeddings():
    check(IDS, np.ones((7, 3), "float32"))


def test_zero_vectors():
    embeddings = EMBEDDINGS.copy()
    embeddings[[0, 3]] = 0
    check(IDS, embeddings)
    check(IDS, np.zeros_like(EMBEDDINGS))


@pytest.mark.parametrize("rows", [1, 2])
def test_tiny_batches(rows):
    check(np.zeros(rows, int), EMBEDDINGS[:rows])


def test_large_ids_are_told_apart():
    ids = np.array([16_777_217, 16_777_216] * 3 + [5])
    small = np.array([1, 2] * 3 + [5])
    assert float(supcon(ids, EMBEDDINGS)) == float(supcon(small, EMBEDDINGS))


def test_embeddings_have_one_axis():
    with pytest.raises(ValueError, match=r"has shape \(2, 3, 4\); it must hold an embedding per"):
        supcon(np.zeros((2, 3), int), np.ones((2, 3, 4), "float32"))
