"""Inputs as a formula may rely on them: tensors of one dtype, aligned as the targets demand."""

import numbers
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lossmith.core import shapes
from lossmith.core.backend import keras
from lossmith.core.numerics import computing, floating
from lossmith.core.shapes import Shape, shape_of

if TYPE_CHECKING:
    from lossmith.core.base import Loss

ops = keras.ops
tree = keras.tree

_ADVICE_ON_OUTPUTS = (
    "Several outputs take a loss each: compile(loss=[...]) or compile(loss={name: ...})."
)
_ADVICE_ON_NAMES = " Names of classes become ids with np.unique(names, return_inverse=True)[1]."
_ADVICE_ON_COMPLEX = " Give the real and the imaginary part as two entries of the last axis."


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


def prepare(loss: "Loss", y_true: Any, y_pred: Any) -> Batch:
    """Bring the inputs of a loss to the shapes and dtypes that its kind of targets promises.

    Raises:
        ValueError, TypeError: if they do not fit, naming what was expected and what came.
    """
    if y_true is None or y_pred is None:
        missing, advice = ("y_true", loss._without_labels) if y_true is None else ("y_pred", "")
        raise TypeError(f"{loss.name}: {missing} is None; a loss compares two tensors.{advice}")
    for what, data in (("y_true", y_true), ("y_pred", y_pred)):
        check_numbers(loss, what, data, _ADVICE_ON_NAMES)
    y_pred = _tensors(y_pred)
    y_true = _tensors(y_true) if tree.is_nested(y_pred) else _targets(loss, y_true)
    dtype, compute = _dtypes(loss, tree.flatten(y_pred))
    y_pred = _cast(y_pred, compute)
    if loss.targets != "class":
        y_true = _cast(y_true, compute)
    if tree.is_nested(y_pred):
        return _structure(loss, y_true, y_pred, dtype)
    return _single_tensors(loss, y_true, y_pred, dtype)


def _single_tensors(loss: "Loss", y_true: Any, y_pred: Any, dtype: str) -> Batch:
    single = len(shape_of(y_pred if loss.targets == "value" else y_true)) == 0
    if single:
        if loss.targets == "value":
            y_true = shapes.align_values(loss.name, y_true, y_pred)
        y_true, y_pred = ops.expand_dims(y_true, 0), ops.expand_dims(y_pred, 0)
    if loss.targets == "value":
        y_true = shapes.align_values(loss.name, y_true, y_pred)
        if len(shape_of(y_pred)) == 1 and not loss.by_entry:
            y_true, y_pred = ops.expand_dims(y_true, -1), ops.expand_dims(y_pred, -1)
        items = shape_of(y_pred)[:-1] or shape_of(y_pred)
    elif loss.targets == "class":
        y_true, y_pred = loss.align_classes(y_true, y_pred)
        items = shape_of(y_pred)[:-1]
    else:
        y_true, y_pred = shapes.align_pairs(loss.name, y_true, y_pred)
        items = shape_of(y_pred)[:1]
    entries = items if loss.targets == "pair" else shape_of(y_pred)
    return Batch(y_true, y_pred, entries, items, single, dtype)


def check_numbers(loss: "Loss", what: str, data: Any, advice: str = "") -> None:
    """Refuse what no tensor of real numbers or flags can be made of.

    Raises:
        TypeError: naming what came, with the advice.
    """
    if data is None or ops.is_tensor(data):
        return
    for leaf in tree.flatten(data):
        if isinstance(leaf, str | bytes):
            found = repr(leaf)
        elif getattr(getattr(leaf, "dtype", None), "kind", None) in ("U", "S", "T", "O"):
            found = f"an array of {leaf.dtype} of shape {leaf.shape}"
        elif np.iscomplexobj(leaf):
            raise TypeError(
                f"{loss.name}: {what} must hold real numbers; got complex ones."
                + (_ADVICE_ON_COMPLEX if advice else "")
            )
        else:
            continue
        raise TypeError(f"{loss.name}: {what} must hold numbers; got {found}.{advice}")


def _tensors(data: Any) -> Any:
    """A list of numbers is a tensor; a list of tensors is a structure."""
    if isinstance(data, list | tuple):
        leaves = tree.flatten(data)
        if all(isinstance(leaf, numbers.Number) for leaf in leaves):
            return ops.convert_to_tensor(data)
    return tree.map_structure(ops.convert_to_tensor, data)


