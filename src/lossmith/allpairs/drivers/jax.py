"""Blocks on JAX: `lax` loops, a gradient computed in the forward pass of `custom_vjp`."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

from lossmith.allpairs.drivers import EDGES_OF_POSITIVES as EDGES_OF_POSITIVES
from lossmith.allpairs.drivers import NO_SECOND_DERIVATIVES
from lossmith.allpairs.drivers import edge as edge
from lossmith.allpairs.search import by_halving
from lossmith.core import tracing
from lossmith.core.numerics import directions as directions

_FEW_BOUNDS = 128
_TOGETHER = 8


def product(a: Any, b: Any) -> Any:
    """The matrix product in the full precision of its operands."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def loop(count: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """`carry = body(i, carry)` for `i` from 0 to `count`."""
    return lax.fori_loop(0, count, body, carry)


def switch(index: Any, branches: list[Callable[[Any], Any]], operand: Any) -> Any:
    """The result of the branch that is chosen."""
    return lax.switch(index, branches, operand)


def take_items(array: Any, start: Any, offsets: Any) -> Any:
    """What the items along the last axis have from `start` on, as many as there are offsets."""
    return lax.dynamic_slice_in_dim(array, start, offsets.shape[0], axis=array.ndim - 1)


def add_rows(array: Any, start: Any, offsets: Any, rows: Any) -> Any:
    """Add to the rows from `start` on."""
    current = lax.dynamic_slice_in_dim(array, start, offsets.shape[0])
    return lax.dynamic_update_slice_in_dim(array, current + rows, start, 0)


def take_strip(strips: Any, i: Any) -> Any:
    """One of some arrays of equal shape, `(strips, ...)`."""
    return lax.dynamic_index_in_dim(strips, i, keepdims=False)


def put_strip(strips: Any, i: Any, rows: Any) -> Any:
    """Replace one of some arrays of equal shape."""
    return lax.dynamic_update_index_in_dim(strips, rows, i, 0)


def put_entries(array: Any, columns: Any, values: Any) -> Any:
    """Replace some entries in each row, `(rows, entries)`."""
    return array.at[jnp.arange(array.shape[0])[:, None], columns].set(values)


def add_entries(array: Any, columns: Any, values: Any) -> Any:
    """Add to some entries in each row, `(rows, entries)`."""
    return array.at[jnp.arange(array.shape[0])[:, None], columns].add(values)


def largest(array: Any, number: int) -> tuple[Any, Any]:
    """The largest entries of each row in falling order, and their columns."""
    return lax.top_k(array, number)


def largest_along(array: Any, axis: int) -> tuple[Any, Any]:
    """The largest entries along an axis, and the first places where they are."""
    most = jnp.max(array, axis=axis, keepdims=True)
    places = jnp.expand_dims(jnp.arange(array.shape[axis]), 1 - axis)
    first = jnp.min(jnp.where(array == most, places, array.shape[axis] - 1), axis=axis)
    return jnp.squeeze(most, axis), first.astype("int32")


def place(bounds: Any, block: Any) -> Any:
    """How many of the rising bounds of its row each entry of a block has reached."""
    search = _by_comparing if bounds.shape[1] <= _FEW_BOUNDS else by_halving
    return search(bounds, block)


def _by_comparing(bounds: Any, block: Any) -> Any:
    """Some bounds at a time: nothing is gathered, which XLA makes vector instructions of."""
    fill = -bounds.shape[1] % _TOGETHER
    bounds = jnp.pad(bounds, [(0, 0), (0, fill)], constant_values=jnp.inf)

    def body(i: Any, reached: Any) -> Any:
        some = lax.dynamic_slice_in_dim(bounds, i * _TOGETHER, _TOGETHER, axis=1)
        for each in range(_TOGETHER):
            reached += (some[:, each : each + 1] <= block).astype("int32")
        return reached

    return lax.fori_loop(0, bounds.shape[1] // _TOGETHER, body, jnp.zeros(block.shape, "int32"))


def bin_sums(block: Any, bins: Any, number: int) -> Any:
    """The sum of the entries of each bin of a row, `(rows, number)`; a bin beyond is left out."""
    rows = jnp.arange(block.shape[0])[:, None]
    return jnp.zeros((block.shape[0], number), block.dtype).at[rows, bins].add(block, mode="drop")


def scatter_rows(array: Any, indices: Any, rows: Any) -> Any:
    """Add each of the rows to the row of `array` that its index names."""
    return array.at[indices].add(rows)


def clear_diagonal(mask: Any, start: Any, offsets: Any) -> Any:
    """A mask `(rows, columns)` of rows from `start` on, false where row and column are one."""
    columns = jnp.arange(mask.shape[1])
    return mask & ((start + offsets)[:, None] != columns[None, :])


def smallest(array: Any, start: Any, offsets: Any) -> Any:
    """The smallest entry of each row, those aside where row and column are one."""
    if start is None:
        return jnp.min(array, axis=1)
    others = clear_diagonal(jnp.ones_like(array, dtype=bool), start, offsets)
    return jnp.min(jnp.where(others, array, jnp.inf), axis=1)


def value_and_slope(formula: Callable[[Any], tuple[Any, Any]], block: Any) -> tuple[Any, Any, Any]:
    """The number that a formula of a block gives, what comes with it, and the derivative."""
    (value, extra), slope = jax.value_and_grad(formula, has_aux=True)(block)
    return value, extra, slope


def compiled(function: Callable[..., Any], owner: Any, size: Any) -> Callable[..., Any]:
    """The function itself: it is part of a compiled loop already."""
    return function


def differentiable(loss: Any, pairs: Any) -> Any:
    """The value of the loss, with the gradient that the engine computes along with it."""
    tensors = tracing.tensors_of(loss)
    if tensors:  # such a loss has no hash, and is part of a compiled step already
        return _value(loss, pairs.vectors(), pairs.without_vectors(), tensors)
    # The value does not depend on how a loss is reduced, which is no reason to compile anew.
    return _compiled_value(
        loss(reduction="sum", dtype=None), pairs.vectors(), pairs.without_vectors(), {}
    )


def _value(loss: Any, vectors: Any, others: Any, tensors: Any) -> Any:
    """The hyperparameters that are tensors are arguments: a rule of JAX's reaches for no others."""

    def with_tensors(tensors: Any) -> Any:
        return tracing.traced(loss, tensors) if tensors else loss

    @jax.custom_vjp
    def value(vectors: Any, others: Any, tensors: Any) -> Any:
        pairs = others.with_vectors(vectors)
        return with_tensors(tensors).evaluate_pairs(pairs, gradient=False)[0]

    def forward(vectors: Any, others: Any, tensors: Any) -> tuple[Any, Any]:
        pairs = others.with_vectors(vectors)
        result, gradients = with_tensors(tensors).evaluate_pairs(pairs, gradient=True)
        return result, tuple(_once(each) for each in gradients)

    def backward(gradients: Any, upstream: Any) -> tuple[Any, None, None]:
        return tuple(upstream * each for each in gradients), None, None

    value.defvjp(forward, backward)
    return value(vectors, others, tensors)


@jax.custom_jvp
def _once(gradient: Any) -> Any:
    """A gradient that refuses to be differentiated."""
    return gradient


@_once.defjvp
def _(*_: Any) -> Any:
    raise TypeError(NO_SECOND_DERIVATIVES)


_compiled_value = jax.jit(_value, static_argnums=0)
"""Outside of a compiled step JAX would compile the loop over blocks anew at every call."""


def enlist(loss: Any) -> None:
    """Nothing: only PyTorch's compiled steps refer to a loss by number."""
