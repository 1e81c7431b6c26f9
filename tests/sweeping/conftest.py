"""What the tests of sweeps may use."""

from collections.abc import Iterator

import keras
import pytest
from gradients import double_precision


@pytest.fixture
def double_precision_models() -> Iterator[None]:
    """Models are made in float64."""
    with double_precision():
        keras.config.set_floatx("float64")
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float64")
        yield
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx("float32")