def _targets(loss: "Loss", y_true: Any) -> Any:
    """Targets as a tensor; class ids that its dtype cannot hold would be other ids."""
    if isinstance(y_true, dict):
        raise structure_error(loss, "y_true", y_true, "y_pred is a single tensor. ")
    if loss.targets == "class" and isinstance(y_true, list | tuple):
        y_true = _ids_in_lists(loss, y_true)
    tensor = ops.convert_to_tensor(y_true)
    if isinstance(y_true, np.ndarray):
        _check_ids_fit(loss, y_true, keras.backend.standardize_dtype(tensor.dtype))
    return tensor


def _ids_in_lists(loss: "Loss", listed: Any) -> Any:
    """Lists of integers as an array: backends make 32 bits of them, or an error of their own."""
    ids = tree.flatten(listed)
    if not all(isinstance(each, numbers.Integral) for each in ids):
        return listed
    held = _held(np.dtype("int64"))
    _check_range(loss, min(ids, default=0), max(ids, default=0), held)
    try:
        return np.asarray(listed, held)
    except (TypeError, ValueError):
        raise ValueError(
            f"{loss.name}: y_true is a list whose rows differ in length or kind; it must hold a "
            "class id, or as many labels, for each item."
        ) from None


def check_ids(loss: "Loss", ids: np.ndarray) -> None:
    """Refuse class ids that the backend would take for others, before it is given them.

    Raises:
        ValueError: if they do not fit its integers.
    """
    if ids.dtype.kind in "iu":
        _check_ids_fit(loss, ids, _held(ids.dtype))


def _held(dtype: np.dtype) -> str:
    """What the backend makes of an array of integers."""
    tensor = ops.convert_to_tensor(np.zeros(0, dtype))
    return str(keras.backend.standardize_dtype(tensor.dtype))


def _check_ids_fit(loss: "Loss", ids: np.ndarray, dtype: str) -> None:
    if ids.dtype.kind in "iu" and "int" in dtype and ids.size:
        _check_range(loss, ids.min(), ids.max(), dtype)


def _check_range(loss: "Loss", least: Any, most: Any, dtype: str) -> None:
    held = np.iinfo(dtype)
    if not held.min <= least <= most <= held.max:
        raise ValueError(
            f"{loss.name}: y_true has ids from {least} to {most}, which do not fit {dtype}: "
            "number them with np.unique(y_true, return_inverse=True)[1]."
        )


def _structure(loss: "Loss", y_true: Any, y_pred: Any, dtype: str) -> Batch:
    """Structures reach the formula as they are, each target aligned with its prediction.

    Only values have one; ids and pair labels belong to one tensor of predictions.
    """
    if loss.targets != "value":
        for_pairs = f"{shapes.ADVICE_FOR_PAIRS} " if loss.targets == "pair" else ""
        raise structure_error(loss, "y_pred", y_pred, loss._for_several_outputs or for_pairs)
    try:
        tree.assert_same_structure(y_true, y_pred)
    except ValueError as error:
        raise ValueError(f"{loss.name}: y_true and y_pred are nested unlike: {error}") from None
    y_true = tree.map_structure(
        lambda true, pred: shapes.align_values(loss.name, true, pred), y_true, y_pred
    )
    entries = shape_of(tree.flatten(y_pred)[0])
    return Batch(y_true, y_pred, entries, entries[: max(len(entries) - 1, 1)], False, dtype)


def structure_error(loss: "Loss", what: str, given: Any, advice: str) -> TypeError:
    """The error for several tensors where there must be one."""
    kind, count = type(given).__name__, len(tree.flatten(given))
    return TypeError(f"{loss.name}: {what} is a {kind} of {count}. {advice}{_ADVICE_ON_OUTPUTS}")


def _dtypes(loss: "Loss", predictions: list[Any]) -> tuple[str, str]:
    """The dtype of the result and the dtype of the computation."""
    dtype = loss.requested_dtype or computing(floating(predictions[0].dtype))
    return dtype, computing(dtype)


def _cast(tensors: Any, dtype: str) -> Any:
    return tree.map_structure(lambda tensor: ops.cast(tensor, dtype), tensors)
