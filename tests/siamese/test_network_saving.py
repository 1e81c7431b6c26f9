"""What a saved Siamese network keeps."""

import json

import keras
import numpy as np
import pytest
from siamese.networks import encoder

from lossmith.siamese import SiameseNetwork

A, B = np.random.default_rng(0).normal(size=(2, 16, 6)).astype("float32")


def test_an_h5_file_is_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"write a \.keras file"):
        SiameseNetwork(encoder()).save(tmp_path / "network.h5")
    assert list(tmp_path.iterdir()) == []


def test_frozen_weights_and_the_dtype_policy_are_saved(tmp_path):
    network = SiameseNetwork(encoder(), threshold=0.5, dtype="mixed_bfloat16")
    network.trainable = False
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert not loaded.trainable
    assert loaded.trainable_variables == []
    assert loaded.dtype_policy.name == "mixed_bfloat16"
    np.testing.assert_allclose(loaded.distance(A, B), network.distance(A, B), rtol=1e-2)


def test_a_network_with_a_frozen_encoder_stays_trainable_itself(tmp_path):
    network = SiameseNetwork(encoder())
    network.encoder.layers[0].trainable = False
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert loaded.trainable
    assert len(loaded.trainable_variables) == 2


def test_the_configuration_is_json():
    network = SiameseNetwork(encoder(), threshold=0.5)
    again = SiameseNetwork.from_config(json.loads(json.dumps(network.get_config())))
    assert again.threshold == 0.5
