"""The engine against loops in float64: values, gradients, and batches at the edges."""

import itertools

import keras
import numpy as np
import pytest
from contract import allpairs_oracles as oracles
from gradients import (
    compiled,
    compiled_apart,
    double_precision,
    finite_differences,
    open_shapes,
    to_numpy,
    value_and_gradient,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import lossmith as ls
from lossmith.allpairs import AllPairsLoss, engine, near

contrastive = ls.losses.all_pairs_contrastive
supcon = ls.losses.supervised_contrastive
PAIRS = [(contrastive, oracles.all_pairs_contrastive), (supcon, oracles.supervised_contrastive)]


pytestmark = pytest.mark.usefixtures("small_blocks")


def check(loss, oracle, ids, embeddings, weights=None, rtol=2e-4, atol=1e-6):
    """Value and gradient are those of the loops."""
    value, gradient = value_and_gradient(lambda p: loss(ids, p, weights), embeddings)
    exact = embeddings.astype("float64")
    hyperparameters = dict(loss.hyperparameters)
    np.testing.assert_allclose(
        value, oracle(ids, exact, weights, **hyperparameters), rtol=rtol, atol=atol
    )
    expected = finite_differences(lambda p: oracle(ids, p, weights, **hyperparameters), exact)
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=2e-5)


@pytest.mark.parametrize("rows", [2, 7])
@pytest.mark.parametrize(("loss", "oracle"), PAIRS)
def test_every_number_of_rows(loss, oracle, rows):
    rng = np.random.default_rng(rows)
    check(loss, oracle, rng.integers(0, 3, rows), rng.normal(size=(rows, 4)).astype("float32"))


@pytest.mark.parametrize(
    ("distance", "squared", "average"),
    [
        ("euclidean", False, "active"),
        ("squared_euclidean", True, "active"),
        ("cosine", False, "all"),
    ],
)
def test_contrastive_variants(distance, squared, average):
    rng = np.random.default_rng(3)
    loss = contrastive(distance=distance, squared=squared, average=average, margin=1.5)
    embeddings = rng.normal(size=(7, 4)).astype("float32")
    weights = np.array([1, 2, 0, 0.5, 1, 1, 3], "float32")
    check(loss, oracles.all_pairs_contrastive, np.arange(7) % 2, embeddings, weights)


@given(st.data())
@settings(max_examples=25)
def test_any_labels_and_weights(data):
    rows = data.draw(st.sampled_from([1, 8]))
    ids = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    weights = data.draw(st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=rows, max_size=rows))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    embeddings = rng.normal(size=(rows, 3)).astype("float32")
    for loss, oracle in PAIRS:
        value = float(loss(ids, embeddings, np.array(weights, "float32")))
        expected = oracle(ids, embeddings.astype(float), weights)
        assert value == pytest.approx(expected, rel=1e-4, abs=1e-6)


