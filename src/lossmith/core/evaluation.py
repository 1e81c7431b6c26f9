"""How a loss is evaluated: inputs made ready, rows left out, values checked, then reduced.

Everything here happens at trace time or is part of the compiled step; with neither weights nor a
mask nothing is added to the formula but the mean.
"""

import numbers
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lossmith.core import backend, reduction, shapes, tracing
from lossmith.core.backend import keras
from lossmith.core.shapes import Shape, shape_of

if TYPE_CHECKING:
    from lossmith.core.base import Loss

ops = keras.ops
tree = keras.tree
_HALF = ("float16", "bfloat16")


class Batch(NamedTuple):
    """Inputs as a formula sees them, and what is needed to bring its values back."""

    y_true: Any
    y_pred: Any
    entries: Shape
    """Values may have this shape (that of y_pred), or its first axes."""
    items: Shape
    """The axes that weights may have."""
    single: bool
    """Whether the inputs were scalars, as under `jax.vmap`."""
    dtype: str
    """The dtype of the result."""


class Weights(NamedTuple):
    """Weights and mask aligned with the first axes of a batch, and the entries that count."""

    weights: Any
    mask: Any
    keep: Any


def evaluate(
    loss: "Loss", y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, how: str
) -> Any:
    """Return the value of `loss` under the reduction `how`.

    Raises:
        ValueError, TypeError: if shapes, dtypes or labels do not fit the loss.
    """
    if not loss._changing:
        return loss._compute(y_true, y_pred, sample_weight, mask, how)
    current, valid = tracing.current(loss, y_pred)
    return tracing.nan_unless(valid, current._compute(y_true, y_pred, sample_weight, mask, how))


def compute(loss: "Loss", y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, how: str) -> Any:
    """Return the value of a loss whose hyperparameters are numbers or tensors."""
    mask = _joint_mask(backend.mask_of(y_pred), mask)
    batch = _prepare(loss, y_true, y_pred)
    loss = tracing.cast(loss, tree.flatten(batch.y_pred)[0].dtype)
    weighting = _weighting(loss, batch, sample_weight, mask)
    if weighting is not None:
        batch = batch._replace(
            y_true=_stand_in(batch.y_true, weighting.keep),
            y_pred=_stand_in(batch.y_pred, weighting.keep),
        )
    if loss.checks_targets and not tree.is_nested(batch.y_true):
        _check_targets(loss, batch.y_true)
    value = (_batch_value if loss.batchwise else _reduced_values)(loss, batch, weighting, how)
    return ops.cast(value, batch.dtype)


def _check_targets(loss: "Loss", y_true: Any) -> None:
    if backend.is_concrete(y_true):
        loss.check_targets(np.asarray(ops.convert_to_numpy(y_true)))


def _prepare(loss: "Loss", y_true: Any, y_pred: Any) -> Batch:
    if y_true is None or y_pred is None:
        missing = "y_true" if y_true is None else "y_pred"
        raise TypeError(f"{loss.name}: {missing} is None; a loss compares two tensors.")
    y_pred = _tensors(y_pred)
    y_true = _tensors(y_true) if tree.is_nested(y_pred) else _targets(loss, y_true)
    dtype, compute = _dtypes(loss, tree.flatten(y_pred))
    y_pred = _cast(y_pred, compute)
    if loss.targets != "class":
        y_true = _cast(y_true, compute)
    if tree.is_nested(y_pred):
        return _prepare_nested(loss, y_true, y_pred, dtype)
    single = len(shape_of(y_pred if loss.targets == "value" else y_true)) == 0
    if single:
        if loss.targets == "value":
            y_true = shapes.align_values(loss.name, y_true, y_pred)
        y_true, y_pred = ops.expand_dims(y_true, 0), ops.expand_dims(y_pred, 0)
    if loss.targets == "value":
        y_true = shapes.align_values(loss.name, y_true, y_pred)
        if len(shape_of(y_pred)) == 1:
            y_true, y_pred = ops.expand_dims(y_true, -1), ops.expand_dims(y_pred, -1)
        items = shape_of(y_pred)[:-1]
    elif loss.targets == "class":
        y_true, y_pred = shapes.align_classes(loss.name, y_true, y_pred)
        items = shape_of(y_pred)[:-1]
    else:
        y_true, y_pred = shapes.align_pairs(loss.name, y_true, y_pred)
        items = shape_of(y_pred)[:1]
    entries = items if loss.targets == "pair" else shape_of(y_pred)
    return Batch(y_true, y_pred, entries, items, single, dtype)


