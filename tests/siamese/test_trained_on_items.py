"""Losses of class ids that a Siamese network is compiled with, and what they learn."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from siamese.networks import encoder

import lossmith as ls
from lossmith.core import registry
from lossmith.siamese import ClassBatches, SiameseNetwork
from lossmith.siamese.trainable_losses import takes_views

RNG = np.random.default_rng(5)
IDS = np.repeat(np.arange(4), 12)
X = RNG.normal(size=(48, 6)).astype("float32")
X[np.arange(48), IDS] += 3.0
ARC_FACE = ls.losses.ArcFace(
    centres=ls.learned(shape=(4, 4), initializer=keras.initializers.GlorotUniform(3))
)
OF_CLASS_IDS = {name: cls for name, cls in registry.catalogue().items() if cls.targets == "class"}


def batches(**given: Any) -> ClassBatches:
    return ClassBatches(X, IDS, batch_size=16, **given)


def compiled(loss: Any, rate: float = 0.05) -> SiameseNetwork:
    network = SiameseNetwork(encoder())
    network.compile(keras.optimizers.SGD(rate, momentum=0.9), loss)
    return network


def fitted(network: Any, epochs: int, initial_epoch: int = 0) -> list[float]:
    data = batches(initial_epoch=initial_epoch)
    history = network.fit(
        data, epochs=epochs, initial_epoch=initial_epoch, shuffle=False, verbose=0
    )
    return history.history["loss"]


@keras.saving.register_keras_serializable("lossmith_tests")
class Subclassed(keras.Model):
    """An encoder that does not know the shape of what it gives before it is called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(4)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def centres_of(network: Any) -> np.ndarray:
    return ls.get_hyperparameters(network)["centres"]


@pytest.mark.parametrize("name", OF_CLASS_IDS)
def test_every_loss_of_class_ids_takes_a_step(name: str) -> None:
    cls = OF_CLASS_IDS[name]
    needs_centres = "centres" in cls.declared
    loss = cls(centres=ls.learned(shape=(4, 4))) if needs_centres else cls()
    network = compiled(loss)
    before = network.get_weights()
    value = network.fit(batches(paired=takes_views(loss)), epochs=1, verbose=0).history["loss"][0]
    assert np.isfinite(value)
    assert all((a != b).any() for a, b in zip(before, network.get_weights(), strict=True))


def test_centres_are_trained_as_those_of_a_model_that_has_their_state() -> None:
    network = compiled(ARC_FACE)
    plain = encoder()
    plain.set_weights(network.encoder.get_weights())
    model = ls.with_state(plain, ARC_FACE)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), ARC_FACE)
    ls.set_hyperparameters(model, centres=centres_of(network))
    assert fitted(network, 3) == pytest.approx(fitted(model, 3), rel=1e-4)
    np.testing.assert_allclose(centres_of(network), centres_of(model), rtol=1e-3, atol=1e-4)
    value = model.evaluate(X, IDS, verbose=0)
    assert network.evaluate(X, IDS, verbose=0) == pytest.approx(value, rel=1e-4)


