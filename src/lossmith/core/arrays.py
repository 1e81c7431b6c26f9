"""Hyperparameters that are arrays: of one width, read-only, and tensors inside a formula."""

import inspect
import typing
from typing import Any

import numpy as np

EXPECTED = "an array of finite numbers"


def frozen(value: Any, hint: Any) -> np.ndarray:
    """A read-only copy of an array, as its type hint wants it.

    Flags stay flags. Integers stay integers unless the hint is a bare array or one of floating
    numbers; all other numbers become float64.

    Raises:
        TypeError, ValueError: saying what was expected.
    """
    try:
        array = np.array(value)
    except (TypeError, ValueError):
        raise TypeError(EXPECTED) from None
    declared = _declared_kind(hint)
    is_number = array.dtype.kind in "iuf" and not np.issubdtype(declared, np.bool_)
    fits = is_number or np.issubdtype(array.dtype, declared)
    if array.ndim == 0 or array.dtype.kind not in "biuf" or not fits:
        raise TypeError(EXPECTED)
    if not np.all(np.isfinite(array)):
        raise ValueError(EXPECTED)
    if array.dtype.kind != "b":
        array = _of_one_width(array, declared, keeps_integers=hint is not np.ndarray)
    array.setflags(write=False)
    return array


def is_real(value: Any) -> bool:
    """Whether a bound value is an array that becomes a tensor before a formula computes with it.

    Integer arrays stay NumPy's, so that they can be axes and indices.
    """
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _of_one_width(array: np.ndarray, declared: Any, keeps_integers: bool) -> np.ndarray:
    """Equal arrays compute the same: no int8 that wraps where int64 does not."""
    if keeps_integers and array.dtype.kind in "iu" and not np.issubdtype(declared, np.floating):
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise ValueError("an array of integers that int64 can hold")
        return array.astype(np.int64)
    if np.issubdtype(declared, np.integer):
        raise TypeError("an array of integers")
    return array.astype(np.float64)


def _declared_kind(hint: Any) -> Any:
    """The kind of number that `numpy.typing.NDArray[...]` names; of a bare array any."""
    arguments = typing.get_args(hint)
    named = typing.get_args(arguments[1])[0] if len(arguments) == 2 else Any
    return named if inspect.isclass(named) and issubclass(named, np.generic) else np.generic
