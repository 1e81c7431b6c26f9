"""Batches so large that they are visited in tiles, against dense matrices of NumPy in float64."""

import numpy as np
import pytest
from gradients import double_precision, value_and_gradient
from keras import ops

import lossmith as ls
from lossmith.allpairs import engine

L = ls.losses
RNG = np.random.default_rng(41)
ITEMS = 1100
EMBEDDINGS = RNG.normal(size=(ITEMS, 3))
IDS = RNG.integers(0, 40, ITEMS)
LABELS = (RNG.random((ITEMS, 4)) < 0.3).astype("int32")


def test_there_are_several_tiles():
    pairs = L.all_pairs_contrastive.pairs(IDS, EMBEDDINGS.astype("float32"))[0]
    assert engine.in_tiles(pairs)
    assert engine.driver.edge(ITEMS) < ITEMS


def kinds_of(labels):
    """Which pairs are positive, and which negative."""
    same = labels @ labels.T > 0 if labels.ndim > 1 else labels[:, None] == labels
    others = ~np.eye(len(labels), dtype=bool)
    return same & others, ~same & others


def measured(p):
    """The differences of all pairs, and their lengths."""
    differences = p[:, None] - p[None, :]
    return differences, np.sqrt(np.sum(differences**2, axis=-1))


def pulled(slope, differences, gaps):
    """The gradient in the embeddings, from that in their distances."""
    pull = (slope + slope.T) / np.where(gaps > 0, gaps, 1)
    return np.sum(pull[:, :, None] * differences, axis=1)


def contrastive(labels, p, margin=1.0):
    """The value and its gradient."""
    (positive, negative), (differences, gaps) = kinds_of(labels), measured(p)
    pull, push = positive / positive.sum(), negative / negative.sum()
    hinge = np.maximum(margin - gaps, 0)
    slope = 2 * (pull * gaps - push * hinge)
    return np.sum(pull * gaps**2 + push * hinge**2), pulled(slope, differences, gaps)


def hardest_triplets(labels, p, margin=0.2):
    """The value and its gradient, if every item has both kinds of partners."""
    (positive, negative), (differences, gaps) = kinds_of(labels), measured(p)
    items = np.arange(len(p))
    furthest = np.argmax(np.where(positive, gaps, -np.inf), axis=1)
    nearest = np.argmin(np.where(negative, gaps, np.inf), axis=1)
    hinge = np.maximum(gaps[items, furthest] - gaps[items, nearest] + margin, 0)
    slope = np.zeros_like(gaps)
    slope[items, furthest] += (hinge > 0) / len(p)
    slope[items, nearest] -= (hinge > 0) / len(p)
    return np.mean(hinge), pulled(slope, differences, gaps)


def supervised_contrastive(labels, p, temperature=0.1):
    """The value and its gradient, if every item has a positive."""
    positive, _ = kinds_of(labels)
    lengths = np.linalg.norm(p, axis=1, keepdims=True)
    unit = p / lengths
    logits = unit @ unit.T / temperature
    exponentials = np.exp(logits) * ~np.eye(len(p), dtype=bool)
    partition = exponentials.sum(axis=1, keepdims=True)
    shares = positive / positive.sum(axis=1, keepdims=True)
    value = np.mean(np.log(partition[:, 0]) - np.sum(shares * logits, axis=1))
    slope = (exponentials / partition - shares) / (temperature * len(p))
    turned = (slope + slope.T) @ unit
    return value, (turned - unit * np.sum(turned * unit, axis=1, keepdims=True)) / lengths


@pytest.mark.parametrize(
    ("loss", "dense"),
    [
        (L.all_pairs_contrastive, contrastive),
        (L.triplet(mining="hardest"), hardest_triplets),
        (L.supervised_contrastive, supervised_contrastive),
    ],
    ids=["contrastive", "hardest triplets", "supervised contrastive"],
)
def test_double_precision(loss, dense):
    expected, slope = dense(IDS, EMBEDDINGS)
    with double_precision():
        exact = ops.convert_to_tensor(EMBEDDINGS)
        value, gradient = value_and_gradient(lambda p: loss(IDS, p), exact)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-13 * np.abs(slope).max())


def test_several_labels_per_item():
    embeddings = EMBEDDINGS.astype("float32")
    expected, slope = contrastive(LABELS, embeddings.astype("float64"))
    value, gradient = value_and_gradient(lambda p: L.all_pairs_contrastive(LABELS, p), embeddings)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6 * np.abs(slope).max())
