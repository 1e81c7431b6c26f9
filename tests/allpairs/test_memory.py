"""A memory of past batches inside a model: what each training step sees, gradients, saving."""

import keras
import numpy as np
import pytest
from contract import allpairs_oracles as oracles
from gradients import finite_differences

import lossmith as ls
from lossmith.core import backend

CrossBatchMemory = ls.losses.CrossBatchMemory
RNG = np.random.default_rng(31)
X = RNG.normal(size=(14, 3)).astype("float32")
IDS = RNG.integers(0, 3, size=14)
WEIGHTS = RNG.choice([0, 0.5, 1, 2], size=14).astype("float32")
KERNEL = RNG.normal(size=(3, 4)).astype("float32")
SUPERVISED = ls.losses.supervised_contrastive(temperature=0.5)


def supervised_against(anchors, partners):
    """Of `(label, vector, weight)`; the first partners are the anchors themselves."""
    total = count = 0.0
    for i, (label, vector, weight) in enumerate(anchors):
        others = [each for j, each in enumerate(partners) if j != i and each[2] > 0]
        positives = [each for each in others if oracles.same(label, each[0])]
        if weight == 0 or not positives:
            continue

        def similarity(other, vector=vector):
            product = vector @ other[1]
            return product / np.linalg.norm(vector) / np.linalg.norm(other[1]) / 0.5

        partition = np.log(sum(w * np.exp(similarity((y, p, w))) for y, p, w in others))
        pull = np.average([similarity(each) for each in positives],
                          weights=[each[2] for each in positives])  # fmt: skip
        total += weight * (partition - pull)
        count += weight
    return total / count if count else 0.0


def items(labels, vectors, weights):
    return list(zip(labels, np.asarray(vectors, float), np.asarray(weights, float), strict=True))


def model_with(loss, rate=0.0, **compile_arguments):
    """Embeddings are `x @ KERNEL`, until steps change it."""
    layer = keras.layers.Dense(4, use_bias=False)
    model = keras.Sequential([keras.Input((3,)), layer, loss.state])
    layer.set_weights([KERNEL])
    model.compile(keras.optimizers.SGD(rate), loss, **compile_arguments)
    return model


def steps(model, chunks, weights=None):
    """The loss of each training step."""
    found = []
    for chunk in chunks:
        model.reset_metrics()
        here = None if weights is None else weights[chunk]
        found.append(float(np.ravel(model.train_on_batch(X[chunk], IDS[chunk], here))[0]))
    return found


CHUNKS = [slice(0, 5), slice(5, 10), slice(10, 14), slice(0, 5)]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_each_step_meets_the_last_items(weights):
    """Seven places: the third batch of five finds two of the first and all of the second."""
    loss = CrossBatchMemory(loss=SUPERVISED, size=7)
    found = steps(model_with(loss), CHUNKS, weights)
    every = np.ones(14) if weights is None else weights
    memory = []
    for chunk, value in zip(CHUNKS, found, strict=True):
        batch = items(IDS[chunk], X[chunk] @ KERNEL, every[chunk])
        assert value == pytest.approx(supervised_against(batch, batch + memory), rel=1e-4)
        memory = (memory + batch)[-7:]


def test_the_gradient_is_that_in_the_batch():
    loss = CrossBatchMemory(loss=SUPERVISED, size=6)
    model = model_with(loss)
    steps(model, CHUNKS[:1])
    model.optimizer.learning_rate = 1.0
    steps(model, CHUNKS[1:2])
    memory = items(IDS[:5], X[:5] @ KERNEL, np.ones(5))

    def value(kernel):
        batch = items(IDS[5:10], X[5:10].astype(float) @ kernel, np.ones(5))
        return supervised_against(batch, batch + memory)

    moved = KERNEL - model.layers[0].get_weights()[0]
    np.testing.assert_allclose(
        moved, finite_differences(value, KERNEL.astype(float)), rtol=2e-3, atol=1e-5
    )


def test_a_batch_larger_than_the_memory_leaves_its_last_items():
    model = model_with(CrossBatchMemory(loss=SUPERVISED, size=3))
    found = steps(model, [slice(0, 5), slice(5, 7)])
    batch = items(IDS[5:7], X[5:7] @ KERNEL, np.ones(2))
    memory = items(IDS[2:5], X[2:5] @ KERNEL, np.ones(3))
    assert found[1] == pytest.approx(supervised_against(batch, batch + memory), rel=1e-4)
    assert model.layers[-1].remembered() == 3


def test_the_warm_up_remembers_but_does_not_compare():
    loss = CrossBatchMemory(loss=SUPERVISED, size=20, warm_up=2)
    found = steps(model_with(loss), CHUNKS[:3])
    for chunk, value in zip(CHUNKS[:2], found, strict=False):
        assert value == pytest.approx(float(SUPERVISED(IDS[chunk], X[chunk] @ KERNEL)), rel=1e-4)
    parts = [items(IDS[c], X[c] @ KERNEL, np.ones(len(IDS[c]))) for c in CHUNKS[:3]]
    expected = supervised_against(parts[2], parts[2] + parts[0] + parts[1])
    assert found[2] == pytest.approx(expected, rel=1e-4)


def test_evaluation_looks_at_the_batch_alone_and_remembers_nothing():
    model = model_with(CrossBatchMemory(loss=SUPERVISED, size=20))
    steps(model, CHUNKS[:1])
    value = model.evaluate(X[5:10], IDS[5:10], verbose=0)
    assert value == pytest.approx(float(SUPERVISED(IDS[5:10], X[5:10] @ KERNEL)), rel=1e-4)
    assert model.layers[-1].remembered() == 5