def near_duplicates(apart, copies=3, items=4):
    """Items with some near copies each, far from the origin."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(items, 8)) + 5.0
    steps = apart * rng.normal(size=(copies, items, 8))
    return (base + steps).reshape(-1, 8).astype("float32")


@pytest.fixture(params=[near._FEW, 0], ids=["few near pairs", "many near pairs"])
def few_or_many(monkeypatch, request):
    """Both ways to compute the differences of near pairs."""
    monkeypatch.setattr(near, "_FEW", request.param)
    with compiled_apart(f"{request.param} are few"):
        yield


@pytest.mark.usefixtures("few_or_many")
def test_near_duplicates_keep_their_digits():
    """Negatives that are near have the largest gradients: those of a distance."""
    loss = contrastive(squared=False, positive_margin=0.0, margin=0.5)
    for apart, ids in itertools.product(
        [1e-1, 1e-2, 1e-3, 1e-4], [np.arange(12) % 4, np.arange(12)]
    ):
        embeddings = near_duplicates(apart)
        value, gradient = value_and_gradient(lambda p, ids=ids: loss(ids, p), embeddings)
        with double_precision():
            exact = ops.convert_to_tensor(embeddings.astype("float64"))
            expected = value_and_gradient(lambda p, ids=ids: dense_contrastive(ids, p, 0.5), exact)
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        largest = abs(expected[1]).max()
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-3, atol=1e-4 * largest)


def dense_contrastive(ids, p, margin):
    """The unsquared form from differences, by automatic differentiation in float64."""
    off = ~np.eye(len(ids), dtype=bool)
    alike = (ids[:, None] == ids[None]) & off
    gap = ops.sum(ops.square(p[:, None] - p[None, :]), axis=-1)
    gap = ops.sqrt(ops.where(ops.convert_to_tensor(off), gap, 1.0))
    different = (ids[:, None] != ids[None]).astype("float64")
    pull = ops.sum(gap * ops.convert_to_tensor(alike.astype("float64"))) / max(alike.sum(), 1)
    push = ops.relu(margin - gap) * ops.convert_to_tensor(different)
    return pull + ops.sum(push) / max(different.sum(), 1)


def test_equal_embeddings_have_distance_and_gradient_zero():
    embeddings = np.full((6, 4), 0.7, "float32")
    loss = contrastive(squared=False)
    value, gradient = value_and_gradient(lambda p: loss(np.arange(6), p), embeddings)
    assert value == pytest.approx(1, rel=1e-6)
    np.testing.assert_array_equal(gradient, 0)
    value, gradient = value_and_gradient(lambda p: loss(np.zeros(6, int), p), embeddings)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("ids", [np.zeros(7, int), np.arange(7)], ids=["one class", "all distinct"])
@pytest.mark.parametrize(("loss", "oracle"), PAIRS)
def test_classes_at_the_edges(loss, oracle, ids):
    embeddings = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    check(loss, oracle, ids, embeddings)


@pytest.mark.parametrize(("loss", "oracle"), PAIRS)
def test_several_labels_per_item(loss, oracle):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, (7, 3))
    labels[2] = 0
    embeddings = rng.normal(size=(7, 4)).astype("float32")
    check(loss, oracle, labels, embeddings)
    assert float(loss(labels.astype(bool), embeddings)) == float(loss(labels, embeddings))


@pytest.mark.parametrize(("loss", "oracle"), PAIRS)
def test_views_are_items_of_one_class(loss, oracle):
    rng = np.random.default_rng(6)
    views = rng.normal(size=(4, 2, 3)).astype("float32")
    ids, weights = np.array([0, 1, 2, 0]), np.array([1.0, 2.0, 0.0, 1.0], "float32")
    flat = views.reshape(8, 3).astype(float)
    expected = oracle(np.repeat(ids, 2), flat, np.repeat(weights, 2))
    assert float(loss(ids, views, weights)) == pytest.approx(expected, rel=1e-4)
    assert float(loss(ids, views, np.repeat(weights, 2).reshape(4, 2))) == pytest.approx(
        expected, rel=1e-4
    )


def test_references_are_the_partners():
    rng = np.random.default_rng(7)
    rows, memory = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    ids, memory_ids = np.array([0, 1, 0, 2]), np.array([0, 0, 1, 3, 2])
    loss = supcon(temperature=0.5)
    similarity = oracles.unit(rows) @ oracles.unit(memory).T / 0.5
    expected = 0.0
    for i in range(4):
        positives = np.flatnonzero(memory_ids == ids[i])
        expected += np.log(np.exp(similarity[i]).sum()) - similarity[i, positives].mean()
    given_memory = memory.astype("float32")

    def value(p):
        return loss.against(ids, p, given_memory, memory_ids)

    result, gradient = value_and_gradient(value, rows.astype("float32"))
    np.testing.assert_allclose(result, expected / 4, rtol=1e-5)
    step = 1e-2 * rng.normal(size=rows.shape)
    ahead, behind = (to_numpy(value((rows + s).astype("float32"))) for s in (step, -step))
    assert (ahead - behind) / 2 == pytest.approx((gradient * step).sum(), rel=1e-2)
    _, of_memory = value_and_gradient(
        lambda m: loss.against(ids, rows.astype("float32"), m, memory_ids), given_memory
    )
    assert (of_memory != 0).any()


def test_bfloat16_embeddings_are_summed_in_float32():
    embeddings = np.random.default_rng(8).normal(size=(40, 16)).astype("float32")
    half = ops.cast(embeddings, "bfloat16")
    rounded = to_numpy(ops.cast(half, "float32"))
    for loss, _ in PAIRS:
        value = loss(np.arange(40) % 5, half)
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        expected = float(loss(np.arange(40) % 5, rounded))
        assert float(value) == pytest.approx(expected, rel=1e-5)


def test_symmetry_changes_nothing():
    class Plain(type(contrastive)):
        symmetric = False

    embeddings = np.random.default_rng(9).normal(size=(7, 4)).astype("float32")
    ids = np.arange(7) % 3
    expected = value_and_gradient(lambda p: contrastive(ids, p), embeddings)
    result = value_and_gradient(lambda p: Plain()(ids, p), embeddings)
    np.testing.assert_allclose(result[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(result[1], expected[1], rtol=1e-4, atol=1e-6)


class Nearest(AllPairsLoss):
    """A loss of a user: a few lines, no backend."""

    sharpness: ls.Positive = 4.0

    def anchors(self, block, row):
        worst = row.negatives.logsumexp(self.sharpness * block)
        best = row.positives.logsumexp(-self.sharpness * block)
        return ops.softplus(worst + best), row.positives.any() * row.negatives.any()


@pytest.mark.parametrize(
    "loss",
    [contrastive, Nearest(), ls.losses.triplet, ls.losses.triplet(mining="semi_hard")],
    ids=repr,
)
def test_a_compiled_step_of_several_blocks(loss):
    embeddings = np.random.default_rng(10).normal(size=(7, 4)).astype("float32")
    ids = ops.convert_to_tensor(np.arange(7) % 3)
    step = compiled(loss)
    eager = value_and_gradient(lambda p: loss(ids, p), embeddings)
    traced = value_and_gradient(lambda p: step(ids, p), embeddings)
    np.testing.assert_allclose(traced[0], eager[0], rtol=1e-5)
    np.testing.assert_allclose(traced[1], eager[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", [contrastive, supcon, ls.losses.clip], ids=repr)
def test_a_graph_that_leaves_every_size_open(loss):
    """TensorFlow's; the other backends compile for the sizes they see."""
    shape = (7, 2, 4) if loss is ls.losses.clip else (7, 4)
    embeddings = np.random.default_rng(10).normal(size=shape).astype("float32")
    ids, embeddings = (ops.convert_to_tensor(each) for each in (np.arange(7) % 3, embeddings))
    step = open_shapes(loss, ids, embeddings)
    np.testing.assert_allclose(
        to_numpy(step(ids, embeddings)), to_numpy(loss(ids, embeddings)), rtol=1e-5
    )


