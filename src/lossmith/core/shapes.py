"""Bringing y_true, y_pred, weights and masks to the shapes a formula may rely on.

A shape is known up to dimensions that a traced step leaves open (`None`). An open dimension never
hides a broadcast: where the static shapes do not prove that the two agree, the step checks them
when it runs.
"""

from typing import Any, Literal

from lossmith.core import backend
from lossmith.core.backend import keras

ops = keras.ops
Shape = tuple[int | None, ...]
Targets = Literal["value", "class", "pair"]


def shape_of(tensor: Any) -> Shape:
    """The static shape of a tensor, `None` for an open dimension.

    Raises:
        ValueError: if not even the number of its axes is known, as TensorFlow alone allows.
    """
    if getattr(tensor.shape, "rank", 0) is None:
        raise ValueError(
            "A loss needs to know how many axes its tensors have. TensorFlow forgets it where a "
            "model is given labels of shape (N,) at one time and (N, 1) at another: keep to one of "
            "them, or compile the model again in between."
        )
    return tuple(tensor.shape)


def may_equal(first: Shape, second: Shape) -> bool:
    """Whether two static shapes agree as far as they are known."""
    return len(first) == len(second) and all(
        a is None or b is None or a == b for a, b in zip(first, second, strict=True)
    )


def _check_open(loss: str, what: str, tensor: Any, y_pred: Any, axes: int) -> None:
    """Where dimensions are open, let the step check that `tensor` has the first axes of y_pred."""
    if None in (*shape_of(tensor), *shape_of(y_pred)[:axes]):
        message = f"{loss}: {what} and y_pred differ in shape"
        backend.check_shapes_equal(ops.shape(tensor), ops.shape(y_pred)[:axes], message)


def _without_last_axis(tensor: Any) -> Any:
    """Remove a last axis of length 1; one that is left open fails at run time if it is longer."""
    return ops.reshape(tensor, ops.shape(tensor)[:-1])


def align_values(loss: str, y_true: Any, y_pred: Any) -> Any:
    """Return `y_true` in the shape of `y_pred`; only a last axis of length 1 is added or removed.

    Raises:
        ValueError: if the shapes differ otherwise, naming both.
    """
    true_shape, pred_shape = shape_of(y_true), shape_of(y_pred)
    if len(true_shape) + 1 == len(pred_shape) and may_equal((*true_shape, 1), pred_shape):
        y_true = ops.expand_dims(y_true, axis=-1)
    elif len(true_shape) == len(pred_shape) + 1 and may_equal(true_shape, (*pred_shape, 1)):
        y_true = _without_last_axis(y_true)
    if may_equal(shape_of(y_true), pred_shape):
        _check_open(loss, "y_true", y_true, y_pred, len(pred_shape))
        return y_true
    raise ValueError(
        f"{loss}: y_true has shape {true_shape} and y_pred has shape {pred_shape}; they must be "
        "of one shape (a last axis of length 1 may be missing in one of them). "
        + _advice_for_values(true_shape, pred_shape)
    )


def _advice_for_values(true_shape: Shape, pred_shape: Shape) -> str:
    if len(true_shape) < len(pred_shape) and may_equal(true_shape, pred_shape[: len(true_shape)]):
        return (
            "If y_true holds class ids or pair labels, declare the loss with targets='class' or "
            "targets='pair'; otherwise give the model as many outputs as there are targets."
        )
    return "Nothing is broadcast: reshape one of them so that each target meets its prediction."


def _align_labels(loss: str, y_true: Any, y_pred: Any, axes: int, advice: str) -> Any:
    """Return labels in the shape of the first axes of `y_pred`, without a last axis of length 1.

    Raises:
        ValueError: if `y_true` has another shape.
    """
    shape, batch = shape_of(y_true), shape_of(y_pred)[:axes]
    if len(shape) == len(batch) + 1 and may_equal(shape, (*batch, 1)):
        y_true = _without_last_axis(y_true)
    if may_equal(shape_of(y_true), batch):
        _check_open(loss, "y_true", y_true, y_pred, axes)
        return y_true
    raise ValueError(
        f"{loss}: y_true has shape {shape}; with these predictions it must hold one label per "
        f"item, shape {batch} or {(*batch, 1)}. {advice}"
    )