def _tensors(data: Any) -> Any:
    """A list of numbers is a tensor; a list of tensors is a structure."""
    if isinstance(data, list | tuple):
        leaves = tree.flatten(data)
        if all(isinstance(leaf, numbers.Number) for leaf in leaves):
            return ops.convert_to_tensor(data)
    return tree.map_structure(ops.convert_to_tensor, data)


def _targets(loss: "Loss", y_true: Any) -> Any:
    """Targets as a tensor; class ids that its dtype cannot hold would be other ids."""
    tensor = ops.convert_to_tensor(y_true)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if isinstance(y_true, np.ndarray) and y_true.dtype.kind in "iu" and "int" in dtype:
        held = np.iinfo(dtype)
        if y_true.size and not held.min <= y_true.min() <= y_true.max() <= held.max:
            raise ValueError(
                f"{loss.name}: y_true has ids from {y_true.min()} to {y_true.max()}, which do not "
                f"fit {dtype}: number them with np.unique(y_true, return_inverse=True)[1]."
            )
    return tensor


def _prepare_nested(loss: "Loss", y_true: Any, y_pred: Any, dtype: str) -> Batch:
    """Structures reach the formula as they are, each target aligned with its prediction."""
    if loss.targets == "value":
        try:
            tree.assert_same_structure(y_true, y_pred)
        except ValueError as error:
            raise ValueError(f"{loss.name}: y_true and y_pred are nested unlike: {error}") from None
        y_true = tree.map_structure(
            lambda true, pred: shapes.align_values(loss.name, true, pred), y_true, y_pred
        )
    entries = shape_of(tree.flatten(y_pred)[0])
    return Batch(y_true, y_pred, entries, entries[: max(len(entries) - 1, 1)], False, dtype)


def _dtypes(loss: "Loss", predictions: list[Any]) -> tuple[str, str]:
    """The dtype of the result and the dtype of the computation."""
    dtype = loss.requested_dtype
    if dtype is None:
        dtype = keras.backend.standardize_dtype(predictions[0].dtype)
        if "float" not in dtype:
            dtype = keras.config.floatx()
        if dtype in _HALF:
            dtype = "float32"
    return dtype, "float32" if dtype in _HALF else dtype


def _cast(tensors: Any, dtype: str) -> Any:
    return tree.map_structure(lambda tensor: ops.cast(tensor, dtype), tensors)


def _joint_mask(first: Any, second: Any) -> Any:
    masks = [ops.cast(mask, "bool") for mask in (first, second) if mask is not None]
    if len(masks) < 2:
        return masks[0] if masks else None
    rank = max(len(mask.shape) for mask in masks)
    return ops.logical_and(*(shapes.expand_to(mask, rank) for mask in masks))


def _weighting(loss: "Loss", batch: Batch, sample_weight: Any, mask: Any) -> Weights | None:
    if sample_weight is None and mask is None:
        return None
    weights = keep = None
    dtype = tree.flatten(batch.y_pred)[0].dtype
    if sample_weight is not None:
        weights = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
        weights = _aligned(loss, "sample_weight", weights, batch)
        keep = ops.not_equal(weights, 0)
    if mask is not None:
        mask = _aligned(loss, "mask", mask, batch)
        weights, keep = _masked(weights, keep, mask, dtype)
    return Weights(weights, mask, keep)


def _masked(weights: Any, keep: Any, mask: Any, dtype: Any) -> tuple[Any, Any]:
    if weights is None:
        return ops.cast(mask, dtype), mask
    rank = max(len(mask.shape), len(weights.shape))
    mask, weights = shapes.expand_to(mask, rank), shapes.expand_to(weights, rank)
    weights = ops.where(mask, weights, ops.zeros_like(weights))
    return weights, ops.logical_and(mask, shapes.expand_to(keep, rank))


def _aligned(loss: "Loss", what: str, weights: Any, batch: Batch) -> Any:
    """Weights or a mask with the first axes of the batch; a scalar becomes one for each row."""
    first = tree.flatten(batch.y_pred)[0]
    if len(shape_of(weights)) == 0:
        return ops.broadcast_to(weights, ops.shape(first)[:1])
    return shapes.align_weights(loss.name, what, weights, first, len(batch.items))


