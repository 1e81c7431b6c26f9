"""Metrics of all pairs against loops, over batches, weights, in a model and saved."""

import itertools

import keras
import numpy as np
import pytest
from contract import allpairs_oracles as oracles

import lossmith as ls
from lossmith.allpairs import ActivePairs, MeanNegativeDistance, MeanPositiveDistance

RNG = np.random.default_rng(12)
EMBEDDINGS = RNG.normal(size=(9, 4)).astype("float32")
IDS = np.array([0, 1, 0, 2, 1, 0, 3, 1, 2])
WEIGHTS = np.array([1, 2, 0.5, 0, 1, 3, 1, 1, 1], "float32")


def mean_distance(ids, embeddings, weights, alike, distance):
    gaps = oracles.distances(embeddings.astype(float), distance)
    chosen = [
        (weights[i] * weights[j], gaps[i, j])
        for i, j in itertools.permutations(range(len(ids)), 2)
        if (ids[i] == ids[j]) == alike
    ]
    return np.average([gap for _, gap in chosen], weights=[weight for weight, _ in chosen])


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "cosine"])
def test_mean_distances(distance):
    for metric, alike in ((MeanPositiveDistance, True), (MeanNegativeDistance, False)):
        metric = metric(distance)
        metric.update_state(IDS, EMBEDDINGS)
        expected = mean_distance(IDS, EMBEDDINGS, np.ones(9), alike, distance)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
        metric.reset_state()
        metric.update_state(IDS, EMBEDDINGS, WEIGHTS)
        expected = mean_distance(IDS, EMBEDDINGS, WEIGHTS, alike, distance)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_the_mean_is_over_the_pairs_of_all_batches():
    metric = MeanPositiveDistance()
    metric.update_state([0, 0], [[0.0], [1.0]])
    metric.update_state([0, 0, 0], [[0.0], [3.0], [6.0]])
    assert float(metric.result()) == pytest.approx((1 + 3 + 3 + 6) / 4)


def test_no_pairs_give_zero():
    metric = MeanNegativeDistance()
    metric.update_state([0, 0], [[0.0], [1.0]])
    assert float(metric.result()) == 0


def active_by_loops(margin, weights):
    gaps = oracles.distances(EMBEDDINGS.astype(float), "euclidean")
    return sum(
        weights[i] * weights[j]
        for i, j in itertools.permutations(range(9), 2)
        if IDS[i] == IDS[j] or gaps[i, j] < margin
    )


def test_active_pairs_of_the_contrastive_loss():
    loss = ls.losses.all_pairs_contrastive(margin=2.0)
    metric = ActivePairs(loss)
    metric.update_state(IDS, EMBEDDINGS)
    first = active_by_loops(2.0, np.ones(9))
    assert float(metric.result()) == first
    metric.update_state(IDS, EMBEDDINGS, WEIGHTS)
    assert float(metric.result()) == pytest.approx((first + active_by_loops(2.0, WEIGHTS)) / 2)


def test_active_pairs_of_the_hardest_triplets():
    """Two for each anchor whose triplet violates."""
    metric = ActivePairs(ls.losses.triplet(mining="hardest", margin=1.0))
    metric.update_state([0, 0, 1], [[0.0], [1.0], [1.5]])
    assert float(metric.result()) == 4


def test_in_a_model():
    inputs = RNG.normal(size=(12, 3)).astype("float32")
    ids = np.arange(12) % 3
    loss = ls.losses.all_pairs_contrastive
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(loss=loss, metrics=[ActivePairs(loss), MeanPositiveDistance()])
    logs = model.evaluate(inputs, ids, batch_size=12, verbose=0, return_dict=True)
    outputs = np.asarray(model.predict(inputs, verbose=0), "float64")
    expected = mean_distance(ids, outputs, np.ones(12), True, "euclidean")
    assert logs["mean_positive_distance"] == pytest.approx(expected, rel=1e-5)
    assert 12 * 3 <= logs["active_pairs"] <= 12 * 11
    history = model.fit(inputs, ids, batch_size=6, epochs=2, verbose=0).history
    assert np.isfinite(history["mean_positive_distance"]).all()


