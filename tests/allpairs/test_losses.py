"""Each loss of the family against loops: value and gradient, weights, in blocks of three rows."""

import numpy as np
import pytest
from by_loops import check
from contract import allpairs_oracles as oracles
from gradients import compiled_apart, double_precision, to_numpy
from keras import ops

import lossmith as ls
from lossmith.allpairs import violations

L = ls.losses
RNG = np.random.default_rng(4)
EMBEDDINGS = RNG.normal(size=(8, 4)).astype("float32")
IDS = np.array([0, 1, 0, 2, 1, 0, 3, 1])
WEIGHTS = np.array([1, 2, 0.5, 0, 1, 3, 1, 1], "float32")
ONE_SIDED = [
    L.nt_xent, L.multi_similarity(beta=5.0), L.multi_similarity(epsilon=None), L.lifted_structure,
    *[L.triplet(mining=m, margin=1.0, distance=d)
      for m, d in (("all", "euclidean"), ("all", "cosine"), ("semi_hard", "squared_euclidean"),
                   ("semi_hard", "euclidean"), ("hardest", "cosine"))],
]  # fmt: skip
TWO_SIDED = [L.clip(temperature=0.5), L.n_pair, L.siglip(scale=2.0, bias=-1.0)]


pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.mark.parametrize("loss", ONE_SIDED, ids=repr)
def test_a_batch_with_itself(loss):
    check(loss, IDS, EMBEDDINGS, WEIGHTS)


@pytest.mark.parametrize("loss", [L.nt_xent, L.triplet(margin=1.0)], ids=repr)
def test_a_batch_without_weights(loss):
    check(loss, IDS, EMBEDDINGS)


@pytest.mark.parametrize("loss", TWO_SIDED, ids=repr)
def test_two_encoders(loss):
    check(loss, IDS, RNG.normal(size=(8, 2, 4)).astype("float32"), WEIGHTS)


@pytest.mark.parametrize("loss", TWO_SIDED, ids=repr)
def test_two_encoders_need_two_views(loss):
    with pytest.raises(ValueError, match="two views"):
        loss(IDS, EMBEDDINGS)


@pytest.mark.parametrize("sizes", [(1, 2), (2, 8)], ids=["in several goes", "at once"])
def test_triplets_of_more_positives_than_are_sorted_at_a_time(monkeypatch, sizes):
    monkeypatch.setattr(violations, "_SIZES", sizes)
    with compiled_apart(f"sorted {sizes} at a time"):
        check(L.triplet(margin=1.0), np.array([0, 1, 0, 0, 1, 0, 0, 1]), EMBEDDINGS, WEIGHTS)


@pytest.mark.parametrize("mining", ["all", "semi_hard"])
def test_double_precision_of_triplets(mining):
    loss, exact = L.triplet(mining=mining, margin=1.0), RNG.normal(size=(8, 4))
    with double_precision():
        value = to_numpy(loss(IDS, ops.convert_to_tensor(exact), WEIGHTS))
    expected = oracles.triplet(IDS, exact, WEIGHTS, mining=mining, margin=1.0)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_triplets_of_equal_embeddings():
    check(L.triplet(margin=1.0, distance="cosine"), IDS, np.ones((8, 4), "float32"))
    embeddings = np.repeat(np.eye(4, dtype="float32"), 2, axis=0)
    value = float(L.triplet(margin=1.0)(IDS, embeddings))
    assert value == pytest.approx(oracles.triplet(IDS, embeddings, margin=1.0), rel=1e-5)
