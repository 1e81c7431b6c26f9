"""Batches that are visited in tiles: as rows give it, at the edges of what sums can hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import pytest
from by_loops import check
from contract import allpairs_oracles as oracles
from gradients import (
    compiled_apart,
    compiled_value_and_gradient,
    double_precision,
    value_and_gradient,
)
from keras import ops

import lossmith as ls
from lossmith.allpairs import AllPairsLoss, engine

L = ls.losses
HARDEST = [
    L.triplet(mining="hardest", distance=each, margin=1.0)
    for each in ("euclidean", "squared_euclidean", "cosine")
]
ACTIVE = L.all_pairs_contrastive(average="active")
LOSSES = [
    L.supervised_contrastive,
    L.supervised_contrastive(inside=True),
    L.nt_xent,
    L.multi_similarity(epsilon=None),
    ACTIVE,
    L.all_pairs_contrastive(positive_margin=0.5),
    *HARDEST,
]
ONE_TILE = LOSSES if keras.backend.backend() == "torch" else [L.nt_xent, HARDEST[0]]
"""Only PyTorch ever takes a batch for one tile."""
pytestmark = pytest.mark.usefixtures("small_blocks")


@contextmanager
def by_rows() -> Iterator[None]:
    """No batch is large enough for tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_FEWEST_ITEMS", 10**9)
        with compiled_apart("by rows"):
            yield


