"""The Siamese network: shared weights, distances, calibration, one file."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from siamese.networks import RNG, encoder, pairs

import lossmith as ls
from lossmith.siamese import SiameseNetwork


@pytest.mark.parametrize("name", ["euclidean", "squared_euclidean", "manhattan", "cosine"])
def test_the_output_is_the_distance_of_the_two_embeddings(name):
    network = SiameseNetwork(encoder(), distance=name)
    a, b, _ = pairs()
    left, right = network.embed(a), network.embed(b)
    oracle = {
        "euclidean": np.linalg.norm(left - right, axis=-1),
        "squared_euclidean": np.sum((left - right) ** 2, axis=-1),
        "manhattan": np.sum(np.abs(left - right), axis=-1),
        "cosine": 1
        - np.sum(left * right, -1) / np.linalg.norm(left, axis=-1) / np.linalg.norm(right, axis=-1),
    }[name]
    np.testing.assert_allclose(network.distance(a, b), oracle, rtol=1e-4, atol=1e-5)
    assert network.distance(a, b).shape == (len(a),)
    assert np.all(network.distance(a, a) == 0)


def test_both_inputs_pass_one_set_of_weights():
    network = SiameseNetwork(encoder())
    assert network.count_params() == network.encoder.count_params()


def test_it_learns_from_pairs_and_tells_same_from_different():
    keras.utils.set_random_seed(0)
    network = SiameseNetwork(encoder())
    network.compile(optimizer=keras.optimizers.Adam(0.01), loss=ls.losses.contrastive)
    a, b, same = pairs(256)
    network.fit((a, b), same, epochs=5, batch_size=32, verbose=0)
    report = network.calibrate([((a, b), same)])
    assert report.best.accuracy.value > 0.99
    a, b, same = pairs(64)
    np.testing.assert_array_equal(network.same(a, b), same)


def test_calibration_at_a_false_accept_rate():
    network = SiameseNetwork(keras.Sequential([keras.Input((1,)), layers.Identity()]))
    a = np.zeros((200, 1), "float32")
    distance = np.concatenate([np.full(100, 0.05), np.arange(1, 101) / 100]).astype("float32")
    labels = np.concatenate([np.ones(100), np.zeros(100)])
    network.calibrate([((a, distance[:, None]), labels)], false_accept_rate=0.1)
    accepted = network.same(a, distance[:, None])
    assert np.mean(accepted[labels == 0]) == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"0\.001"):
        network.calibrate([((a, distance[:, None]), labels)], false_accept_rate=0.001)


def test_one_file_holds_the_network_and_its_threshold(tmp_path, fresh_process):
    network = SiameseNetwork(encoder(unit=True), distance="cosine", threshold=0.25)
    network.compile(optimizer="sgd", loss=ls.losses.contrastive(margin=0.7, distance="cosine"))
    a, b, same = pairs(32)
    network.fit((a, b), same, epochs=1, verbose=0)
    network.save(tmp_path / "network.keras")
    np.savez(tmp_path / "pairs.npz", a=a, b=b, same=same)
    loaded = fresh_process(
        f"""
import json, numpy as np, lossmith, keras
import lossmith.siamese
data = np.load({str(tmp_path / "pairs.npz")!r})
network = keras.models.load_model({str(tmp_path / "network.keras")!r})
a, b = data["a"], data["b"]
print(json.dumps(dict(
    distances=network.distance(a, b).tolist(), threshold=network.threshold,
    loss=float(network.evaluate((a, b), data["same"], verbose=0)), repr=repr(network.loss))))