def test_metrics_are_saved_with_their_settings():
    loss = ls.losses.triplet(margin=0.7)
    for metric in (ActivePairs(loss), MeanNegativeDistance("cosine", name="far")):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert again.get_config() == metric.get_config()
        again.update_state(IDS, EMBEDDINGS)
        metric.update_state(IDS, EMBEDDINGS)
        assert float(again.result()) == float(metric.result())


@pytest.mark.parametrize("loss", [ls.losses.huber, ls.losses.contrastive, "contrastive"])
def test_active_pairs_need_a_loss_over_all_pairs(loss):
    with pytest.raises(TypeError, match="over all pairs of a batch"):
        ActivePairs(loss)


def test_active_pairs_of_a_margin_that_changes():
    """The metric follows the value that the predictions carry, also where it casts them."""
    adjusted = ls.losses.all_pairs_contrastive(margin=ls.adjustable(0.5))
    inputs = RNG.normal(size=(9, 3)).astype("float32")
    layers = [keras.Input((3,)), keras.layers.Dense(4, dtype="float16"), adjusted.state]
    model = keras.Sequential(layers)
    metric = ActivePairs(adjusted)
    model.compile(loss=adjusted, metrics=[metric])
    outputs = model.predict(inputs, verbose=0)
    counts = []
    for margin in (0.5, 3.0):
        ls.set_hyperparameters(model, margin=margin)
        logs = model.evaluate(inputs, IDS, batch_size=9, verbose=0, return_dict=True)
        fixed = ActivePairs(ls.losses.all_pairs_contrastive(margin=margin))
        fixed.update_state(IDS, outputs)
        assert logs["active_pairs"] == float(fixed.result())
        counts.append(logs["active_pairs"])
    assert counts[0] < counts[1]


def test_active_pairs_need_the_state_of_a_loss_that_changes():
    loss = ls.losses.all_pairs_contrastive(margin=ls.adjustable(0.5))
    with pytest.raises(ValueError, match="predictions bring no value of `margin`"):
        ActivePairs(loss).update_state(IDS, EMBEDDINGS)


def between_views(ids, first, second, alike, distance="euclidean"):
    """The distances of first and second views of the same class, or of others."""
    gaps = [[oracles.distance(a, b, distance) for b in second] for a in first]
    return np.array(gaps)[(ids[:, None] == ids[None, :]) == alike]


def test_mean_distances_between_two_views():
    views = RNG.normal(size=(9, 2, 4)).astype("float32")
    for kind, alike in ((MeanPositiveDistance, True), (MeanNegativeDistance, False)):
        for distance in ("euclidean", "cosine"):
            metric = kind(distance, compared="views")
            again = keras.saving.deserialize_keras_object(
                keras.saving.serialize_keras_object(metric)
            )
            again.update_state(IDS, views)
            exact = views.astype(float)
            expected = between_views(IDS, exact[:, 0], exact[:, 1], alike, distance).mean()
            assert float(again.result()) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="'items' or 'views'"):
        MeanPositiveDistance(compared="pairs")


@pytest.mark.parametrize(
    ("loss", "ways"), [(ls.losses.clip, 2), (ls.losses.n_pair, 1), (ls.losses.siglip, 1)]
)
def test_active_pairs_between_two_encoders(loss, ways):
    """No slope of a softmax or a sigmoid is 0; item 3 is taken out."""
    views = RNG.normal(size=(5, 2, 4)).astype("float32")
    metric = ActivePairs(loss)
    metric.update_state(np.arange(5), views, np.array([1, 1, 1, 0, 1], "float32"))
    assert float(metric.result()) == ways * 4 * 4


def test_equal_items_of_a_class_are_not_active():
    """Nothing pulls at them any more."""
    metric = ActivePairs(ls.losses.all_pairs_contrastive(margin=1.0))
    metric.update_state([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(metric.result()) == 0
