"""Twin networks of six numbers, and pairs that they can learn to tell apart."""

import keras
import numpy as np
from keras import layers

RNG = np.random.default_rng(0)


def encoder(dimensions: int = 4, unit: bool = False) -> keras.Model:
    stack = [keras.Input((6,)), layers.Dense(8, activation="tanh"), layers.Dense(dimensions)]
    return keras.Sequential([*stack, *([layers.UnitNormalization()] if unit else [])])


def pairs(n: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that are easy to tell apart: two clusters far from each other."""
    left, right = RNG.integers(0, 2, n), RNG.integers(0, 2, n)
    noise = RNG.normal(scale=0.1, size=(2, n, 6))
    a, b = (np.where(side[:, None] == 1, 1.0, -1.0) for side in (left, right))
    return (a + noise[0]).astype("float32"), (b + noise[1]).astype("float32"), left == right
