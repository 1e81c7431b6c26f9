import keras
import numpy as np
import pytest

from lossmith.siamese.evaluation import embed_items


def encoder():
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_embedding_takes_a_positive_batch_size(size):
    with pytest.raises(ValueError, match="batch_size must be"):
        embed_items(encoder(), np.zeros((4, 6)), batch_size=size)


def test_items_of_another_shape_are_not_embedded():
    with pytest.raises(ValueError, match=r"takes items of shape \(N, 6\); got.*\(4, 5\)"):
        embed_items(encoder(), np.zeros((4, 5)))
