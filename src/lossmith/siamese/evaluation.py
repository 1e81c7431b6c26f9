"""What a network makes of labelled items: embeddings, and the distances of pairs."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith import distances
from lossmith.core.backend import keras
from lossmith.siamese.inputs import check_items, item_shapes
from lossmith.siamese.pair_sampling import positive_number
from lossmith.siamese.pairs import Items, checked_length

FloatArray = npt.NDArray[np.floating[Any]]

_PAIRS_AT_ONCE = 2**16


def embed_items(encoder: Any, items: Items, batch_size: int = 256) -> FloatArray:
    """Embeds items batch by batch, also those that are read from files as they are needed.

    Args:
        encoder: A Keras model from items to vectors, such as `network.encoder`.
        items: N items: an array, or any object with `len` that gives an array for an array of
            indices.
        batch_size: Items that are in memory at once.

    Returns:
        `(N, D)`.

    Raises:
        ValueError: If there are no items, they have another shape than the encoder takes, or the
            batch size is not positive.
        TypeError: If they cannot be indexed by an array, as a list cannot.

    Example:
        >>> import keras, numpy as np
        >>> encoder = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
        >>> embed_items(encoder, np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    item_count = checked_length("x", items)
    if item_count == 0:
        raise ValueError("There are no items to embed.")
    size = positive_number("batch_size", batch_size)
    wanted = item_shapes(encoder)
    everything = np.arange(item_count)
    embeddings = []
    for start in range(0, item_count, size):
        batch = np.asarray(items[everything[start : start + size]])
        check_items(batch, wanted)
        embeddings.append(keras.ops.convert_to_numpy(encoder.predict_on_batch(batch)))
    return np.concatenate(embeddings)


def pair_distances(
    embeddings: FloatArray, pairs: npt.NDArray[np.integer[Any]], distance: distances.Name
) -> FloatArray:
    """The distances of pairs of embedded items.

    Args:
        embeddings: `(N, D)`.
        pairs: `(P, 2)`, the indices of the two items of each pair.
        distance: The name of a distance of `lossmith.distances`.

    Returns:
        `(P,)`.

    Example:
        >>> import numpy as np
        >>> embeddings = np.array([[0.0, 0.0], [3.0, 4.0]])
        >>> pair_distances(embeddings, np.array([[0, 1]]), "euclidean").tolist()
        [5.0]
    """
    measure = distances.get(distance)
    chunks = np.array_split(pairs, max(1, -(-len(pairs) // _PAIRS_AT_ONCE)))
    return np.concatenate(
        [
            keras.ops.convert_to_numpy(measure(embeddings[left], embeddings[right]))
            for left, right in (chunk.T for chunk in chunks)
        ]
    )
