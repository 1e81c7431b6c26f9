"""How a loss is evaluated: rows left out, formula called, values checked, then reduced.

Everything here happens at trace time or is part of the compiled step; with neither weights nor a
mask nothing is added to the formula but the mean.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lossmith.core import backend, reduction, registry, shapes, tracing
from lossmith.core.backend import keras
from lossmith.core.inputs import Batch, check_numbers, prepare, structure_error
from lossmith.core.shapes import Shape, shape_of

if TYPE_CHECKING:
    from lossmith.core.base import Loss

ops = keras.ops
tree = keras.tree
_PLAIN = (bool, int, float, str, type(None))
_ADVICE_ON_FORMULAS = (
    "A formula is written with keras.ops: on the tensors of a compiled step NumPy's functions and "
    "Python's `if` fail (ops.abs for np.abs, ops.where for `if`)."
)
_ADVICE_ON_STRUCTURES = (
    "A structure reaches the formula as it is, and this one takes a tensor ({}). Arrays of one "
    "shape become one with keras.ops.stack. "
)
_ADVICE_ON_EMBEDDINGS = (
    "y_pred holds the two embeddings of each pair: let the formula begin with their distance, "
    "lossmith.distances.euclidean(y_pred[:, 0], y_pred[:, 1]), or give the loss the distances, as "
    "a SiameseNetwork does."
)


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
    current, valid = tracing.current(loss, y_pred)
    return tracing.nan_unless(valid, current._compute(y_true, y_pred, sample_weight, mask, how))


def compute(loss: "Loss", y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, how: str) -> Any:
    """Return the value of a loss whose hyperparameters are numbers or tensors."""
    check_numbers(loss, "mask", mask)
    mask = _joint_mask(backend.mask_of(y_pred), mask)
    node = loss._as_one_node
    if node is not None and backend.compiler_looks_into(y_true, y_pred, sample_weight, mask):
        return node.evaluate(node.told_apart_by, y_true, y_pred, sample_weight, mask, how)
    return _evaluate(loss, y_true, y_pred, sample_weight, mask, how)


class Node(NamedTuple):
    """The evaluation of a loss that `torch.compile` does not look into.

    It tells functions apart by their code, which all nodes have in common, and words by what they
    say: one that is not the same for two losses that differ is the first argument.
    """

    evaluate: Callable[..., Any]
    told_apart_by: str


def as_one_node(loss: "Loss") -> Node | None:
    """The evaluation of a loss that `torch.compile` need not look into, `None` if it has to.

    Lossmith's own formulas depend on nothing but tensors and numbers that never change. Of a
    user's formula nobody knows that, and arrays belong into the graph as they are.
    """
    plain = all(isinstance(value, _PLAIN) for value in loss.hyperparameters.values())
    if not (plain and registry.registered_name(type(loss)).startswith("lossmith>")):
        return None

    def node(_: str, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, how: str) -> Any:
        return _evaluate(loss, y_true, y_pred, sample_weight, mask, how)

    told_apart_by = repr((type(loss), loss.name, loss.dtype, dict(loss.hyperparameters)))
    return Node(backend.opaque(node), told_apart_by)


def _evaluate(
    loss: "Loss", y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, how: str
) -> Any:
    batch, weighting = counted(loss, y_true, y_pred, sample_weight, mask)
    loss = tracing.cast(loss, tree.flatten(batch.y_pred)[0].dtype)
    value = (_batch_value if loss.batchwise else _reduced_values)(loss, batch, weighting, how)
    return ops.cast(value, batch.dtype)


def counted(
    loss: "Loss", y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None
) -> tuple[Batch, Weights | None]:
    """A batch as formulas see it, and its weights: what does not count has been replaced.

    Raises:
        ValueError, TypeError: if shapes, dtypes or labels do not fit the loss.
    """
    batch = prepare(loss, y_true, y_pred)
    weighting = _weighting(loss, batch, sample_weight, mask)
    if weighting is not None:
        batch = batch._replace(
            y_true=_stand_in(batch.y_true, weighting.keep),
            y_pred=_stand_in(batch.y_pred, weighting.keep),
        )
    if loss.checks_targets and not tree.is_nested(batch.y_true):
        _check_targets(loss, batch.y_true)
    return batch, weighting


def _check_targets(loss: "Loss", y_true: Any) -> None:
    if backend.is_concrete(y_true):
        loss.check_targets(np.asarray(ops.convert_to_numpy(y_true)))


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
        check_numbers(loss, "sample_weight", sample_weight)
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


def _with_mask_of_values(
    loss: "Loss", weighting: Weights | None, values: Any, batch: Batch
) -> Weights | None:
    """The weights under the mask as well that a formula has attached to its values, as in Keras."""
    mask = backend.mask_of(values)
    if mask is None:
        return weighting
    given = weighting or Weights(None, None, None)
    mask = _aligned(loss, "the mask of the values", ops.cast(mask, "bool"), batch)
    weights, keep = _masked(given.weights, given.keep, mask, tree.flatten(batch.y_pred)[0].dtype)
    return Weights(weights, _joint_mask(given.mask, mask), keep)


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
    values = _call_formula(loss, batch)
    weighting = _with_mask_of_values(loss, weighting, values, batch)
    values = ops.cast(values, tree.flatten(batch.y_pred)[0].dtype)
    elementwise = _is_elementwise(loss, values, batch)
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


def _call_formula(loss: "Loss", batch: Batch, **weights: Any) -> Any:
    try:
        value = loss.call(batch.y_true, batch.y_pred, **weights)
    except Exception as error:
        if tree.is_nested(batch.y_pred):
            reason = _ADVICE_ON_STRUCTURES.format(f"{type(error).__name__}: {error}")
            raise structure_error(loss, "y_pred", batch.y_pred, reason) from error
        if _holds_embeddings(loss, shape_of(batch.y_pred)):
            raise ValueError(
                f"{loss.name}: the formula failed on {_shapes(batch)} "
                f"({type(error).__name__}: {error}). {_ADVICE_ON_EMBEDDINGS}"
            ) from error
        error.add_note(
            f"Raised by the formula of `{loss.name}`, given {_shapes(batch)}. {_ADVICE_ON_FORMULAS}"
        )
        raise
    if value is None:
        raise TypeError(f"{loss.name}: the formula returned None; is a `return` missing?")
    return ops.convert_to_tensor(value)


def _shapes(batch: Batch) -> str:
    return f"y_true of shape {shape_of(batch.y_true)} and y_pred of shape {shape_of(batch.y_pred)}"


def _holds_embeddings(loss: "Loss", shape: Shape) -> bool:
    return loss.targets == "pair" and len(shape) == 3


def _is_elementwise(loss: "Loss", values: Any, batch: Batch) -> bool:
    shape, entries = shape_of(values), batch.entries
    if len(shape) > 1 and shapes.may_equal(shape, entries):
        return True
    if shape and shapes.may_equal(shape, entries[: len(shape)]):
        return False
    if (
        len(shape) > 1
        and shape[-1] == 1
        and shapes.may_equal(shape[:-1], entries[: len(shape) - 1])
    ):
        return True
    raise _shape_error(loss, shape_of(values), batch)


def _shape_error(loss: "Loss", shape: Shape, batch: Batch) -> ValueError:
    given, entries = shape_of(tree.flatten(batch.y_pred)[0]), batch.entries
    wanted = f"per entry or per sample, {entries} or {entries[:1]}"
    if loss.targets == "pair":
        wanted = f"per pair, {entries}"
    if not shape:
        advice = "A property of the whole batch (one number) is declared with batchwise=True."
    elif _holds_embeddings(loss, given):
        advice = _ADVICE_ON_EMBEDDINGS
    else:
        advice = "Reduce the other axes in the formula, or return values that are not reduced."
    return ValueError(
        f"{loss.name}: the formula returned shape {shape} for predictions of shape {given}; "
        f"it must return a value {wanted}. {advice}"
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
        value = _call_formula(loss, batch)
    elif loss.takes_weights:
        value = _call_formula(loss, batch, sample_weight=weighting.weights)
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
