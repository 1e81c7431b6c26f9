"""The furthest positive and the nearest negative of every anchor, and the triplets they make.

Every pair is visited once, from both its sides, and what is chosen has its difference computed, for
the value and for a gradient that touches three items of each anchor. If something chosen is so near
that another partner may be nearer, the whole batch is computed anew, by rows.
"""

from typing import Any, NamedTuple

import numpy as np

from lossmith.allpairs import engine, measures
from lossmith.allpairs.blocks import Block, Tiles
from lossmith.allpairs.engine import driver
from lossmith.allpairs.pairs import Pairs
from lossmith.allpairs.row import Group
from lossmith.core.backend import keras
from lossmith.core.numerics import hinge

ops = keras.ops


class Chosen(NamedTuple):
    """A partner of every anchor."""

    score: Any
    """Its squared distance, or less that, so that it is the largest; `-inf` if there is none."""
    index: Any
    """Where it is in the batch."""


def of_hardest_triplets(
    loss: Any, pairs: Pairs, gradient: bool, by_rows: Any
) -> tuple[Any, tuple[Any, ...]]:
    """The value and the gradient of the triplets of each anchor's hardest partners.

    Args:
        loss: its `margin` and `measure` are used.
        pairs: a batch with itself.
        gradient: whether it is wanted.
        by_rows: computes the same where a chosen pair is so near that another may be nearer.
    """
    compute = _of_chosen
    if engine.in_one_tile(pairs):
        count = pairs.rows.vectors.shape[0]
        compute = driver.compiled(_of_chosen, loss, (count, count))
    some, found = compute(loss, pairs, gradient)

    def all_pairs(_: Any) -> Any:
        value, gradients = by_rows()
        return value, *gradients

    value, *gradients = driver.switch(some, [lambda found: found, all_pairs], found)
    # Comparisons lose what is not a number: what they choose has a gradient.
    return value, tuple(ops.where(ops.isnan(value), np.nan, each) for each in gradients)


def _of_chosen(loss: Any, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
    """Whether something chosen is so near that another may be nearer; value and gradient."""
    tiles = engine.tiles_of(loss, pairs)
    positive, negative = _hardest(loss, tiles)
    norms, weights = tiles.strips.table.norms, tiles.strips.weights
    exist = ops.logical_and(_exists(positive), _exists(negative))
    near = [
        ops.abs(each.score) <= measures.NEAR * (norms + ops.take(tiles.flat(norms), each.index))
        for each in (positive, negative)
    ]
    some = ops.any(ops.logical_and(exist, ops.logical_or(*near)))
    counts = ops.cast(exist, norms.dtype)
    counts = counts if weights is None else weights * counts
    counts = ops.where(ops.isfinite(ops.sum(norms)), counts, np.nan)
    found = _triplets(loss, pairs.rows.vectors, positive.index, negative.index, counts, gradient)
    return ops.cast(some, "int32"), found


def _exists(chosen: Chosen) -> Any:
    return chosen.score > -np.inf


def _triplets(
    loss: Any, vectors: Any, positive: Any, negative: Any, counts: Any, gradient: bool
) -> tuple[Any, ...]:
    """Value and gradient of a triplet for each anchor, a strip of anchors at a time."""
    number, edge = counts.shape
    missing, count = number * edge - vectors.shape[0], ops.sum(counts)
    items = ops.pad(vectors, [(0, missing), (0, 0)]) if missing else vectors
    anchors = ops.reshape(items, (number, edge, -1))

    def visit(i: Any, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        own, share, *partners = (
            driver.take_strip(each, i) for each in (anchors, counts, positive, negative)
        )
        steps = [own - ops.take(items, each, axis=0) for each in partners]
        near, far = (measures.exact(loss.measure, ops.transpose(each)) for each in steps)
        excess = near - far + loss.margin
        value, *total = carry
        value = value + ops.sum(share * hinge(excess))
        if not gradient:
            return (value,)
        active = engine.finished(share * ops.cast(excess > 0, share.dtype), count, loss)
        pulls = [measures.pull(loss.measure, active, each)[:, None] for each in (near, far)]
        attraction, repulsion = (pull * step for pull, step in zip(pulls, steps, strict=True))
        place = ops.arange(edge, dtype="int32")
        gathered = driver.add_rows(total[0], i * edge, place, attraction - repulsion)
        gathered = driver.scatter_rows(gathered, partners[0], -attraction)
        return value, driver.scatter_rows(gathered, partners[1], repulsion)

    start = (ops.zeros((), dtype=counts.dtype), *([ops.zeros_like(items)] if gradient else []))
    value, *total = driver.loop(number, visit, start)
    return engine.finished(value, count, loss), *(each[: vectors.shape[0]] for each in total)


def _hardest(loss: Any, tiles: Tiles) -> tuple[Chosen, Chosen]:
    """Furthest positives and nearest negatives, in strips."""

    def visit(block: Block) -> Any:
        both, edge = block.columns_at is not None, block.size()[0]
        compute = driver.compiled(_hardest_of, loss, block.size())
        of_rows, *of_columns = compute(block.anywhere(), both)
        found = _placed(of_rows, block.partners_at * edge)
        return (), found, *(_placed(each, block.at * edge) for each in of_columns)

    lowest = ops.full_like(tiles.strips.table.norms, -np.inf)
    nobody = ops.zeros_like(lowest, dtype="int32")
    start = (lowest, nobody, ops.copy(lowest), ops.copy(nobody))
    found = tiles.collected(visit, (), start, _better)[1]
    return Chosen(*found[:2]), Chosen(*found[2:])


def _placed(found: tuple[Any, ...], start: Any) -> tuple[Any, ...]:
    """Scores, and where in the batch they are, of items from `start` on."""
    first, second = (ops.cast(start + found[place], "int32") for place in (1, 3))
    return found[0], first, found[2], second


def _better(known: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """The better of two partners of each item, of both kinds."""
    better = [new[kind] > known[kind] for kind in (0, 0, 2, 2)]
    return tuple(ops.where(*each) for each in zip(better, new, known, strict=True))


def _hardest_of(block: Block, both: bool) -> tuple[Any, ...]:
    """The hardest partners in a tile of its rows; and those of its columns, if they are wanted."""
    product, weights, row = engine.product_of(block), block.rows.weights, engine.row_of(block)
    groups = (row.positives, row.negatives)
    of_rows = _largest(product, groups, 1)
    if not both:
        return (of_rows,)
    if weights is not None:
        present = ops.not_equal(weights, 0)[:, None]
        groups = (row.positives.where(present), row.negatives.where(present))
    return of_rows, _largest(product, groups, 0)


def _largest(product: Any, groups: tuple[Group, Group], axis: int) -> tuple[Any, ...]:
    positives, negatives = groups
    found: tuple[Any, ...] = ()
    for scores in (positives.chosen(product, -np.inf), negatives.chosen(-product, -np.inf)):
        found = (*found, *driver.largest_along(scores, axis))
    return found