def _stand_in(tensors: Any, keep: Any) -> Any:
    """Put the first row that counts in the place of the rows that do not.

    A row of weight 0 may hold anything, NaN included; a row of the batch that counts is inside the
    formula's domain. Selecting before the formula cuts the gradient as well.
    """
    if 0 in shape_of(keep):
        return tensors
    rank, flat = len(shape_of(keep)), ops.reshape(keep, (-1,))
    first, some = ops.argmax(ops.cast(flat, "int32")), ops.any(flat)

    def replace(tensor: Any) -> Any:
        rows = ops.reshape(tensor, (-1, *ops.shape(tensor)[rank:]))
        row = ops.take(rows, first, axis=0)
        row = ops.where(some, row, _where_nothing_counts(row))
        where = shapes.expand_to(keep, len(shape_of(tensor)))
        return ops.where(where, tensor, ops.stop_gradient(row))

    return tree.map_structure(replace, tensors)


def _where_nothing_counts(row: Any) -> Any:
    is_class = "int" in keras.backend.standardize_dtype(row.dtype)
    return ops.zeros_like(row) if is_class else ops.ones_like(row)


def _reduced_values(loss: "Loss", batch: Batch, weighting: Weights | None, how: str) -> Any:
    values = loss.call(batch.y_true, batch.y_pred)
    if values is None:
        raise TypeError(f"{loss.name}: the formula returned None; is a `return` missing?")
    values = ops.convert_to_tensor(values)
    values = ops.cast(values, tree.flatten(batch.y_pred)[0].dtype)
    elementwise = _is_elementwise(loss, values, batch.entries)
    if elementwise and weighting is None and how == "sum_over_batch_size":
        return reduction.per_replica(reduction.mean(values))
    if elementwise:
        values = _mean_of_last_axis(values)
    if batch.single:
        values = ops.reshape(values, ())
    if weighting is None:
        return reduction.reduce(values, None, None, how)
    if batch.single:
        weighting = Weights(*(part if part is None else part[0] for part in weighting))
    _check_weights_fit(loss, values, weighting.keep)
    weighted = reduction.weigh(values, weighting.weights, weighting.keep)
    return reduction.reduce(weighted, weighting.weights, weighting.mask, how)


def _is_elementwise(loss: "Loss", values: Any, entries: Shape) -> bool:
    shape = shape_of(values)
    if len(shape) > 1 and shapes.may_equal(shape, entries):
        return True
    if shape and shape[-1] == 1 and len(shape) > 1:
        shape = shape[:-1]
        if shapes.may_equal(shape, entries[: len(shape)]):
            return True
    if shape and shapes.may_equal(shape, entries[: len(shape)]):
        return False
    raise ValueError(
        f"{loss.name}: the formula returned shape {shape_of(values)} for predictions of shape "
        f"{entries}; it must return a value per entry or per sample, {entries} or {entries[:1]}. "
        + (
            "A property of the whole batch (one number) is declared with batchwise=True."
            if not shape
            else "Reduce the other axes in the formula, or return values that are not reduced."
        )
    )


def _mean_of_last_axis(values: Any) -> Any:
    if shape_of(values)[-1] == 1:
        return ops.squeeze(values, axis=-1)
    length = shape_of(values)[-1]
    length = ops.cast(ops.shape(values)[-1], values.dtype) if length is None else max(length, 1)
    return ops.sum(values, axis=-1) / length


def _check_weights_fit(loss: "Loss", values: Any, keep: Any) -> None:
    if len(shape_of(keep)) > len(shape_of(values)):
        raise ValueError(
            f"{loss.name}: the weights or mask have shape {shape_of(keep)}, one per time step, but "
            f"this loss gives values of shape {shape_of(values)}: weigh samples, "
            f"{shape_of(values)}, or use a formula that keeps the time axis."
        )


def _batch_value(loss: "Loss", batch: Batch, weighting: Weights | None, how: str) -> Any:
    if 0 in batch.items:
        value = ops.sum(tree.flatten(batch.y_pred)[0])
    elif weighting is None:
        value = loss.call(batch.y_true, batch.y_pred)
    elif loss.takes_weights:
        value = loss.call(batch.y_true, batch.y_pred, sample_weight=weighting.weights)
    else:
        raise TypeError(
            f"{loss.name} is a property of the batch and does not say what a weight or a mask "
            "means for it: give its formula a third argument, `sample_weight=None`."
        )
    value = ops.convert_to_tensor(value)
    if len(shape_of(value)) > 0:
        raise ValueError(
            f"{loss.name} is declared batchwise, so its formula must return one number; "
            f"it returned shape {shape_of(value)}."
        )
    averaged = how in ("sum_over_batch_size", "mean_with_sample_weight")
    return reduction.per_replica(value) if averaged else value
