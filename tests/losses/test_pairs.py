"""Contrastive loss: the conventions of paper and libraries, springs, margins, labels."""

import numpy as np
import pytest
from gradients import compiled, to_numpy, value_and_gradient
from keras import ops
from scipy.spatial.distance import cosine

import lossmith as ls

contrastive = ls.losses.contrastive
RNG = np.random.default_rng(5)
D = RNG.uniform(0, 2, size=40).astype("float32")
SAME = (np.arange(40) % 2).astype("float32")
EXACT = D.astype(float)


def total(loss, labels=SAME, predictions=D):
    return float(loss(labels, predictions))


def test_the_paper():
    """Hadsell, Chopra and LeCun: Y = 0 similar, half, a sum."""
    y, m = 1 - SAME, 1.25
    formula = (1 - y) * 0.5 * EXACT**2 + y * 0.5 * np.maximum(0, m - EXACT) ** 2
    loss = contrastive(margin=m, same=0, factor=0.5, reduction="sum")
    assert total(loss, y) == pytest.approx(formula.sum(), rel=1e-5)


def test_the_course_and_tensorflow_addons():
    formula = SAME * EXACT**2 + (1 - SAME) * np.maximum(1 - EXACT, 0) ** 2
    assert total(contrastive) == pytest.approx(formula.mean(), rel=1e-5)
    np.testing.assert_allclose(to_numpy(contrastive.values(SAME, D)), formula, rtol=1e-4, atol=1e-6)


def test_sentence_transformers():
    pairs = RNG.normal(size=(40, 2, 6)).astype("float32")
    distance = np.array([cosine(*pair) for pair in pairs.astype(float)])
    formula = 0.5 * (SAME * distance**2 + (1 - SAME) * np.maximum(0, 0.5 - distance) ** 2)
    loss = contrastive(factor=0.5, margin=0.5, distance="cosine")
    assert total(loss, SAME, pairs) == pytest.approx(formula.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("distance", "order"), [("euclidean", 2), ("manhattan", 1), ("squared_euclidean", None)]
)
def test_embeddings_are_compared_by_the_distance(distance, order):
    pairs = RNG.normal(size=(40, 2, 6)).astype("float32")
    difference = (pairs[:, 0] - pairs[:, 1]).astype(float)
    exact = np.linalg.norm(difference, order or 2, axis=1) ** (1 if order else 2)
    loss = contrastive(distance=distance, margin=4.0)
    assert total(loss, SAME, pairs) == pytest.approx(
        total(contrastive(margin=4.0), SAME, exact.astype("float32")), rel=1e-5
    )


def test_springs():
    """Attract-only for same pairs; for different ones repulsive up to the rest length m."""
    loss = contrastive(margin=1.5, factor=0.5, reduction="sum")
    attract = value_and_gradient(lambda d: loss(np.ones_like(D), d), D)[1]
    repulse = value_and_gradient(lambda d: loss(np.zeros_like(D), d), D)[1]
    np.testing.assert_allclose(attract, D, rtol=1e-5)
    np.testing.assert_allclose(repulse, -np.maximum(1.5 - D, 0), rtol=1e-5, atol=1e-6)
    assert (repulse[D > 1.5] == 0).all()


def test_forces_on_embeddings_are_opposite_and_along_the_line():
    pairs = np.array([[[0.0, 0.0], [0.3, 0.4]]] * 2, "float32")
    loss = contrastive(factor=0.5, reduction="sum")
    gradient = value_and_gradient(lambda p: loss(np.array([1.0, 0.0]), p), pairs)[1]
    np.testing.assert_allclose(gradient[:, 0], -gradient[:, 1], rtol=1e-5)
    np.testing.assert_allclose(gradient[0, 1], [0.3, 0.4], rtol=1e-5)
    np.testing.assert_allclose(gradient[1, 1], [-0.3, -0.4], rtol=1e-5)


def test_a_compiled_step_is_linear_in_the_label():
    step = compiled(contrastive)
    value = step(ops.convert_to_tensor([0.3]), ops.convert_to_tensor([0.5]))
    assert float(value) == pytest.approx(0.3 * 0.25 + 0.7 * 0.25)
    graded = contrastive(graded=True)([0.25], [2.0])
    assert float(graded) == pytest.approx(0.25 * 4)


@pytest.mark.parametrize("margin", [2.001, 5])
def test_a_margin_beyond_the_reach_of_the_distance(margin):
    with pytest.raises(
        ValueError, match=r"contrastive: margin .* can never be reached: the cosine distance"
    ):
        contrastive(distance="cosine", margin=margin)
    assert contrastive(distance="cosine", margin=2).margin == 2
    assert contrastive(margin=margin).margin == margin


def test_unknown_conventions():
    with pytest.raises(ValueError, match="`same` must be one of 0, 1"):
        contrastive(same=2)
    with pytest.raises(ValueError, match="`distance` must be one of 'euclidean'"):
        contrastive(distance="hamming")
