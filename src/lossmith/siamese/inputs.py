"""The inputs of a Siamese network, checked before Keras runs.

On JAX Keras takes the weights out of a model while it trains, evaluates or predicts, and loses them
if a step cannot be traced. What can be seen to be wrong is therefore refused beforehand.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lossmith.core.backend import keras

ops = keras.ops
tree = keras.tree

Shape = tuple[int | None, ...]


def item_shapes(encoder: Any) -> list[Shape] | None:
    """The shapes that an encoder takes, batch axis included; `None` if it does not know them."""
    inputs = getattr(encoder, "inputs", None)
    return [tuple(each.shape) for each in inputs] if inputs else None


def check_data(x: Any, y: Any, wanted: Sequence[Shape] | None) -> None:
    """Check what `fit`, `evaluate` and `predict` were given, as far as it can be seen.

    Args:
        x: A pair `(a, b)`, or a data set; of a `PyDataset` the first batch is looked at, and what
            can only be gone through once (a generator, a `tf.data.Dataset`) is not.
        y: Labels of the pairs, or `None`.
        wanted: What `item_shapes` gives for the encoder.

    Raises:
        ValueError: If `x` is no pair or has none in it, its shapes fit neither each other nor the
            encoder, or there is not one label per pair.
    """
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0]
        x, y = batch[0], batch[1] if len(batch) > 1 else None
    elif not isinstance(x, list | tuple) and not hasattr(x, "shape"):
        return
    a, _ = checked_pair(x, wanted)
    count = tree.flatten(a)[0].shape[0]
    if count == 0:
        raise ValueError("SiameseNetwork takes one pair or more; got none.")
    shape = None if y is None else tuple(getattr(y, "shape", (len(y),)))
    if shape is not None and shape not in ((count,), (count, 1)):
        raise ValueError(
            f"SiameseNetwork takes one label per pair, 1 for same and 0 for different, of shape "
            f"({count},) for {count} pairs; got labels of shape {shape}."
        )


def checked_pair(inputs: Any, wanted: Sequence[Shape] | None) -> tuple[Any, Any]:
    """The two inputs of a network.

    Args:
        inputs: What should be a pair `(a, b)` of arrays, or of nested structures of them.
        wanted: What `item_shapes` gives for the encoder.

    Raises:
        ValueError: If `inputs` is no pair, or its shapes fit neither each other nor the encoder.
    """
    taken = f"a pair of inputs, (a, b){_each_of(wanted)}"
    if not isinstance(inputs, list | tuple) or len(inputs) != 2:
        raise ValueError(f"SiameseNetwork takes {taken}; got {_described(inputs)}.")
    shapes = [_shapes(each) for each in inputs]
    for name, item, found in zip("ab", inputs, shapes, strict=True):
        if not found or () in found:
            raise ValueError(
                f"SiameseNetwork takes {taken}; {name} is {_described(item)}. "
                "Items in a list become an array with np.asarray."
            )
        if wanted is not None and not _all_fit(found, wanted):
            raise ValueError(f"SiameseNetwork takes {taken}; {name} has shape {_listed(found)}.")
    counts = [found[0][0] for found in shapes]
    if None not in counts and counts[0] != counts[1]:
        raise ValueError(
            f"SiameseNetwork takes as many first inputs as second ones; got {counts[0]} and "
            f"{counts[1]}."
        )
    if not all(map(_equal, *shapes)):
        raise ValueError(
            "SiameseNetwork takes two inputs of one shape, which pass the encoder as one batch; "
            f"got {_listed(shapes[0])} and {_listed(shapes[1])}."
        )
    return inputs[0], inputs[1]


def check_items(items: Any, wanted: Sequence[Shape] | None) -> None:
    """Check a batch of items for an encoder.

    Args:
        items: An array, one item per row.
        wanted: What `item_shapes` gives for the encoder.

    Raises:
        ValueError: If the encoder takes items of another shape.
    """
    if wanted is not None and not _all_fit(_shapes(items), wanted):
        raise ValueError(
            f"The encoder takes items of shape {_listed(wanted)}; got {_described(items)}."
        )


def check_embeddings(shape: Sequence[int | None]) -> None:
    """Refuse what an encoder gives, by its shape, if it is not one vector per item.

    Raises:
        ValueError: If it is not.
    """
    if len(shape) != 2:
        raise ValueError(
            "SiameseNetwork: the encoder must give one vector per item, shape (N, D); it gives "
            f"{tuple(shape)}. End it with Flatten, pooling or Dense."
        )


def is_pair(inputs: Any, wanted: Sequence[Shape] | None) -> bool:
    """Whether inputs are two items of an encoder, and not one that has several parts."""
    parts = 1 if wanted is None else len(wanted)
    is_two = isinstance(inputs, list | tuple) and len(inputs) == 2
    return is_two and len(tree.flatten(inputs)) == 2 * parts


def check_labelled_items(x: Any, y: Any, wanted: Sequence[Shape] | None) -> None:
    """Check what a network that is trained on items was given, as `check_data` does for pairs.

    Raises:
        ValueError: If `x` is a pair or empty, its shapes do not fit the encoder, or there are not
            as many labels as items.
    """
    if isinstance(x, keras.utils.PyDataset):
        batch = x[0]
        x, y = batch[0], batch[1] if len(batch) > 1 else None
    elif not isinstance(x, list | tuple | dict) and not hasattr(x, "shape"):
        return
    if is_pair(x, wanted):
        raise ValueError(
            "SiameseNetwork got pairs, and its loss is one of class ids: train it on items, "
            "fit(ClassBatches(x, labels)) or fit(x, labels), or compile it with a loss of pair "
            "labels, such as contrastive."
        )
    if not _shapes(x):
        raise ValueError(
            f"SiameseNetwork takes items as arrays; got {_described(x)}. "
            "Items in a list become an array with np.asarray."
        )
    without_views(x, wanted)
    count = tree.flatten(x)[0].shape[0]
    if count == 0:
        raise ValueError("SiameseNetwork takes one item or more; got none.")
    if y is not None and len(y) != count:
        raise ValueError(f"SiameseNetwork takes a label per item; got {len(y)} for {count} items.")


def without_views(items: Any, wanted: Sequence[Shape] | None) -> tuple[Any, int | None]:
    """Items as an encoder takes them, and how many views of each thing they are, if they are.

    Args:
        items: An array `(N, ...)`, or views `(N, V, ...)`, or a nested structure of them.
        wanted: What `item_shapes` gives for the encoder; items alone if it is not known.

    Raises:
        ValueError: If they fit the encoder neither as items nor as views.
    """
    found = _shapes(items)
    merged = [(None, *shape[2:]) for shape in found]
    is_of_views = wanted is not None and not _all_fit(found, wanted) and _all_fit(merged, wanted)
    if not is_of_views or len({shape[1] for shape in found}) > 1:
        check_items(items, wanted)
        return items, None
    joined = tree.map_structure(lambda x: ops.reshape(x, (-1, *ops.shape(x)[2:])), items)
    return joined, found[0][1]


def _shapes(item: Any) -> list[Shape]:
    """The shapes of the arrays in a structure; none if something in it is no array."""
    leaves = tree.flatten(item)
    if not all(hasattr(leaf, "shape") for leaf in leaves):
        return []
    return [tuple(leaf.shape) for leaf in leaves]


def _all_fit(found: Sequence[Shape], wanted: Sequence[Shape]) -> bool:
    return len(found) == len(wanted) and all(map(_fits, found, wanted))


def _fits(found: Shape, wanted: Shape) -> bool:
    """Whether the axes are equal; a last one of length 1 may be left out or added, as in Keras."""
    if len(found) == len(wanted) + 1 and found[-1] == 1:
        found = found[:-1]
    elif len(found) == len(wanted) - 1 and wanted[-1] == 1:
        found = (*found, 1)
    return _equal(found, wanted)


def _equal(first: Shape, second: Shape) -> bool:
    return len(first) == len(second) and all(
        None in axes or axes[0] == axes[1] for axes in zip(first, second, strict=True)
    )


def _each_of(wanted: Sequence[Shape] | None) -> str:
    return "" if wanted is None else f", each of shape {_listed(wanted)}"


def _listed(shapes: Sequence[Shape]) -> str:
    named = [("N" if shape[0] is None else shape[0], *shape[1:]) for shape in shapes]
    return ", ".join(f"({', '.join(map(str, shape))})" for shape in named)


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    length = f" of length {len(value)}" if hasattr(value, "__len__") else ""
    return f"{type(value).__name__}{length}"


BATCHES = (
    "batches ((a, b), labels) of pairs, such as ReadyPairs(x, *balanced_pairs(labels)) or "
    "[((a, b), labels)]"
)


def batches_of(pairs: Any) -> Iterator[Any]:
    """One pass over batches of pairs; a `PyDataset` is indexed, since its iteration need not end.

    Raises:
        TypeError: If they are no batches.
    """
    if isinstance(pairs, keras.utils.PyDataset):
        return (pairs[index] for index in range(pairs.num_batches))
    if hasattr(pairs, "shape") or not isinstance(pairs, Iterable):
        raise TypeError(f"SiameseNetwork takes {BATCHES}; got {type(pairs).__name__}.")
    return iter(pairs)


def inputs_and_labels(batch: Any) -> tuple[Any, Any]:
    """The pair of inputs and the labels of a batch.

    Raises:
        TypeError: If it is no such batch.
    """
    is_labelled = isinstance(batch, list | tuple) and len(batch) >= 2
    if not is_labelled or not isinstance(batch[0], list | tuple):
        raise TypeError(
            f"SiameseNetwork takes {BATCHES}; the first thing in what it got is a "
            f"{type(batch).__name__}."
        )
    return tuple(batch[0]), batch[1]
