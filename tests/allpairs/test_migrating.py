"""What docs/migrating.md claims: the values of other libraries' losses, as NumPy formulas."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import lossmith as ls

L = ls.losses
RNG = np.random.default_rng(21)
RAW = RNG.normal(size=(12, 5))
UNIT = RAW / np.linalg.norm(RAW, axis=1, keepdims=True)
IDS = np.array([0, 1, 2, 0, 1, 2, 3, 3, 0, 1, 2, 0])
SAME = IDS[:, None] == IDS[None, :]
POSITIVE, NEGATIVE = SAME & ~np.eye(12, dtype=bool), ~SAME


def gaps(vectors, power=1):
    """Distances of all pairs."""
    return np.linalg.norm(vectors[:, None] - vectors[None, :], axis=-1) ** power


def mean_above_zero(values):
    return values[values > 0].mean() if (values > 0).any() else 0.0


def softplus_of_sums(*sums):
    return np.log1p(np.prod(sums, axis=0))


def check(loss, expected, embeddings=UNIT, ids=IDS):
    value = float(loss(ids, embeddings.astype("float32")))
    assert value == pytest.approx(expected, rel=2e-5)


class TestTensorFlowAddons:
    def test_contrastive(self):
        y, d = np.array([1, 0, 1, 0]), np.array([0.5, 0.3, 1.2, 2.0])
        expected = np.mean(y * d**2 + (1 - y) * np.maximum(1.0 - d, 0) ** 2)
        assert float(L.contrastive(margin=1.0)(y, d.astype("float32"))) == pytest.approx(expected)

    @pytest.mark.parametrize(("distance", "power"), [("euclidean", 1), ("squared_euclidean", 2)])
    def test_triplet_semi_hard(self, distance, power):
        d = gaps(RAW, power)
        values = []
        for a, p in np.argwhere(POSITIVE):
            others = d[a, NEGATIVE[a]]
            further = others[others > d[a, p]]
            values.append(max(1.0 + d[a, p] - (further.min() if len(further) else others.max()), 0))
        loss = L.triplet(mining="semi_hard", margin=1.0, distance=distance)
        check(loss, np.sum(values) / POSITIVE.sum(), RAW)

    def test_triplet_hard(self):
        d = gaps(RAW)
        furthest = np.where(POSITIVE, d, -np.inf).max(axis=1)
        nearest = np.where(NEGATIVE, d, np.inf).min(axis=1)
        expected = np.maximum(furthest - nearest + 1.0, 0).mean()
        check(L.triplet(mining="hardest", margin=1.0), expected, RAW)

    def test_n_pairs(self):
        anchors, positives = 0.3 * RAW, 0.3 * RAW[::-1] + 0.1
        expected = n_pairs(IDS, anchors @ positives.T)
        check(L.n_pair, expected, np.stack([anchors, positives], axis=1))


def n_pairs(ids, logits):
    """Softmax cross-entropy against the labels that are equal, each row normalised."""
    targets = (ids[:, None] == ids[None, :]).astype(float)
    targets /= targets.sum(axis=1, keepdims=True)
    largest = logits.max(axis=1, keepdims=True)
    partition = np.log(np.exp(logits - largest).sum(axis=1, keepdims=True)) + largest
    return np.mean(np.sum(targets * (partition - logits), axis=1))


class TestTensorFlowSimilarity:
    def test_multi_similarity(self):
        expected = mined_multi_similarity(alpha=2.0, beta=40.0, epsilon=0.1)
        check(L.multi_similarity(alpha=2.0, beta=40.0, base=0.5, epsilon=0.1), expected, RAW)

    def test_triplet_hard(self):
        d = 1 - UNIT @ UNIT.T
        furthest = np.where(POSITIVE, d, -np.inf).max(axis=1)
        nearest = np.where(NEGATIVE, d, np.inf).min(axis=1)
        expected = np.maximum(furthest - nearest + 0.1, 0).mean()
        check(L.triplet(mining="hardest", distance="cosine", margin=0.1), expected, RAW)

    def test_simclr(self):
        views = np.stack([UNIT[:6], UNIT[6:]], axis=1)
        flat = views.reshape(12, 5)
        logits = flat @ flat.T / 0.05
        np.fill_diagonal(logits, -np.inf)
        partner = np.arange(12) ^ 1
        partition = np.log(np.exp(logits).sum(axis=1))
        expected = np.mean(partition - logits[np.arange(12), partner])
        check(L.nt_xent(temperature=0.05), expected, views, np.arange(6))


def mined_multi_similarity(alpha, beta, epsilon, base=0.5):
    s = UNIT @ UNIT.T
    hardest = np.where(NEGATIVE, s, -np.inf).max(axis=1), np.where(POSITIVE, s, np.inf).min(axis=1)
    pull = POSITIVE & (s - epsilon < hardest[0][:, None])
    push = NEGATIVE & (s + epsilon > hardest[1][:, None])
    of_pull = np.log1p(np.sum(np.exp(-alpha * (s - base)) * pull, axis=1)) / alpha
    of_push = np.log1p(np.sum(np.exp(beta * (s - base)) * push, axis=1)) / beta
    return np.mean((of_pull + of_push) * (pull.any(axis=1) & push.any(axis=1)))


class TestPytorchMetricLearning:
    def test_contrastive(self):
        d = gaps(UNIT)
        expected = mean_above_zero(d[POSITIVE]) + mean_above_zero(np.maximum(1 - d[NEGATIVE], 0))
        loss = L.all_pairs_contrastive(margin=1.0, squared=False, average="active")
        check(loss, expected)

    @pytest.mark.parametrize(
        ("distance", "power", "margin"), [("euclidean", 1, 0.05), ("squared_euclidean", 2, 0.2)]
    )
    def test_all_triplets(self, distance, power, margin):
        d = gaps(UNIT, power)
        valid = POSITIVE[:, :, None] & NEGATIVE[:, None, :]
        values = np.maximum(d[:, :, None] - d[:, None, :] + margin, 0)[valid]
        check(L.triplet(margin=margin, distance=distance), mean_above_zero(values))

    def test_nt_xent(self):
        s = UNIT @ UNIT.T / 0.07
        negatives = np.sum(np.exp(s) * NEGATIVE, axis=1)
        terms = [np.log(np.exp(s[a, p]) + negatives[a]) - s[a, p] for a, p in np.argwhere(POSITIVE)]
        check(L.nt_xent(temperature=0.07), np.mean(terms), RAW)

    def test_supervised_contrastive(self):
        s = UNIT @ UNIT.T / 0.1
        partition = np.log(np.sum(np.exp(s) * ~np.eye(12, dtype=bool), axis=1, keepdims=True))
        per_anchor = np.sum((partition - s) * POSITIVE, axis=1) / POSITIVE.sum(axis=1)
        check(L.supervised_contrastive(temperature=0.1), mean_above_zero(per_anchor), RAW)

    def test_multi_similarity(self):
        s = UNIT @ UNIT.T
        pull = np.log1p(np.sum(np.exp(-2 * (s - 0.5)) * POSITIVE, axis=1)) / 2
        push = np.log1p(np.sum(np.exp(50 * (s - 0.5)) * NEGATIVE, axis=1)) / 50
        check(L.multi_similarity(epsilon=None), np.mean(pull + push), RAW)

    def test_multi_similarity_with_its_miner(self):
        expected = mined_multi_similarity(alpha=2.0, beta=50.0, epsilon=0.1)
        check(L.multi_similarity(epsilon=0.1), expected, RAW)

    def test_circle(self):
        s, m, gamma = UNIT @ UNIT.T, 0.4, 80.0
        pull = np.exp(-gamma * np.maximum(1 + m - s, 0) * (s - (1 - m)))
        push = np.exp(gamma * np.maximum(s + m, 0) * (s - m))
        values = softplus_of_sums((pull * POSITIVE).sum(axis=1), (push * NEGATIVE).sum(axis=1))
        check(L.circle(margin=m, gamma=gamma), mean_above_zero(values), RAW)

    def test_generalized_lifted_structure(self):
        d = gaps(UNIT)
        pull = np.log(np.sum(np.exp(d) * POSITIVE, axis=1))
        push = np.log(np.sum(np.exp(1.0 - d) * NEGATIVE, axis=1))
        check(L.lifted_structure(margin=1.0), np.mean(np.maximum(pull + push, 0)))


CENTRES = RNG.normal(size=(4, 5))
COSINES = UNIT @ (CENTRES / np.linalg.norm(CENTRES, axis=1, keepdims=True)).T
OWN = IDS[:, None] == np.arange(4)[None, :]


def cross_entropy(logits):
    """Of the own class of each item."""
    partition = np.log(np.exp(logits).sum(axis=1))
    return np.mean(partition - logits[OWN])


class TestClassesInPytorchMetricLearning:
    def test_arc_face(self):
        margin = math.radians(28.6)
        angles = np.arccos(COSINES)
        moved = np.where(
            angles <= np.pi - margin, np.cos(angles + margin), COSINES - margin * np.sin(margin)
        )
        expected = cross_entropy(64 * np.where(OWN, moved, COSINES))
        check(L.ArcFace(centres=CENTRES, margin=margin, scale=64.0), expected, RAW)

    def test_cos_face(self):
        expected = cross_entropy(64 * np.where(OWN, COSINES - 0.35, COSINES))
        check(L.CosFace(centres=CENTRES, margin=0.35, scale=64.0), expected, RAW)

    @pytest.mark.parametrize("softmax_scale", [1, 3])
    def test_proxy_nca(self, softmax_scale):
        squared = 2 - 2 * COSINES
        expected = cross_entropy(-softmax_scale * squared)
        check(L.ProxyNCA(centres=CENTRES, temperature=1 / softmax_scale), expected, RAW)

    def test_proxy_anchor(self):
        rows = IDS != 3  # a class that is not in the batch has no part in the first mean
        cosines, own = COSINES[rows], OWN[rows]
        pull = np.log1p(np.sum(np.exp(-32 * (cosines - 0.1)) * own, axis=0))
        push = np.log1p(np.sum(np.exp(32 * (cosines + 0.1)) * ~own, axis=0))
        expected = pull.sum() / 3 + push.sum() / 4
        loss = L.ProxyAnchor(centres=CENTRES, margin=0.1, scale=32.0)
        check(loss, expected, RAW[rows], IDS[rows])

    def test_n_pairs(self):
        logits = UNIT[:6] @ UNIT[6:].T
        expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))
        check(L.n_pair, expected, np.stack([UNIT[:6], UNIT[6:]], axis=1), np.arange(6))


class TestMemoriesInPytorchMetricLearning:
    """The first items are in the memory; the last four are the batch."""

    memory, batch = slice(0, 8), slice(8, 12)

    def expected(self, with_batch):
        partners = slice(0 if with_batch else None, None if with_batch else 8)
        d = np.linalg.norm(UNIT[self.batch, None] - UNIT[None, partners], axis=-1)
        positive, negative = POSITIVE[self.batch, partners], NEGATIVE[self.batch, partners]
        return mean_above_zero(d[positive]) + mean_above_zero(np.maximum(1 - d[negative], 0))

    def test_references(self):
        loss = L.all_pairs_contrastive(margin=1.0, squared=False, average="active")
        unit = UNIT.astype("float32")
        value = loss.against(IDS[self.batch], unit[self.batch], unit[self.memory], IDS[self.memory])
        assert float(value) == pytest.approx(self.expected(with_batch=False), rel=1e-5)

    def test_cross_batch_memory(self):
        loss = L.all_pairs_contrastive(margin=1.0, squared=False, average="active")
        loss = L.CrossBatchMemory(loss=loss, size=8)
        state = loss.state
        for part in (self.memory, self.batch):
            outputs = state(ops.convert_to_tensor(UNIT[part].astype("float32")), training=True)
            value = float(loss(IDS[part], outputs))
        assert value == pytest.approx(self.expected(with_batch=True), rel=1e-5)


class TestKeras:
    @pytest.mark.parametrize(("gamma", "margin"), [(80.0, 0.4), (2.0, 0.25)])
    def test_circle(self, gamma, margin):
        theirs = keras.losses.Circle(gamma=gamma, margin=margin)(IDS, UNIT.astype("float32"))
        check(L.circle(gamma=gamma, margin=margin), float(theirs), RAW)


class TestKerasExamples:
    def test_siamese_contrastive(self):
        y, d = np.array([1, 0, 1, 0]), np.array([0.5, 0.3, 1.2, 0.9])
        expected = np.mean((1 - y) * d**2 + y * np.maximum(1.0 - d, 0) ** 2)
        loss = L.contrastive(margin=1.0, same=0)
        assert float(loss(y, d.astype("float32"))) == pytest.approx(expected)

    def test_supervised_contrastive(self):
        expected = n_pairs(IDS, UNIT @ UNIT.T / 0.05)
        check(L.clip(temperature=0.05), expected, np.stack([RAW, RAW], axis=1))


def test_unit_normalization_in_the_model_is_what_the_others_do_inside():
    unit = ops.convert_to_numpy(keras.layers.UnitNormalization()(RAW.astype("float32")))
    np.testing.assert_allclose(unit, UNIT, rtol=1e-5)
