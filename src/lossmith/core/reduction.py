"""From values per sample to one number: weights, masks and Keras' reductions."""

from typing import Any, Literal

from lossmith.core import backend
from lossmith.core.backend import keras
from lossmith.core.shapes import expand_to, shape_of
from lossmith.core.wording import shown

ops = keras.ops
Reduction = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"]
_CANONICAL = {
    None: "none",
    "none": "none",
    "sum": "sum",
    "mean": "sum_over_batch_size",
    "sum_over_batch_size": "sum_over_batch_size",
    "mean_with_sample_weight": "mean_with_sample_weight",
}


def canonical(loss: str, reduction: Any) -> str:
    """The one name of a reduction: `"mean"` is `"sum_over_batch_size"`, `None` is `"none"`.

    Raises:
        ValueError: if it is not one of Keras' reductions.
    """
    if not isinstance(reduction, str | None) or reduction not in _CANONICAL:
        known = ", ".join(repr(name) for name in _CANONICAL)
        raise ValueError(f"{loss}: reduction must be one of {known}; got {shown(reduction)}.")
    return _CANONICAL[reduction]


def size(tensor: Any) -> Any:
    """The number of entries: a Python integer where the shape is known, else a tensor."""
    total: Any = 1
    for length in shape_of(tensor):
        if length is None:
            return ops.cast(ops.prod(ops.shape(tensor)), tensor.dtype)
        total = total * length
    return total


def divide_or_zero(total: Any, count: Any) -> Any:
    """`total / count`, and 0 with a zero gradient where `count` is 0."""
    if isinstance(count, int):
        return total / max(count, 1)
    empty = ops.equal(count, 0)
    return ops.where(empty, 0.0, total / ops.where(empty, 1.0, count))


def mean(values: Any, weights: Any = None) -> Any:
    """The mean of all entries; with weights, `sum(w * v) / sum(w)`; 0 of nothing.

    Args:
        values: a tensor.
        weights: `None`, or a tensor whose axes are the first axes of `values`.
    """
    if weights is None:
        return divide_or_zero(ops.sum(values), size(values))
    weights = ops.broadcast_to(expand_to(weights, len(values.shape)), ops.shape(values))
    return divide_or_zero(ops.sum(values * weights), ops.sum(weights))


def weigh(values: Any, weights: Any, keep: Any) -> Any:
    """Multiply by the weights; entries that are not kept become exactly 0."""
    rank = len(values.shape)
    if weights is not None:
        values = values * expand_to(weights, rank)
    if keep is not None:
        values = ops.where(expand_to(keep, rank), values, ops.zeros_like(values))
    return values


def reduce(values: Any, weights: Any, mask: Any, reduction: str) -> Any:
    """Reduce weighted values, as Keras' reductions are named.

    Args:
        values: values per sample, weighted and masked already.
        weights: `None`, or the weights they were multiplied with (0 where masked).
        mask: `None`, or booleans; only entries under `True` are counted.
        reduction: a canonical name.

    Returns:
        `"none"`: the values; `"sum"`: their sum; `"sum_over_batch_size"`: the sum over the number
        of (unmasked) values; `"mean_with_sample_weight"`: the sum over the sum of the weights.
    """
    if reduction == "none":
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    divisor = weights if reduction == "mean_with_sample_weight" else mask
    return per_replica(divide_or_zero(total, _total(divisor, values)))


def _total(counted: Any, values: Any) -> Any:
    if counted is None:
        return size(values)
    counted = expand_to(ops.cast(counted, values.dtype), len(values.shape))
    return ops.sum(ops.broadcast_to(counted, ops.shape(values)))


def per_replica(value: Any) -> Any:
    """Share a mean among the replicas of `tf.distribute`, which sums their gradients."""
    replicas = backend.replica_count()
    return value if replicas == 1 else value / replicas
