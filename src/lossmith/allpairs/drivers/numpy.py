"""Blocks on NumPy, with which Keras computes values and no gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lossmith.allpairs.drivers import EDGES_OF_POSITIVES as EDGES_OF_POSITIVES
from lossmith.allpairs.drivers import edge as edge
from lossmith.allpairs.drivers.eager import loop as loop
from lossmith.allpairs.drivers.eager import switch as switch
from lossmith.allpairs.drivers.eager import take_items as take_items
from lossmith.allpairs.search import by_halving
from lossmith.core.numerics import directions as directions


def product(a: Any, b: Any) -> Any:
    """The matrix product."""
    return a @ b


def add_rows(array: Any, start: Any, offsets: Any, rows: Any) -> Any:
    """Add to the rows from `start` on."""
    array = array.copy()
    array[start : start + len(offsets)] += rows
    return array


def take_strip(strips: Any, i: Any) -> Any:
    """One of some arrays of equal shape, `(strips, ...)`."""
    return strips[i]


def put_strip(strips: Any, i: Any, rows: Any) -> Any:
    """Replace one of some arrays of equal shape."""
    array = strips.copy()
    array[i] = rows
    return array


def put_entries(array: Any, columns: Any, values: Any) -> Any:
    """Replace some entries in each row, `(rows, entries)`."""
    array = array.copy()
    np.put_along_axis(array, columns, values, axis=1)
    return array


def add_entries(array: Any, columns: Any, values: Any) -> Any:
    """Add to some entries in each row, `(rows, entries)`."""
    array = array.copy()
    np.add.at(array, (np.arange(len(array))[:, None], columns), values)
    return array


def largest(array: Any, number: int) -> tuple[Any, Any]:
    """The largest entries of each row in falling order, and their columns."""
    columns = np.argsort(-array, axis=1)[:, :number]
    return np.take_along_axis(array, columns, axis=1), columns


def largest_along(array: Any, axis: int) -> tuple[Any, Any]:
    """The largest entries along an axis, and the first places where they are."""
    return array.max(axis=axis), array.argmax(axis=axis).astype("int32")


def place(bounds: Any, block: Any) -> Any:
    """How many of the rising bounds of its row each entry of a block has reached."""
    return by_halving(bounds, block)


def bin_sums(block: Any, bins: Any, number: int) -> Any:
    """The sum of the entries of each bin of a row, `(rows, number)`; a bin beyond is left out."""
    return add_entries(np.zeros((len(block), number + 1), block.dtype), bins, block)[:, :number]


def scatter_rows(array: Any, indices: Any, rows: Any) -> Any:
    """Add each of the rows to the row of `array` that its index names."""
    array = array.copy()
    np.add.at(array, indices, rows)
    return array


def clear_diagonal(mask: Any, start: Any, offsets: Any) -> Any:
    """A mask `(rows, columns)` of rows from `start` on, false where row and column are one."""
    return mask & ((start + offsets)[:, None] != np.arange(mask.shape[1])[None, :])


def smallest(array: Any, start: Any, offsets: Any) -> Any:
    """The smallest entry of each row, those aside where row and column are one."""
    if start is None:
        return array.min(axis=1)
    others = clear_diagonal(np.ones_like(array, dtype=bool), start, offsets)
    return np.where(others, array, np.inf).min(axis=1)


def value_and_slope(formula: Callable[[Any], tuple[Any, Any]], block: Any) -> tuple[Any, Any, Any]:
    """Refused: NumPy has no derivatives."""
    raise NotImplementedError(
        "Slopes need one of Keras' backends that train: tensorflow, jax or torch."
    )


def compiled(function: Callable[..., Any], owner: Any, size: Any) -> Callable[..., Any]:
    """The function itself."""
    return function


def differentiable(loss: Any, pairs: Any) -> Any:
    """The value of the loss."""
    return loss.evaluate_pairs(pairs, gradient=False)[0]


def enlist(loss: Any) -> None:
    """Nothing: only PyTorch's compiled steps refer to a loss by number."""
