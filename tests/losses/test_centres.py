"""Losses with centres: what shapes and ids they take."""

import keras
import numpy as np
import pytest

import lossmith as ls

losses = ls.losses


def test_proxy_anchor_takes_one_embedding_per_item():
    loss = losses.ProxyAnchor(centres=np.eye(3))
    labels, steps = np.zeros((4, 2), "int32"), np.ones((4, 2, 3), "float32")
    with pytest.raises(ValueError, match=r"shape \(4, 2, 3\).* an embedding per item, \(N, D"):
        loss(labels, steps)
    assert losses.ArcFace(centres=np.eye(3)).values(labels, steps).shape == (4, 2)


WITH_CENTRES = [losses.ArcFace, losses.CosFace, losses.ProxyNCA, losses.ProxyAnchor]


@pytest.mark.parametrize("kind", WITH_CENTRES, ids=lambda kind: kind.__name__)
def test_an_id_without_a_centre_shows_in_training_and_spoils_nothing(kind, backend):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1), kind(centres=np.eye(3)))
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    ids = np.array([-1, 1, 2, 3])
    if backend == "torch":
        with pytest.raises(ValueError, match="class ids must be from 0 to 2"):
            model.fit(x, ids, verbose=0)
        return
    for wrong in (slice(0, 3), slice(1, 4)):
        assert np.isnan(model.evaluate(x[wrong], ids[wrong], verbose=0))
    weights = np.array([0.0, 1.0, 1.0, 0.0])
    assert np.isfinite(model.evaluate(x, ids, sample_weight=weights, verbose=0))
    model.fit(x, ids, verbose=0)
    assert all(np.all(np.isfinite(each)) for each in model.get_weights())


def test_small_integers_tell_many_classes_apart():
    loss = losses.ProxyNCA(centres=np.random.default_rng(0).normal(size=(300, 2)))
    embeddings = np.ones((1, 2), "float32")
    value = float(loss(np.array([7], "uint8"), embeddings))
    assert value == pytest.approx(float(loss(np.array([7], "int32"), embeddings)))
