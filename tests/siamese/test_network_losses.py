"""The losses and metrics that a Siamese network is compiled with."""

import keras
import numpy as np
import pytest
from keras import layers
from siamese.networks import encoder, pairs

import lossmith as ls
from lossmith.siamese import SiameseNetwork


def test_a_margin_out_of_reach_is_refused_where_the_two_meet():
    with pytest.raises(ValueError, match="at most 2"):
        SiameseNetwork(encoder(), "cosine").compile("sgd", ls.losses.contrastive(margin=2.5))
    with pytest.raises(ValueError, match="length 1"):
        SiameseNetwork(encoder(unit=True)).compile("sgd", ls.losses.contrastive(margin=2.5))
    SiameseNetwork(encoder()).compile("sgd", ls.losses.contrastive(margin=2.5))


OUT_OF_REACH = ls.losses.contrastive(margin=3.0)


@pytest.mark.parametrize(
    "loss",
    [
        0.5 * OUT_OF_REACH,
        0.5 * OUT_OF_REACH + ls.losses.contrastive(margin=1.0),
        ls.uncertainty_weighted(OUT_OF_REACH),
        ls.uncertainty_weighted(0.5 * OUT_OF_REACH),
    ],
    ids=["weighted", "sum", "uncertainty", "both"],
)
def test_a_margin_inside_of_another_loss_is_seen(loss):
    with pytest.raises(ValueError, match="at most 2"):
        SiameseNetwork(encoder(), "cosine").compile("sgd", loss)


@pytest.mark.parametrize(
    "combine",
    [lambda loss: 0.5 * loss, lambda loss: ls.losses.contrastive + loss, ls.uncertainty_weighted],
    ids=["weighted", "sum", "uncertainty"],
)
def test_a_label_of_0_for_same_inside_of_another_loss_is_seen(combine):
    network = SiameseNetwork(encoder())
    network.compile("sgd", combine(ls.losses.contrastive(same=0)))
    with pytest.raises(ValueError, match="have label 1 for same"):
        network.fit(ls.siamese.AlignedPairs(*pairs(16)))


def test_a_margin_out_of_reach_of_an_encoder_that_is_built_by_its_first_batch():
    late = keras.Sequential([layers.Dense(4), layers.UnitNormalization()])
    network = SiameseNetwork(late)
    network.compile("sgd", ls.losses.contrastive(margin=2.5))
    a, b, same = pairs(8)
    with pytest.raises(ValueError, match="length 1"):
        network.fit((a, b), same, verbose=0)


@pytest.mark.parametrize("within", [lambda loss: loss, lambda loss: loss + 0.5 * loss])
def test_a_distance_of_the_loss_that_is_not_used_is_refused(within):
    network = SiameseNetwork(encoder(), distance="manhattan")
    told = r"not use its distance.* by manhattan: write SiameseNetwork\(encoder, distance='cosine'"
    with pytest.raises(ValueError, match=told):
        network.compile("sgd", within(ls.losses.contrastive(distance="cosine")))
    network.compile("sgd", within(ls.losses.contrastive(distance="manhattan")))
    network.compile("sgd", within(ls.losses.contrastive))


def test_a_loss_with_0_for_same_is_for_labels_of_ones_own():
    network = SiameseNetwork(encoder())
    network.compile("sgd", ls.losses.contrastive(same=0))
    a, b, same = pairs(16)
    network.fit((a, b), 1 - same, verbose=0)
    own = ls.siamese.AlignedPairs(a, b, same)
    for refused in (
        lambda: network.fit(own),
        lambda: network.fit((a, b), 1 - same, validation_data=own),
        lambda: network.evaluate(own),
    ):
        with pytest.raises(ValueError, match="have label 1 for same"):
            refused()
    np.testing.assert_array_equal(network.predict(own, verbose=0), network.distance(a, b))


def test_a_loss_that_is_not_reduced_is_refused():
    with pytest.raises(ValueError, match="training needs one number"):
        SiameseNetwork(encoder()).compile("sgd", ls.losses.contrastive(reduction="none"))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (ls.losses.huber, "pairs with a loss of pair labels, such as contrastive"),
        ("huber", "pairs with a loss of pair labels, such as contrastive"),
        ("mse", "pairs with a loss of pair labels, such as contrastive"),
        (keras.losses.MeanSquaredError(), "pairs with a loss of pair labels, such as contrastive"),
        (keras.losses.mean_squared_error, "pairs with a loss of pair labels, such as contrastive"),
        (["huber"], "pairs with a loss of pair labels, such as contrastive"),
        ("poisson", "poisson is not one of the losses"),
        ("contrastiv", "Did you mean 'contrastive'"),
        ("arcface", r"needs a value: write ArcFace\(centres=.*network\.compile"),
    ],
)
def test_losses_that_do_not_compare_pairs_are_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        SiameseNetwork(encoder()).compile("sgd", loss)


@pytest.mark.parametrize(
    "settings",
    [
        {"metrics": ["accuracy"]},
        {"weighted_metrics": "acc"},
        {"metrics": ["BinaryAccuracy"]},
        {"metrics": [keras.metrics.BinaryAccuracy()]},
        {"metrics": [keras.metrics.binary_accuracy]},
    ],
    ids=str,
)
def test_an_accuracy_that_takes_distances_for_probabilities_is_refused(settings):
    network = SiameseNetwork(encoder(), distance="euclidean")
    with pytest.raises(ValueError, match=r"network\.calibrate"):
        network.compile("adam", loss=ls.losses.contrastive, **settings)


@ls.loss
def undeclared(y_true, y_pred):
    """A contrastive loss without a margin, whose author forgot to say what it compares."""
    return y_true * y_pred


def test_a_loss_of_ones_own_that_is_not_declared_is_told_how():
    with pytest.raises(ValueError, match='declare it with targets="pair"'):
        SiameseNetwork(encoder()).compile("sgd", undeclared)


def test_a_loss_by_name_and_a_function_of_ones_own_train():
    network = SiameseNetwork(encoder())
    network.compile("sgd", "contrastive")
    assert network.loss == ls.losses.contrastive
    network.compile("sgd", lambda y_true, y_pred: y_true * y_pred)
    a, b, same = pairs(16)
    network.fit((a, b), same, verbose=0)
