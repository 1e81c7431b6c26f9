import json
from typing import Any

import pytest

import lossmith as ls
from lossmith.siamese.settings import TrainingSettings, settings_for
from lossmith.siamese.trainable_losses import CentresToLearn, loss_named, loss_or_centres

CENTRES = ls.losses.CosFace(centres=ls.learned(shape=(3, 5)))


@pytest.mark.parametrize("preset", ["default", "lab"])
def test_settings_survive_json(preset: Any) -> None:
    settings = settings_for(500, preset, seed=3)
    assert TrainingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_hyperparameters_of_the_loss_survive_json() -> None:
    loss = ls.losses.contrastive(margin=0.7, factor=0.5)
    settings = settings_for(500, loss=loss)
    again = TrainingSettings.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again.loss == loss
    assert again.margin == 0.7


def test_the_lab_preset_is_the_lab() -> None:
    lab = settings_for(60_000, "lab")
    assert (lab.encoder, lab.pairing, lab.optimizer) == ("lab", "lab", "rmsprop")
    assert (lab.epochs, lab.batch_size, lab.learning_rate, lab.margin) == (20, 128, 1e-3, 1.0)
    assert (lab.schedule, lab.patience) == ("constant", 0)


def test_small_data_get_more_epochs_within_limits() -> None:
    epochs = [settings_for(items).epochs for items in (1, 40, 4_000, 54_000, 10_000_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == 100
    assert epochs[-1] == 5


def test_the_pairing_follows_the_loss() -> None:
    assert settings_for(100, loss=ls.losses.contrastive).pairing == "balanced"
    assert settings_for(100, "lab", loss=ls.losses.supervised_contrastive).pairing == "batch"
    assert settings_for(100, "lab", loss=ls.losses.contrastive(margin=2.0)).pairing == "lab"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"encoder": "resnet"}, "encoder must be one of default, lab"),
        ({"distance": "hamming"}, "distance must be one of euclidean"),
        ({"epochs": 0}, "epochs must be an integer >= 1"),
        ({"epochs": 2.5}, "epochs must be an integer >= 1"),
        ({"batch_size": 1}, "batch_size must be an integer >= 2"),
        ({"seed": -1}, "seed must be an integer >= 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"validation_share": 0.5}, "validation_share must lie in"),
        ({"loss": ls.losses.huber}, "labelled items with a loss of class ids"),
        ({"loss": "contrastive"}, "labelled items with a loss of class ids"),
        (
            {"pairing": "lab"},
            "class ids, which pairs do not have",
        ),
        ({"loss": ls.losses.siglip, "pairing": "lab"}, "class ids, which pairs do not have"),
        ({"loss": CENTRES}, "centres have 5 dimensions and the embeddings 64"),
        ({"loss": 0.5 * CENTRES, "preset": "lab"}, "5 dimensions and the embeddings 128"),
        (
            {"loss": CentresToLearn(ls.losses.ArcFace), "embedding_size": 0},
            "embedding_size must be an integer >= 1",
        ),
        ({"loss": ls.losses.contrastive, "pairing": "batch"}, "needs the pairing balanced or lab"),
        ({"loss": ls.losses.contrastive(margin=3.0)}, "can never be reached"),
        ({"loss": 0.5 * ls.losses.contrastive(margin=3.0)}, "contrastive: margin 3 can never be"),
        (
            {"loss": ls.losses.triplet(margin=3.0) + ls.losses.supervised_contrastive},
            "can never be reached",
        ),
        ({"loss": 0.5 * ls.losses.contrastive(same=0)}, "would pull the different ones together"),
        ({"loss": ls.losses.contrastive(same=0)}, "would pull the different ones together"),
        ({"loss": ls.losses.contrastive(reduction="none")}, "training needs one number"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_for(100, **given)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="preset must be one of default, lab"):
        settings_for(100, "fast")  # type: ignore[arg-type]


def test_a_description_with_other_entries_is_refused() -> None:
    described = settings_for(100).to_dict()
    del described["seed"]
    with pytest.raises(ValueError, match="see colour, seed"):
        TrainingSettings.from_dict({**described, "colour": "red"})


def test_loss_and_network_compare_by_one_distance() -> None:
    by_cosine = ls.losses.triplet(distance="cosine")
    assert settings_for(100, loss=by_cosine).distance == "cosine"
    assert settings_for(100, loss=ls.losses.nt_xent, distance="cosine").distance == "cosine"
    assert settings_for(100, loss=0.5 * by_cosine).distance == "cosine"
    for loss in (by_cosine, 0.5 * by_cosine, ls.losses.triplet + by_cosine):
        with pytest.raises(ValueError, match="by the distance cosine, and the network by eu"):
            settings_for(100, loss=loss, distance="euclidean")


@pytest.mark.parametrize("name", ["arc_face", "ProxyAnchor", "CrossBatchMemory"])
def test_a_loss_that_needs_more_than_a_name_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"needs a value.*train from Python"):
        loss_named(name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("arcface", ls.losses.ArcFace),
        ("cos_face", ls.losses.CosFace),
        ("ProxyAnchor", ls.losses.ProxyAnchor),
        ("ProxyNCA++", ls.losses.ProxyNCA),
    ],
)
def test_centres_to_learn_get_the_shape_of_classes_and_embeddings(name: str, kind: Any) -> None:
    loss = loss_or_centres(name)
    settings = settings_for(100, loss=loss, classes=7, embedding_size=12, seed=4)
    assert settings.loss == CentresToLearn(kind).learned_for(7, 12, seed=4)
    assert settings.loss.centres.shape == (7, 12)
    assert settings_for(100, "lab", loss=loss, classes=7).loss.centres.shape == (7, 128)
    assert TrainingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_hyperparameters_beside_the_centres() -> None:
    loss = CentresToLearn(ls.losses.ArcFace)(margin=0.3)(scale=16)
    assert settings_for(100, loss=loss).loss.hyperparameters["margin"] == 0.3
    assert settings_for(100, loss=loss).loss.hyperparameters["scale"] == 16.0
    with pytest.raises(TypeError, match="temperature"):
        loss(temperature=1.0)
    with pytest.raises(ValueError, match="margin"):
        loss(margin=-1.0)


def test_only_a_margin_of_distances_is_one_of_the_distance() -> None:
    assert settings_for(100, loss=ls.losses.triplet(margin=0.4)).margin == 0.4
    assert settings_for(100, loss=0.5 * ls.losses.contrastive(margin=0.7)).margin == 0.7
    for loss in (ls.losses.circle, CentresToLearn(ls.losses.ArcFace), ls.losses.nt_xent):
        assert settings_for(100, loss=loss).margin is None
    assert settings_for(100, loss=CentresToLearn(ls.losses.CosFace)(margin=3.0)).margin is None