def align_classes(loss: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Check integer identities `(N, ...)` against scores or embeddings `(N, ..., C)`.

    Raises:
        TypeError: if the identities are not integers.
        ValueError: if the shapes do not fit.
    """
    pred_shape = shape_of(y_pred)
    if len(pred_shape) < 2:
        raise ValueError(
            f"{loss}: y_pred has shape {pred_shape}; with targets='class' it must hold a vector "
            "per item: (N, C) scores or (N, D) embeddings."
        )
    advice = "Ids are integers; one-hot labels become ids with ops.argmax(y_true, axis=-1)."
    y_true = _align_labels(loss, y_true, y_pred, len(pred_shape) - 1, advice)
    dtype = keras.backend.standardize_dtype(y_true.dtype)
    if not ("int" in dtype or dtype == "bool"):
        raise TypeError(
            f"{loss}: y_true must hold integer class ids; got {dtype} of shape {shape_of(y_true)}. "
            "Cast it to an integer dtype (floating point cannot tell large ids apart)."
        )
    return y_true, y_pred


ADVICE_FOR_PAIRS = (
    "A SiameseNetwork gives the distances, and so does lossmith.distances.euclidean(a, b); "
    "ops.stack([a, b], axis=1) puts the embeddings of each pair together."
)


def align_items(loss: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Check labels `(N,)` or `(N, L)` against embeddings `(N, D)` or views `(N, V, D)`.

    Returns:
        Labels `(N,)` or `(N, V)`, or `(N, L)` or `(N, V, L)` of 0 and 1, and the embeddings.

    Raises:
        TypeError: if the labels are not integers or booleans.
        ValueError: if the shapes do not fit.
    """
    pred_shape, true_shape = shape_of(y_pred), shape_of(y_true)
    if len(pred_shape) not in (2, 3):
        raise ValueError(
            f"{loss}: y_pred has shape {pred_shape}; it must hold an embedding per item, (N, D), "
            "or V views of each, (N, V, D)."
        )
    several = len(true_shape) == 2 and true_shape[-1] not in (1, None)
    if several and true_shape == pred_shape[:-1]:
        raise ValueError(
            f"{loss}: y_pred has shape {pred_shape}; it must hold an embedding per item, (N, D), "
            f"where y_true has shape {true_shape}: an id for each view or as many labels for each "
            "item cannot be told apart. Reshape y_pred to (N * V, D) and y_true to (N * V,) for "
            "ids; for labels add one that no item has."
        )
    if several and may_equal(true_shape[:1], pred_shape[:1]):
        dtype = keras.backend.standardize_dtype(y_true.dtype)
        if not ("int" in dtype or dtype == "bool"):
            raise TypeError(
                f"{loss}: y_true of shape {true_shape} says which labels each item has, as "
                f"integers or booleans; got {dtype}. Cast it to an integer dtype; one-hot labels "
                "become ids with ops.argmax(y_true, axis=-1)."
            )
        _check_open(loss, "y_true", y_true[:, 0], y_pred, 1)
        return _for_each_view(y_true, y_pred), y_pred
    first = y_pred if len(pred_shape) == 2 else y_pred[:, 0]
    return _for_each_view(align_classes(loss, y_true, first)[0], y_pred), y_pred


def _for_each_view(labels: Any, y_pred: Any) -> Any:
    if len(y_pred.shape) == 2:
        return labels
    return ops.repeat(ops.expand_dims(labels, 1), ops.shape(y_pred)[1], axis=1)


def align_pairs(loss: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Check labels `(N,)` against distances `(N,)` or `(N, 1)`, or embeddings `(N, 2, D)`.

    Raises:
        ValueError: if the shapes do not fit.
    """
    shape = shape_of(y_pred)
    if len(shape) == 2 and shape[1] in (1, None):
        y_pred = _without_last_axis(y_pred)
    elif not (len(shape) == 1 or (len(shape) == 3 and shape[1] == 2)):
        raise ValueError(
            f"{loss}: y_pred has shape {shape}; with targets='pair' it must be one distance per "
            "pair, (N,) or (N, 1), or the two embeddings of each pair, (N, 2, D)."
            f" {ADVICE_FOR_PAIRS}"
        )
    advice = f"The labels come first: {loss}(y_true, y_pred)."
    return _align_labels(loss, y_true, y_pred, 1, advice), y_pred


def expand_to(tensor: Any, rank: int) -> Any:
    """Append axes of length 1 until `tensor` has `rank` axes."""
    for _ in range(rank - len(tensor.shape)):
        tensor = ops.expand_dims(tensor, axis=-1)
    return tensor


def align_weights(loss: str, what: str, weights: Any, y_pred: Any, axes: int) -> Any:
    """Return weights (or a mask) with leading axes that are those of y_pred; none is broadcast.

    `weights` may be a scalar, or have some of the first `axes` axes of y_pred, with axes of length
    1 at the end: `(N,)` and `(N, 1)` weigh rows, `(N, T)` and `(N, T, 1)` weigh time steps.

    Raises:
        ValueError: if an axis of `weights` is another than that of y_pred.
    """
    given, shape = shape_of(weights), shape_of(y_pred)[:axes]
    while len(shape_of(weights)) > 1 and shape_of(weights)[-1] == 1:
        weights = ops.squeeze(weights, axis=-1)
    if len(shape_of(weights)) == len(shape) + 1 and shape_of(weights)[-1] is None:
        weights = _without_last_axis(weights)
    current = shape_of(weights)
    if len(current) <= len(shape) and may_equal(current, shape[: len(current)]):
        _check_open(loss, what, weights, y_pred, len(current))
        return weights
    per_value = f", or one per value, {shape}" if len(shape) > 1 else ""
    raise ValueError(
        f"{loss}: {what} has shape {given}, but the values have shape {shape}: "
        f"give one weight per sample, {shape[:1]} or {(*shape[:1], 1)}{per_value}."
    )