def test_a_training_goes_on_with_its_centres_and_is_served_without(tmp_path: Path) -> None:
    network = compiled(ARC_FACE)
    fitted(network, 2)
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(centres_of(again), centres_of(network))
    assert fitted(again, 4, initial_epoch=2) == pytest.approx(fitted(network, 4, 2), rel=1e-3)
    np.testing.assert_allclose(centres_of(again), centres_of(network), rtol=1e-3, atol=1e-4)
    served = SiameseNetwork(network.encoder)
    served.save(tmp_path / "served.keras")
    loaded = keras.models.load_model(tmp_path / "served.keras")
    assert loaded.count_params() == network.count_params() - 4 * 4
    np.testing.assert_allclose(
        loaded.distance(X[:8], X[8:16]), network.distance(X[:8], X[8:16]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "make", [Subclassed, lambda: keras.Sequential([keras.layers.Dense(4)])], ids=["own", "unbuilt"]
)
@pytest.mark.parametrize(
    "loss",
    [ARC_FACE, ls.losses.CrossBatchMemory(loss=ls.losses.nt_xent, size=40)],
    ids=["centres", "memory"],
)
def test_what_an_encoder_without_a_shape_has_learned_is_saved(
    make: Any, loss: Any, tmp_path: Path
) -> None:
    network = SiameseNetwork(make())
    network.compile("sgd", loss)
    fitted(network, 1)
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    kept, found = network.loss_state.get_weights(), again.loss_state.get_weights()
    for value, expected in zip(found, kept, strict=True):
        np.testing.assert_array_equal(value, expected)
    assert len(kept) > 0


def test_items_of_several_parts_for_an_encoder_that_is_not_built() -> None:
    class OfTwoParts(Subclassed):
        def call(self, inputs: Any) -> Any:
            return self.dense(inputs["left"] + inputs["right"])

    network = SiameseNetwork(OfTwoParts())
    network.compile(keras.optimizers.SGD(0.0), ARC_FACE)
    items = {"left": X, "right": X}
    value = network.fit(items, IDS, batch_size=48, verbose=0).history["loss"][0]
    loss = ls.losses.ArcFace(centres=centres_of(network))
    assert value == pytest.approx(float(loss(IDS, network.encoder(items))), rel=1e-4)


def test_compiled_again_a_network_keeps_what_an_equal_loss_has_learned() -> None:
    network = compiled(ARC_FACE)
    fitted(network, 1)
    learned = centres_of(network)
    network.compile("sgd", ARC_FACE)
    np.testing.assert_array_equal(centres_of(network), learned)
    network.compile("sgd", ls.losses.supervised_contrastive)
    assert ls.get_hyperparameters(network) == {}
    assert network.count_params() == network.encoder.count_params()
    fitted(network, 1)
    network.compile("sgd", ls.losses.contrastive)
    with pytest.raises(ValueError, match="takes a pair"):
        network.fit(X, IDS, verbose=0)


def test_a_state_that_the_encoder_has_is_not_made_twice() -> None:
    layers = [keras.Input((6,)), keras.layers.Dense(4), ARC_FACE.state]
    network = SiameseNetwork(keras.Sequential(layers))
    network.compile("sgd", ARC_FACE)
    assert network.loss_state is None
    before = centres_of(network)
    fitted(network, 1)
    assert (centres_of(network) != before).any()


def test_a_margin_of_pairs_that_is_set_while_training() -> None:
    loss = ls.losses.contrastive(margin=ls.adjustable(0.5))
    network = compiled(loss, rate=0.0)
    far = np.zeros(24)
    first = network.evaluate((X[:24], X[24:]), far, verbose=0)
    ls.set_hyperparameters(network, margin=50.0)
    distances = network.distance(X[:24], X[24:])
    assert first == pytest.approx(np.mean(np.maximum(0.5 - distances, 0) ** 2), abs=1e-5)
    found = network.fit((X[:24], X[24:]), far, batch_size=24, verbose=0).history["loss"][0]
    assert found == pytest.approx(np.mean((50.0 - distances) ** 2), rel=1e-4)


def test_a_memory_of_past_batches() -> None:
    loss = ls.losses.CrossBatchMemory(loss=ls.losses.nt_xent, size=40)
    network = compiled(loss)
    fitted(network, 1)
    assert network.loss_state.remembered() == 40


def test_items_have_embeddings_and_pairs_a_distance() -> None:
    network = compiled(ls.losses.nt_xent)
    embeddings = keras.ops.convert_to_numpy(network(X[:6]))
    np.testing.assert_allclose(embeddings, network.embed(X[:6]), rtol=1e-4, atol=1e-5)
    views = keras.ops.convert_to_numpy(network(X[:6].reshape(3, 2, 6)))
    np.testing.assert_allclose(views, embeddings.reshape(3, 2, 4), rtol=1e-4, atol=1e-5)
    item = keras.Input((6,))
    assert network(item).shape == (None, 4)
    assert network((item, item)).shape == (None,)
    distances = np.linalg.norm(embeddings[:3] - embeddings[3:], axis=1)
    np.testing.assert_allclose(network.distance(X[:3], X[3:6]), distances, rtol=1e-3, atol=1e-4)
    report = network.calibrate(ls.siamese.LabelPairs(X, IDS, batch_size=16))
    assert network.threshold == report.best.threshold.value


@pytest.mark.parametrize("method", ["fit", "evaluate", "validation"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X, IDS + 1), "class ids must be from 0 to 3, one for each centre; got 4"),
        ((ClassBatches(X, np.arange(48) // 6),), "one for each centre; got 4"),
        ((X[:, :3], IDS), r"takes items of shape \(N, 6\); got ndarray of shape \(48, 3\)"),
        ((X, IDS[:5]), "a label per item; got 5 for 48 items"),
        ((X[:0], IDS[:0]), "one item or more; got none"),
        ((X.tolist(), IDS), r"items as arrays; got list of length 48.*np\.asarray"),
        (((X, X), IDS), r"got pairs, and its loss is one of class ids.*ClassBatches"),
        ((ls.siamese.LabelPairs(X, IDS),), "got pairs, and its loss is one of class ids"),
    ],
    ids=["id", "ids", "shape", "count", "none", "list", "pairs", "data set"],
)
def test_what_is_not_for_the_loss_is_refused(method: str, given: Any, message: str) -> None:
    network = compiled(ARC_FACE)
    held_out = given if len(given) > 1 else given[0]
    call = {
        "fit": lambda: network.fit(*given, verbose=0),
        "evaluate": lambda: network.evaluate(*given, verbose=0),
        "validation": lambda: network.fit(X, IDS, validation_data=held_out, verbose=0),
    }[method]
    with pytest.raises(ValueError, match=message):
        call()


def test_centres_of_other_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="centres have 5 dimensions and the embeddings 4"):
        compiled(ls.losses.ProxyNCA(centres=ls.learned(shape=(3, 5))))


@pytest.mark.parametrize("loss", [ls.losses.nt_xent, 0.5 * ls.losses.triplet], ids=repr)
def test_ids_that_would_become_one_class_are_refused(loss: Any) -> None:
    network = compiled(loss)
    if keras.backend.backend() == "jax":
        with pytest.raises(ValueError, match=r"do not fit int32: number them with np\.unique"):
            network.fit(X, IDS * 2**32, verbose=0)
    else:
        assert network.fit(X, IDS * 2**32, verbose=0).history["loss"][0] > 0