"""
    )
    np.testing.assert_allclose(loaded["distances"], network.distance(a, b), rtol=1e-5, atol=1e-6)
    assert loaded["threshold"] == 0.25
    assert loaded["loss"] == pytest.approx(network.evaluate((a, b), same, verbose=0), rel=1e-5)
    assert "margin=0.7" in loaded["repr"]


def test_an_encoder_that_is_built_by_its_first_batch():
    a, b, same = pairs(8)
    late = keras.Sequential([layers.Dense(4), layers.UnitNormalization()])
    network = SiameseNetwork(late)
    network.compile("sgd", ls.losses.contrastive)
    network.fit((a, b), same, verbose=0)
    assert network.distance(a, b).max() <= 2.0 + 1e-6


def test_a_flag_is_no_threshold():
    with pytest.raises(ValueError, match=r"threshold must be a finite number.*got True"):
        SiameseNetwork(encoder(), threshold=True)


def test_a_list_of_items_is_refused():
    with pytest.raises(TypeError, match=r"np\.asarray\(x\)"):
        SiameseNetwork(encoder()).embed([[0.0] * 6])


def test_what_is_not_a_network_is_refused():
    with pytest.raises(TypeError, match="encoder must be a Keras model"):
        SiameseNetwork(lambda x: x)
    with pytest.raises(ValueError, match=r"one vector per item"):
        SiameseNetwork(keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 2)]))
    with pytest.raises(ValueError, match="distance must be one of"):
        SiameseNetwork(encoder(), distance="hamming")
    with pytest.raises(ValueError, match="threshold"):
        SiameseNetwork(encoder(), threshold=float("nan"))
    with pytest.raises(TypeError, match=r"write Contrastive\(\)"):
        SiameseNetwork(encoder()).compile("sgd", loss=ls.losses.Contrastive)
    with pytest.raises(ValueError, match="needs a threshold"):
        SiameseNetwork(encoder()).same(np.zeros((1, 6)), np.zeros((1, 6)))
    with pytest.raises(ValueError, match="takes a pair"):
        SiameseNetwork(encoder())(np.zeros((2, 6)))


A, B, SAME = (each[:16] for each in pairs())
NARROW = np.zeros((16, 5), "float32")
UNFIT = {
    "no pair": ((A,), "takes a pair of inputs"),
    "one array": (A, r"takes a pair.*each of shape \(N, 6\); got ndarray of shape \(16, 6\)"),
    "narrow": ((NARROW, NARROW), r"each of shape \(N, 6\); a has shape \(16, 5\)"),
    "one narrow": ((A, NARROW), r"b has shape \(16, 5\)"),
    "other rank": ((A[:, :, None, None], B), r"a has shape \(16, 6, 1, 1\)"),
    "other count": ((A, B[:8]), "as many first inputs as second ones; got 16 and 8"),
    "none": ((A[:0], B[:0]), "one pair or more; got none"),
    "lists": ((A.tolist(), B.tolist()), r"a is list of length 16. .* np\.asarray"),
    "data set": (ls.siamese.AlignedPairs(NARROW, NARROW, SAME), r"a has shape \(16, 5\)"),
}


@pytest.fixture(scope="module")
def network():
    network = SiameseNetwork(encoder(), threshold=1.0)
    network.compile("sgd", ls.losses.contrastive)
    return network


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "validation"])
@pytest.mark.parametrize("kind", UNFIT)
def test_inputs_that_do_not_fit_are_refused_and_the_weights_stay(method, kind, network):
    before = network.get_weights()
    x, message = UNFIT[kind]
    labels = {"data set": (), "none": (SAME[:0],)}.get(kind, (SAME,))
    call = {
        "fit": lambda: network.fit(x, *labels, verbose=0),
        "evaluate": lambda: network.evaluate(x, *labels, verbose=0),
        "predict": lambda: network.predict(x, verbose=0),
        "validation": lambda: network.fit(
            (A, B), SAME, validation_data=(x, *labels) if labels else x, verbose=0
        ),
    }[method]
    with pytest.raises(ValueError, match=message):
        call()
    np.testing.assert_array_equal(network.get_weights()[0], before[0])


@pytest.mark.parametrize("method", ["fit", "evaluate", "validation"])
def test_labels_that_the_loss_does_not_take_are_refused(method, network):
    shifted = SAME + 1
    call = {
        "fit": lambda: network.fit((A, B), shifted, verbose=0),
        "evaluate": lambda: network.evaluate((A, B), shifted, verbose=0),
        "validation": lambda: network.fit(
            (A, B), SAME, validation_data=((A, B), shifted), verbose=0
        ),
    }[method]
    with pytest.raises(ValueError, match=r"contrastive: .*got 2"):
        call()


def test_distances_of_inputs_that_do_not_fit_are_refused_and_the_weights_stay(network):
    with pytest.raises(ValueError, match=r"a has shape \(16, 5\)"):
        network.same(NARROW, NARROW)
    with pytest.raises(ValueError, match=r"a has shape \(16, 5\)"):
        network.score([((NARROW, NARROW), SAME)])
    assert network.same(A, A).all()


def test_of_no_pairs_there_are_no_distances(network):
    assert network.distance(A[:0], B[:0]).shape == network.same(A[:0], B[:0]).shape == (0,)
    assert network.same(A, A).all()


def test_training_on_after_the_calibration_is_warned_of(network):
    with pytest.warns(UserWarning, match="The threshold 1 was chosen for the network as it was"):
        network.fit((A, B), SAME, verbose=0)


def test_a_training_that_does_not_begin_is_not_warned_of(network):
    def fails(y_true, y_pred):
        raise ValueError("a formula that fails")

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(ValueError, match="pair"):
            network.fit(A, SAME, verbose=0)
        network.compile("sgd", fails)
        with pytest.raises(ValueError, match="a formula that fails"):
            network.fit((A, B), SAME, verbose=0)


def test_labels_that_are_not_one_per_pair_are_refused():
    network = SiameseNetwork(encoder())
    network.compile("sgd", ls.losses.contrastive)
    with pytest.raises(ValueError, match=r"\(16,\) for 16 pairs; got labels of shape \(16, 2\)"):
        network.fit((A, B), np.zeros((16, 2)), verbose=0)
    network.fit((A, B), SAME[:, None], verbose=0)


def test_a_last_axis_of_one_may_be_left_out_as_in_keras():
    network = SiameseNetwork(
        keras.Sequential([keras.Input((4, 3, 1)), layers.Flatten(), layers.Dense(2)])
    )
    images = RNG.random((5, 4, 3)).astype("float32")
    np.testing.assert_allclose(network.distance(images, images), 0, atol=1e-6)
    with pytest.raises(ValueError, match=r"one shape.*got \(5, 4, 3\) and \(5, 4, 3, 1\)"):
        network.distance(images, images[..., None])


def test_several_inputs_of_an_encoder():
    inputs = {"left": keras.Input((3,), name="left"), "right": keras.Input((4,), name="right")}
    joined = layers.concatenate([inputs["left"], inputs["right"]])
    network = SiameseNetwork(keras.Model(inputs, layers.Dense(2)(joined)))
    item = {"left": np.ones((5, 3), "float32"), "right": np.ones((5, 4), "float32")}
    assert network.distance(item, item).shape == (5,)
    with pytest.raises(ValueError, match=r"b has shape \(5, 3\), \(5, 3\)"):
        network.distance(item, {**item, "right": item["left"]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((A, SAME), r"false-accept rate as its second argument; got a ndarray for the rate"),
        (((A, B), SAME), "got a ndarray for the rate"),
        ((A,), r"takes batches \(\(a, b\), labels\).*got ndarray"),
        (([(A, B)],), "the first thing in what it got is a tuple"),
        ((((A, B), SAME),), "the first thing in what it got is a tuple"),
        ((3,), "got int"),
    ],
)
def test_calibrate_says_what_it_takes(given, message):
    with pytest.raises(TypeError, match=message):
        SiameseNetwork(encoder()).calibrate(*given)