def test_a_saved_model_remembers(tmp_path):
    loss = CrossBatchMemory(loss=SUPERVISED, size=8)
    model = model_with(loss)
    steps(model, CHUNKS[:2])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.loss == loss
    assert again.layers[-1].remembered() == 8
    assert steps(again, CHUNKS[2:]) == pytest.approx(steps(model, CHUNKS[2:]), rel=1e-6)


def test_views_with_a_margin_that_changes():
    """Two views of seven items; the hardest triplets of the batch and of what is remembered."""
    loss = CrossBatchMemory(
        loss=ls.losses.triplet(mining="hardest", margin=ls.adjustable(0.5)), size=14
    )
    model = keras.Sequential([keras.Input((2, 3)), loss.state])
    model.compile("sgd", loss, jit_compile=False)
    views = X.reshape(7, 2, 3)
    alone = ls.losses.triplet(mining="hardest", margin=0.5)
    first = float(np.ravel(model.train_on_batch(views, IDS[:7]))[0])
    assert first == pytest.approx(float(alone(IDS[:7], views)), rel=1e-4)
    ls.set_hyperparameters(model, {"loss.margin": 1.5})
    model.reset_metrics()
    second = float(np.ravel(model.train_on_batch(views, IDS[:7]))[0])
    gaps = oracles.distances(X.astype(float), "euclidean")
    same = np.repeat(IDS[:7], 2)[:, None] == np.repeat(IDS[:7], 2)[None, :]
    # Every item finds its own copy in the memory, at distance 0: no harder positive than before.
    furthest = np.where(same, gaps, 0).max(axis=1)
    nearest = np.where(same, np.inf, gaps).min(axis=1)
    assert second == pytest.approx(np.maximum(furthest - nearest + 1.5, 0).mean(), rel=1e-4)


def test_labels_of_several_kinds():
    loss = CrossBatchMemory(loss=SUPERVISED, size=9, labels=3)
    model = model_with(loss)
    labels = (RNG.random((14, 3)) < 0.5).astype("int32")
    model.train_on_batch(X[:6], labels[:6])
    model.reset_metrics()
    value = float(np.ravel(model.train_on_batch(X[6:], labels[6:]))[0])
    batch, memory = (items(labels[c], X[c] @ KERNEL, np.ones(len(X[c])))
                     for c in (slice(6, 14), slice(0, 6)))  # fmt: skip
    assert value == pytest.approx(supervised_against(batch, batch + memory), rel=1e-4)
    with pytest.raises(ValueError, match=r"holds labels \(N, 3\)"):
        model_with(loss).train_on_batch(X, IDS)
    with pytest.raises(ValueError, match=r"holds class ids"):
        model_with(CrossBatchMemory(loss=SUPERVISED)).train_on_batch(X, labels)


def remembering(labels):
    """A loss, and what it gives for a batch after another, without a model."""
    loss = CrossBatchMemory(loss=SUPERVISED, size=9, labels=labels.shape[1])
    state = loss.state

    def call(labels, weights):
        return loss(
            labels, state(keras.ops.convert_to_tensor(X[: len(labels)]), training=True), weights
        )

    call(labels, WEIGHTS)
    return call


def test_what_is_remembered_is_not_looked_at_again(monkeypatch):
    labels = (RNG.random((14, 3)) < 0.5).astype("int32")
    call, seen = remembering(labels), []

    def is_concrete(tensor):
        seen.append(len(tensor))
        return True

    monkeypatch.setattr(backend, "is_concrete", is_concrete)
    call(labels[:6], WEIGHTS[:6])
    assert set(seen) == {6}


def test_what_is_given_is_looked_at():
    labels = (RNG.random((14, 3)) < 0.5).astype("int32")
    call = remembering(labels)
    with pytest.raises(ValueError, match="cross_batch_memory: weights must be 0 or more; got -1"):
        call(labels[:6], np.full(6, -1.0, "float32"))
    with pytest.raises(ValueError, match=r"cross_batch_memory: labels .* are 0 or 1 .* got 2 in"):
        call(2 * labels[:6], None)


def test_it_is_refused_where_it_cannot_remember():
    with pytest.raises(TypeError, match="a batch with itself"):
        CrossBatchMemory(loss=ls.losses.clip)
    loss = CrossBatchMemory(loss=SUPERVISED, size=4)
    with pytest.raises(ValueError, match="bring no memory"):
        loss(IDS, X)
    outputs = loss.state(keras.ops.convert_to_tensor(X), training=True)
    loss(IDS, outputs)
    with pytest.raises(RuntimeError, match="remembered already"):
        loss(IDS, outputs)


def test_a_part_of_a_sum():
    """The state of the memory stays its own; what the sum changes has another layer."""
    memory = CrossBatchMemory(loss=SUPERVISED, size=20)
    total = 0.5 * memory + ls.losses.nt_xent
    layers = [keras.Input((3,)), keras.layers.Dense(4, use_bias=False), memory.state]
    model = keras.Sequential(layers)
    model.layers[0].set_weights([KERNEL])
    model.compile(keras.optimizers.SGD(0.0), total)
    found = steps(model, CHUNKS[:2])[1]
    batch, past = (items(IDS[c], X[c] @ KERNEL, np.ones(5)) for c in (CHUNKS[1], CHUNKS[0]))
    expected = 0.5 * supervised_against(batch, batch + past)
    expected += float(ls.losses.nt_xent(IDS[5:10], X[5:10] @ KERNEL))
    assert found == pytest.approx(expected, rel=1e-4)