@contextmanager
def in_one_tile() -> Iterator[None]:
    """No batch is cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.driver, "edge", lambda count: count)
        with compiled_apart("in one tile"):
            yield


def batch(items: int = 8) -> np.ndarray:
    return np.random.default_rng(items).normal(size=(items, 5)).astype("float32")


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_any_classes_and_weights(loss):
    some = np.array([0, 1, 0, 2, 1, 0, 3, 1])
    for weights in (
        [1, 2, 0, 0.5, 1, 3, 0, 1],
        [0, 2, 1, 0.5, 1, 3, 0, 1],
        [0, 0, 0, 1, 1, 2, 1, 1],
    ):
        check(loss, some, batch(), np.array(weights, "float32"))
    for labels in (np.zeros(8, int), np.arange(8)):
        check(loss, labels, batch(), np.array([1, 2, 0, 0.5, 1, 3, 0, 1], "float32"))


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_fewer_items(loss):
    """Of which nothing is visited near the diagonal but what needs it."""
    ids, weights = np.array([0, 1, 0, 2, 1, 0, 1]), np.array([1, 2, 0, 0.5, 1, 3, 1], "float32")
    check(loss, ids, batch(7), weights)


@pytest.mark.parametrize("loss", ONE_TILE, ids=repr)
def test_a_batch_that_is_one_tile(loss):
    """Of items apart, and of near and equal ones, whose slopes have no finite differences."""
    ids, apart = np.array([0, 1, 0, 2, 1, 0, 3, 1]), batch()
    near = apart.copy()
    near[1], near[2] = near[0] + 1e-4, near[0]
    with by_rows():
        expected = value_and_gradient(lambda p: loss(ids, p), near)
    with in_one_tile():
        check(loss, ids, apart, np.array([1, 2, 0.5, 0, 1, 3, 1, 1], "float32"))
        value, gradient = value_and_gradient(lambda p: loss(ids, p), near)
    np.testing.assert_allclose(value, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-5)


class Exponential(AllPairsLoss):
    """A formula of a user that grows without bound."""

    symmetric = True
    measure = "squared_euclidean"

    def anchors(self, block, row):
        return row.positives.sum(ops.exp(block)), row.positives.count()


@pytest.mark.parametrize(
    "loss",
    [
        L.all_pairs_contrastive(margin=2.0, distance="squared_euclidean"),
        L.all_pairs_contrastive(margin=1.5, distance="cosine", average="active"),
        Exponential(),
        *LOSSES,
    ],
    ids=repr,
)
def test_what_fills_the_last_strip_adds_nothing(loss):
    """Not to the value that is computed without a gradient either."""
    ids = np.array([1, 1, 2, 2, 1, 1, 0, 0])
    if isinstance(loss, Exponential):  # of which there are no loops
        value, gradient = value_and_gradient(lambda p: loss(ids, p), batch())
        assert np.isfinite(gradient).all()
    else:
        value = check(loss, ids, batch())
    assert float(loss(ids, batch())) == pytest.approx(float(value), rel=1e-5)
    with by_rows():
        assert float(loss(ids, batch())) == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_a_number_shows(loss, number):
    embeddings = batch()
    embeddings[5, 2] = number
    assert np.isnan(float(loss(np.arange(8) % 3, embeddings)))


@pytest.mark.parametrize("loss", HARDEST[:2], ids=repr)
def test_embeddings_of_any_length(loss):
    ids, embeddings = np.arange(8) % 3, 1e15 * batch()
    oracle, options = oracles.triplet, dict(loss.hyperparameters)
    expected = oracle(ids, embeddings.astype(float), None, **options)
    assert float(loss(ids, embeddings)) == pytest.approx(expected, rel=1e-5)
    with by_rows():
        assert float(loss(ids, embeddings)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [L.nt_xent, ACTIVE, HARDEST[0]], ids=repr)
def test_a_compiled_training_step_has_the_same_value_and_gradient(loss):
    ids, embeddings = ops.convert_to_tensor(np.arange(8) // 2), batch()
    expected = value_and_gradient(lambda x: loss(ids, x), embeddings)
    found = compiled_value_and_gradient(lambda x: loss(ids, x), embeddings)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)


def test_the_first_of_equals_is_taken_as_by_rows():
    points = np.array(list(np.ndindex(2, 2, 2)), "float32")
    loss, ids = HARDEST[0], np.array([0, 0, 1, 1, 0, 1, 1, 0])
    value, gradient = value_and_gradient(lambda p: loss(ids, p), points)
    with by_rows():
        expected = value_and_gradient(lambda p: loss(ids, p), points)
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_strips_that_are_full(loss):
    check(loss, np.arange(6) % 3, batch(6))


@pytest.mark.parametrize("loss", [L.nt_xent, HARDEST[0]], ids=repr)
def test_several_labels_per_item(loss):
    check(loss, np.random.default_rng(0).integers(0, 2, (8, 3)), batch())


@pytest.mark.parametrize(
    "loss",
    [
        L.supervised_contrastive(temperature=0.005),
        L.nt_xent(temperature=0.005),
        L.multi_similarity(epsilon=None, beta=400.0),
    ],
    ids=repr,
)
def test_exponentials_out_of_range_are_summed_from_the_largest(loss):
    assert loss.sums() is None
    ids, embeddings = np.arange(8) % 3, batch()
    value, gradient = value_and_gradient(lambda p: loss(ids, p), embeddings)
    oracle, options = getattr(oracles, loss.default_name), dict(loss.hyperparameters)
    expected = oracle(ids, embeddings.astype(float), None, **options)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", HARDEST, ids=repr)
def test_near_duplicates_are_told_apart(loss):
    """Which of some near negatives is nearest shows only in their differences."""
    rng = np.random.default_rng(3)
    base = rng.normal(size=(1, 5)) + 4.0
    embeddings = (base + 1e-4 * rng.normal(size=(8, 5))).astype("float32")
    ids = np.arange(8) % 3
    loss = loss(margin=1e-3)
    value, gradient = value_and_gradient(lambda p: loss(ids, p), embeddings)
    with double_precision():
        exact = ops.convert_to_tensor(embeddings.astype("float64"))
        with by_rows():
            expected = value_and_gradient(lambda p: loss(ids, p), exact)
    np.testing.assert_allclose(value, expected[0], rtol=1e-4)
    largest = np.abs(expected[1]).max()
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-2, atol=1e-2 * largest)


def test_near_positives_that_are_not_the_furthest():
    embeddings = np.repeat(batch(4), 2, axis=0)
    embeddings[::2] += 1e-5
    embeddings[-1] += 1.0
    ids = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    loss = L.triplet(mining="hardest", margin=1.0)
    expected = oracles.triplet(ids, embeddings.astype(float), None, **dict(loss.hyperparameters))
    value, gradient = value_and_gradient(lambda p: loss(ids, p), embeddings)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_references_of_several_labels_of_which_only_some_count():
    labels = np.random.default_rng(1).integers(0, 2, (8, 3))
    weights = np.array([1, 0, 1, 0, 1, 1, 1, 1], "float32")
    rows, references = batch(), batch(9)[:8]
    loss, kept = L.triplet(margin=1.0), weights > 0
    value = float(loss.against(labels, rows, references, labels, reference_weight=weights))
    expected = float(loss.against(labels, rows, references[kept], labels[kept]))
    assert value == pytest.approx(expected, rel=1e-5)


def test_hardest_triplets_of_what_is_no_number_have_no_gradient_anywhere():
    embeddings, ids = batch(), np.arange(8) % 3
    embeddings[3, 1] = 1e20
    value, gradient = value_and_gradient(lambda p: HARDEST[0](ids, p), embeddings)
    assert np.isnan(value)
    assert np.all(np.isnan(gradient))
