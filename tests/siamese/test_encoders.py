import keras
import numpy as np
import pytest

from lossmith.siamese.encoders import default_encoder, lab_encoder

SHAPES = [(28, 28, 1), (1, 1, 1), (8, 8, 3), (17, 31, 1), (5, 64, 3), (224, 224, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_default_encoder_gives_unit_vectors_for_any_image_size(shape: tuple[int, int, int]) -> None:
    encoder = default_encoder(shape, embedding_size=7, seed=0)
    images = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    embeddings = keras.ops.convert_to_numpy(encoder(images))
    assert embeddings.shape == (2, 7)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_default_encoder_stays_small(shape: tuple[int, int, int]) -> None:
    encoder = default_encoder(shape)
    assert encoder.count_params() < 500_000
    assert max(encoder.get_layer("flatten").input.shape[1:3]) <= 4


def test_lab_encoder_is_the_network_of_the_lab() -> None:
    encoder = lab_encoder((28, 28))
    assert [type(layer).__name__ for layer in encoder.layers] == [
        "InputLayer", "Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense",
    ]  # fmt: skip
    assert [layer.rate for layer in encoder.layers if hasattr(layer, "rate")] == [0.1, 0.1]
    assert encoder.count_params() == 784 * 128 + 128 + 2 * (128 * 128 + 128) == 133_504


@pytest.mark.parametrize("make", [default_encoder, lab_encoder])
def test_equal_seeds_give_equal_weights(make: type) -> None:
    first, again, other = (make((8, 8, 1), seed=seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("shape", [(28, 28), (28, 0, 1), (28.0, 28, 1), ()])
def test_shapes_that_are_no_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="input_shape must be"):
        default_encoder(shape)  # type: ignore[arg-type]


def test_an_embedding_needs_a_dimension() -> None:
    with pytest.raises(ValueError, match="embedding_size must be at least 1"):
        default_encoder((8, 8, 1), embedding_size=0)


def test_lab_encoder_refuses_an_unknown_size() -> None:
    with pytest.raises(ValueError, match="input_shape must be positive"):
        lab_encoder((None, 28))  # type: ignore[arg-type]