def test_a_small_batch_is_compared_at_once(monkeypatch):
    """By the differences of all its pairs, with the same value and gradient."""
    embeddings = np.random.default_rng(12).normal(size=(7, 4)).astype("float32")
    ids = np.arange(7) % 3
    losses = [contrastive, ls.losses.triplet]
    blocks = [value_and_gradient(lambda p, loss=loss: loss(ids, p), embeddings) for loss in losses]
    monkeypatch.setattr(engine, "_ENTRIES", 7 * 7 * 4)
    with compiled_apart("at once"):
        at_once = [value_and_gradient(lambda p, loss=loss: loss(ids, p), embeddings)
                   for loss in losses]  # fmt: skip
    for (value, gradient), expected in zip(at_once, blocks, strict=True):
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-6)


def nearest_by_loops(y, p, weights=None, sharpness=4.0):
    weights = oracles.weights_of(y, weights)
    similarity = sharpness * oracles.unit(p) @ oracles.unit(p).T
    total = count = 0.0
    for i in range(len(y)):
        positives, negatives = oracles.groups(y, weights, i)
        if positives and negatives:
            worst = np.log(np.sum(weights[negatives] * np.exp(similarity[i, negatives])))
            best = np.log(np.sum(weights[positives] * np.exp(-similarity[i, positives])))
            total += weights[i] * np.logaddexp(0, worst + best)
            count += weights[i]
    return total / count if count else 0.0


def test_a_loss_of_a_user():
    rng = np.random.default_rng(11)
    embeddings = rng.normal(size=(8, 4)).astype("float32")
    check(Nearest(), nearest_by_loops, np.arange(8) % 3, embeddings)


def test_what_does_not_fit_is_refused():
    embeddings = np.zeros((4, 3), "float32")
    with pytest.raises(ValueError, match="must hold an embedding per item"):
        supcon(np.zeros(4, int), np.zeros(4, "float32"))
    with pytest.raises(ValueError, match="y_true has shape"):
        supcon(np.zeros(5, int), embeddings)
    with pytest.raises(TypeError, match="integer class ids"):
        supcon(np.zeros(4, "float32"), embeddings)
    with pytest.raises(TypeError, match="as integers or booleans"):
        supcon(np.zeros((4, 2), "float32"), embeddings)
    with pytest.raises(ValueError, match="can never be reached"):
        contrastive(margin=2.5, distance="cosine")


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30, 2e37])
def test_the_gradient_through_unit_vectors_is_that_of_the_quotient_rule(scale):
    """The last are longer than float32 holds."""
    rng = np.random.default_rng(11)
    vectors = (scale * rng.normal(size=(5, 400))).astype("float32")
    # Large enough for a gradient that no backend takes for 0.
    slope = (max(1.0, 1e-30 * scale) * rng.normal(size=(5, 400))).astype("float32")
    expected = []
    for vector, pull in zip(vectors.astype("float64") / scale, slope, strict=True):
        length = np.linalg.norm(vector)
        jacobian = np.eye(400) / length - np.outer(vector, vector) / length**3
        expected.append(jacobian @ pull / scale)
    _, found = value_and_gradient(
        lambda p: engine.driver.directions(p)[0] * ops.convert_to_tensor(slope), vectors
    )
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6 * np.abs(expected).max())
