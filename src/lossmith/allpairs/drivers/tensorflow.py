"""Blocks on TensorFlow: `tf.while_loop`, with batches whose size a graph leaves open.

Rows are gathered and scattered by index: a slice whose length depends on an open dimension cannot
be compiled by XLA inside a loop.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from lossmith.allpairs.drivers import EDGES_OF_POSITIVES as EDGES_OF_POSITIVES
from lossmith.allpairs.drivers import NO_SECOND_DERIVATIVES
from lossmith.allpairs.drivers import edge as edge
from lossmith.allpairs.search import by_halving
from lossmith.core import backend
from lossmith.core.numerics import directions as directions


def product(a: Any, b: Any) -> Any:
    """The matrix product in the full precision of its operands."""
    return tf.matmul(a, b)


def loop(count: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """`carry = body(i, carry)` for `i` from 0 to `count`."""
    _, carry = tf.while_loop(
        lambda i, carry: i < count,
        lambda i, carry: (i + 1, body(i, carry)),
        (tf.constant(0), carry),
        parallel_iterations=1,
    )
    return carry


def switch(index: Any, branches: list[Callable[[Any], Any]], operand: Any) -> Any:
    """The result of the branch that is chosen."""
    return tf.switch_case(index, [lambda branch=branch: branch(operand) for branch in branches])


def take_items(array: Any, start: Any, offsets: Any) -> Any:
    """What the items along the last axis have from `start` on, as many as there are offsets."""
    return tf.gather(array, start + offsets, axis=-1)


def add_rows(array: Any, start: Any, offsets: Any, rows: Any) -> Any:
    """Add to the rows from `start` on."""
    return tf.tensor_scatter_nd_add(array, (start + offsets)[:, None], rows)


def take_strip(strips: Any, i: Any) -> Any:
    """One of some arrays of equal shape, `(strips, ...)`."""
    return tf.gather(strips, i)


def put_strip(strips: Any, i: Any, rows: Any) -> Any:
    """Replace one of some arrays of equal shape."""
    return tf.tensor_scatter_nd_update(strips, [[i]], rows[None])


def put_entries(array: Any, columns: Any, values: Any) -> Any:
    """Replace some entries in each row, `(rows, entries)`."""
    return tf.tensor_scatter_nd_update(array, _places(columns), values)


def add_entries(array: Any, columns: Any, values: Any) -> Any:
    """Add to some entries in each row, `(rows, entries)`."""
    return tf.tensor_scatter_nd_add(array, _places(columns), values)


def _places(columns: Any) -> Any:
    rows = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, None], tf.shape(columns))
    return tf.stack([rows, columns], axis=2)


def largest(array: Any, number: int) -> tuple[Any, Any]:
    """The largest entries of each row in falling order, and their columns."""
    if array.shape[1] is not None:
        return tf.math.top_k(array, number)
    columns = tf.shape(array)[1]
    padded = tf.pad(array, [(0, 0), (0, number)], constant_values=array.dtype.min)
    values, places = tf.math.top_k(padded, number)
    return values, tf.minimum(places, columns - 1)


def largest_along(array: Any, axis: int) -> tuple[Any, Any]:
    """The largest entries along an axis, and the first places where they are."""
    most = tf.reduce_max(array, axis=axis, keepdims=True)
    number = tf.shape(array)[axis]
    places = tf.expand_dims(tf.range(number), 1 - axis)
    first = tf.reduce_min(tf.where(array == most, places, number - 1), axis=axis)
    return tf.squeeze(most, axis), first


def place(bounds: Any, block: Any) -> Any:
    """How many of the rising bounds of its row each entry of a block has reached."""
    return by_halving(bounds, block)  # XLA compares with all bounds in `tf.searchsorted`


def bin_sums(block: Any, bins: Any, number: int) -> Any:
    """The sum of the entries of each bin of a row, `(rows, number)`; a bin beyond is left out."""
    rows = tf.shape(block)[0]
    places = bins + (number + 1) * tf.range(rows)[:, None]
    sums = tf.math.unsorted_segment_sum(
        tf.reshape(block, [-1]), tf.reshape(places, [-1]), (number + 1) * rows
    )
    return tf.reshape(sums, [rows, number + 1])[:, :number]


def scatter_rows(array: Any, indices: Any, rows: Any) -> Any:
    """Add each of the rows to the row of `array` that its index names."""
    return tf.tensor_scatter_nd_add(array, indices[:, None], rows)


def clear_diagonal(mask: Any, start: Any, offsets: Any) -> Any:
    """A mask `(rows, columns)` of rows from `start` on, false where row and column are one."""
    columns = tf.range(tf.shape(mask)[1])
    return mask & ((start + offsets)[:, None] != columns[None, :])


def smallest(array: Any, start: Any, offsets: Any) -> Any:
    """The smallest entry of each row, those aside where row and column are one."""
    if start is None:
        return tf.reduce_min(array, axis=1)
    others = clear_diagonal(tf.ones_like(array, dtype=tf.bool), start, offsets)
    return tf.reduce_min(tf.where(others, array, array.dtype.max), axis=1)


def value_and_slope(formula: Callable[[Any], tuple[Any, Any]], block: Any) -> tuple[Any, Any, Any]:
    """The number that a formula of a block gives, what comes with it, and the derivative."""
    with tf.GradientTape() as tape:
        tape.watch(block)
        value, extra = formula(block)
    slope = tape.gradient(value, block, unconnected_gradients="zero")
    return value, extra, slope


def compiled(function: Callable[..., Any], owner: Any, size: Any) -> Callable[..., Any]:
    """The function itself: it is part of the graph already."""
    return function


def differentiable(loss: Any, pairs: Any) -> Any:
    """The value of the loss, with the gradient computed along with it if a tape records."""
    together = backend.tape_records()

    @tf.custom_gradient
    def value(*vectors: Any) -> Any:
        here = pairs.with_vectors(vectors)
        result, gradients = loss.evaluate_pairs(here, gradient=together)

        def backward(upstream: Any) -> Any:
            given = gradients if together else loss.evaluate_pairs(here, gradient=True)[1]
            return [upstream * _once(each) for each in given]

        return result, backward

    return value(*pairs.vectors())


@tf.custom_gradient
def _once(gradient: Any) -> Any:
    """A gradient that refuses to be differentiated."""

    def refuse(_: Any) -> Any:
        raise TypeError(NO_SECOND_DERIVATIVES)

    return gradient, refuse


def enlist(loss: Any) -> None:
    """Nothing: only PyTorch's compiled steps refer to a loss by number."""
