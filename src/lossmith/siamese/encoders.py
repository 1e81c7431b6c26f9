"""Encoders: from an image to the vector that stands for it.

Both are plain functional Keras models, so they can be looked at, changed and saved like any other.
"""

import random
from typing import Any

from lossmith.core.backend import keras

layers = keras.layers

LAB_DIMENSIONS = 128
"""Of the embeddings of the lab's network."""

_WIDTHS = (24, 48, 64, 96, 128)
"""Channels after the stem and after each halving; the last one serves all further ones."""

_SMALLEST_SIDE = 4
"""Sides are halved until they are at most this long."""


def default_encoder(
    input_shape: tuple[int, int, int], embedding_size: int = 64, seed: int | None = None
) -> Any:
    """A small convolutional network with embeddings of length 1.

    A strided convolution, then average pooling, 3 x 3 convolution, batch normalisation and ReLU
    until the image is at most 4 x 4, then one dense layer. Depth and width follow the size of the
    image: 28 x 28 x 1 takes 105 thousand parameters, 224 x 224 x 3 takes 340 thousand. Chosen for
    its accuracy in a given time on processors without an accelerator; train it with a loss over all
    pairs of a batch.

    Args:
        input_shape: Height, width and channels of the images, which have values in [0, 1].
        embedding_size: Number of dimensions D of the embedding.
        seed: Seed of the initial weights; by default they differ from call to call.

    Returns:
        A model `(N, H, W, C) -> (N, D)`.

    Raises:
        ValueError: If `input_shape` is not three positive integers or `embedding_size` is below 1.

    Example:
        >>> encoder = default_encoder((28, 28, 1), seed=0)
        >>> encoder.output_shape, encoder.count_params()
        ((None, 64), 104544)
    """
    height, width, channels = _checked_shape(input_shape)
    if embedding_size < 1:
        raise ValueError(f"embedding_size must be at least 1. Received: {embedding_size}.")
    seeds = random.Random(seed)
    inputs = keras.Input((height, width, channels), name="image")
    stride = _stem_stride(max(height, width))
    x = _convolution(inputs, _WIDTHS[0], 4 if stride < 4 else 7, stride, "stem", seeds)
    block = 0
    while max(x.shape[1:3]) > _SMALLEST_SIDE:
        block += 1
        # A side that is short already is kept, so that narrow images lose nothing.
        pool = tuple(2 if side > _SMALLEST_SIDE else 1 for side in x.shape[1:3])
        x = layers.AveragePooling2D(pool, padding="same", name=f"pool_{block}")(x)
        filters = _WIDTHS[min(block, len(_WIDTHS) - 1)]
        x = _convolution(x, filters, 3, 1, f"block_{block}", seeds)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(embedding_size, kernel_initializer=_glorot(seeds), name="projection")(x)
    outputs = layers.UnitNormalization(name="embedding")(x)
    return keras.Model(inputs, outputs, name="default_encoder")


def lab_encoder(input_shape: tuple[int, ...], seed: int | None = None) -> Any:
    """The network of the Siamese lab: three dense layers of 128 with dropout between them.

    Args:
        input_shape: Shape of an item, such as height, width and channels of an image.
        seed: Seed of the initial weights and of the dropout; by default they differ from call to
            call.

    Returns:
        A model `(N, ...) -> (N, 128)`; for images of 28 x 28 it has 133,504 parameters.

    Raises:
        ValueError: If `input_shape` does not consist of positive integers.

    Example:
        >>> lab_encoder((28, 28, 1)).count_params()
        133504
    """
    if not input_shape or not all(isinstance(side, int) and side > 0 for side in input_shape):
        raise ValueError(f"input_shape must be positive integers. Received: {input_shape!r}.")
    seeds = random.Random(seed)
    inputs = keras.Input(input_shape, name="image")
    x = layers.Flatten(name="flatten")(inputs)
    for number in (1, 2):
        x = _dense_128(number, seeds)(x)
        x = layers.Dropout(0.1, seed=_next_seed(seeds), name=f"dropout_{number}")(x)
    outputs = _dense_128(3, seeds)(x)
    return keras.Model(inputs, outputs, name="lab_encoder")


def _checked_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) != 3 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise ValueError(
            "input_shape must be height, width and channels of the images, three positive "
            f"integers. Received: {shape!r}."
        )
    height, width, channels = shape
    return height, width, channels


def _stem_stride(side: int) -> int:
    """Large images are made small at once: that is where the time goes."""
    if side <= 16:
        return 1
    return 2 if side <= 96 else 4


def _convolution(
    x: Any, filters: int, kernel: int, stride: int, name: str, seeds: random.Random
) -> Any:
    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_glorot(seeds),
        name=f"{name}_convolution",
    )(x)
    # Short trainings need averages that follow quickly.
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_normalization")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _dense_128(number: int, seeds: random.Random) -> Any:
    return layers.Dense(
        LAB_DIMENSIONS, activation="relu", kernel_initializer=_glorot(seeds), name=f"dense_{number}"
    )


def _glorot(seeds: random.Random) -> Any:
    return keras.initializers.GlorotUniform(_next_seed(seeds))


def _next_seed(seeds: random.Random) -> int:
    return seeds.getrandbits(31)
