"""Losses whose anchors need nothing of their partners but sums.

They visit every pair of a batch once for each stage of sums and once for the gradient: a tile
serves the anchors of both its sides, and what a pair pulls at both of them is one product.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from lossmith.allpairs import engine
from lossmith.allpairs.blocks import Block, Tiles
from lossmith.allpairs.engine import driver
from lossmith.allpairs.pairs import Pairs, Side
from lossmith.core.backend import keras

ops = keras.ops
_EXPONENTS = (-80.0, 60.0)
"""Float32 holds the exponentials of these, and sums of them up to a weight of 10^12."""


class Stage(NamedTuple):
    """Sums over the partners of every anchor."""

    number: int
    """How many sums."""
    entries: Callable[..., tuple[Any, ...]]
    """`(block, row, *sums)` to what each pair adds to the sums of its anchor.

    The sums are those of earlier stages, and broadcast against the block, whose anchors may be on
    either of its sides.
    """
    of_positives: bool = False
    """Whether only positives add something: tiles in which no class meets itself are passed by."""


class Sums(NamedTuple):
    """A loss as sums over the partners of every anchor."""

    stages: tuple[Stage, ...]
    """The sums that are to be known."""
    cost: Callable[..., tuple[Any, Any, tuple[Any, ...]]]
    """The sums to what each anchor costs, how much it counts, and the factors of its slopes."""
    pair_slope: Callable[..., Any]
    """`(block, row, *factors)` to the slope of what an anchor costs in each of its pairs."""


def in_range(lowest: float, highest: float) -> bool:
    """Whether sums of exponentials can be taken without looking for the largest of them first."""
    return _EXPONENTS[0] <= lowest and highest <= _EXPONENTS[1]


def evaluate_sums(
    loss: Any, parts: Sums, pairs: Pairs, gradient: bool
) -> tuple[Any, tuple[Any, ...]]:
    """The value of a loss by its sums, and its gradient with respect to the embeddings."""
    order = _order(pairs.rows) if any(each.of_positives for each in parts.stages) else None
    rows = pairs.rows if order is None else _reordered(pairs.rows, order)
    tiles = engine.tiles_of(loss, Pairs(rows))
    sums: tuple[Any, ...] = ()
    for index, stage in enumerate(parts.stages):
        gather = _gathered if order is None or not stage.of_positives else _gathered_near_diagonal
        sums = (*sums, *gather(loss, tiles, stage, index, sums))
    values, counts, factors = parts.cost(*sums)
    weights = tiles.strips.weights
    weights = ops.ones_like(values) if weights is None else weights
    value, count = ops.sum(weights * values), ops.sum(weights * counts)
    value = engine.finished(value, count, loss)
    if not gradient:
        return value, ()
    total = tiles.joined(_gradient(loss, tiles, factors))
    total = engine.finished_gradient(total, count, loss)
    return value, (total if order is None else ops.take(total, ops.argsort(order), axis=0),)


def _order(items: Side) -> Any:
    """The items class by class; `None` where an item has several labels."""
    return ops.argsort(items.labels) if len(items.labels.shape) == 1 else None


def _reordered(items: Side, order: Any) -> Side:
    return Side(*(None if each is None else ops.take(each, order, axis=0) for each in items))


def _gathered_near_diagonal(
    loss: Any, tiles: Tiles, stage: Stage, index: int, known: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The sums of a stage of positives, which lie near the diagonal and meet in few small tiles."""
    fine = tiles.finer(driver.EDGES_OF_POSITIVES[engine.is_large(tiles.count)])
    known = tuple(fine.cut(tiles.flat(each)) for each in known)
    found = _gathered(loss, fine, stage, index, known)
    return tuple(tiles.cut(fine.flat(each)) for each in found)


def _gathered(
    loss: Any, tiles: Tiles, stage: Stage, index: int, known: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The sums of a stage, of all anchors."""

    def add(block: Block, carry: Any) -> Any:
        compute = driver.compiled(_sums, loss, block.size())
        of_rows, of_columns = compute(loss, index, *_sides(tiles, block, known))
        carry = _with(tiles, carry, block.at, of_rows)
        if block.columns_at is None:
            return carry
        return _with(tiles, carry, block.columns_at, of_columns)

    def visit(block: Block, carry: Any) -> Any:
        if not stage.of_positives or block.columns_at is None or len(block.rows.labels.shape) > 1:
            return add(block, carry)
        meet = block.rows.labels[-1] >= block.columns.labels[0]
        branches = [lambda carry: carry, lambda carry: add(block, carry)]
        return driver.switch(ops.cast(meet, "int32"), branches, carry)

    zeros = ops.zeros_like(tiles.strips.table.exact[..., 0])
    return tuple(tiles.each(visit, tuple(ops.copy(zeros) for _ in range(stage.number))))


def _with(tiles: Tiles, carry: Any, at: Any, new: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tiles.add(total, at, each) for total, each in zip(carry, new, strict=True))


def _gradient(loss: Any, tiles: Tiles, factors: tuple[Any, ...]) -> Any:
    """The gradient of the sum of all anchors' costs, in strips."""

    def visit(block: Block, total: Any) -> Any:
        both = block.columns_at is not None
        compute = driver.compiled(_pulls, loss, block.size())
        of_rows, *of_columns = compute(loss, *_sides(tiles, block, factors), both)
        total = tiles.add(total, block.at, of_rows)
        return tiles.add(total, block.columns_at, of_columns[0]) if both else total

    return tiles.each(visit, ops.zeros_like(tiles.strips.table.exact))


def _sides(tiles: Tiles, block: Block, known: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the pairs are, and what is known of the anchors on either side of a tile."""
    at = block.partners_at
    rows = tuple(tiles.take(each, block.at)[:, None] for each in known)
    columns = tuple(tiles.take(each, at)[None, :] for each in known)
    return block.anywhere(), rows, columns


def _sums(
    loss: Any, index: int, block: Block, rows: Any, columns: Any
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The sums of the anchors on both sides of a tile over the partners in it."""
    products, weights = engine.product_of(block), block.rows.weights
    row, entries = engine.row_of(block), loss.sums().stages[index].entries
    of_rows, of_columns = entries(products, row, *rows), entries(products, row, *columns)
    if weights is not None:
        of_rows = tuple(row.weighed(each) for each in of_rows)
        of_columns = tuple(weights[:, None] * each for each in of_columns)
    return (
        tuple(ops.sum(each, axis=1) for each in of_rows),
        tuple(ops.sum(each, axis=0) for each in of_columns),
    )


def _pulls(loss: Any, block: Block, rows: Any, columns: Any, both: bool) -> tuple[Any, ...]:
    """The gradient of a tile's rows; and that of its columns, if it is wanted."""
    products, weights = engine.product_of(block), block.rows.weights
    row, pair_slope = engine.row_of(block), loss.sums().pair_slope
    slope = pair_slope(products, row, *rows) + pair_slope(products, row, *columns)
    slope = slope if weights is None else row.weighed(weights[:, None] * slope)
    of_rows = driver.product(slope, block.columns.table.vectors)
    if not both:
        return (of_rows,)
    return of_rows, driver.product(ops.transpose(slope), block.rows.table.vectors)
