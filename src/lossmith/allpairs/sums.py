"""Losses whose anchors need nothing of their partners but sums.

They visit every pair of a batch for its sums and again for the gradient: a tile serves the anchors
of both its sides, and what a pair pulls at both of them is one product. What only positives add to
is visited near the diagonal, where that costs less.
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

    The sums are those of earlier stages, if they are needed, and broadcast against the block, whose
    anchors may be on either of its sides.
    """
    of_positives: bool = False
    """Whether only positives add something, so that other tiles may be passed by."""
    needs_sums: bool = False
    """Whether it needs the sums of earlier stages."""


class Slope(NamedTuple):
    """A part of the slope of what anchors cost in their pairs."""

    entries: Callable[..., Any]
    """`(block, row, ours, theirs)` to the slope of what both anchors of each pair cost.

    The last two are the factors of the anchors on the sides of the rows and of the columns, and
    broadcast against the block.
    """
    of_positives: bool = False
    """Whether it is 0 for all others."""


class Sums(NamedTuple):
    """A loss as sums over the partners of every anchor."""

    stages: tuple[Stage, ...]
    """The sums that are to be known."""
    cost: Callable[..., tuple[Any, Any, tuple[Any, ...]]]
    """The sums to what each anchor costs, how much it counts, and the factors of its slopes."""
    slopes: tuple[Slope, ...]
    """The parts of the slope, which add up."""


def in_range(lowest: float, highest: float) -> bool:
    """Whether sums of exponentials can be taken without looking for the largest of them first."""
    return _EXPONENTS[0] <= lowest and highest <= _EXPONENTS[1]


def evaluate_sums(loss: Any, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
    """The value of a loss by its sums, and its gradient with respect to the embeddings."""
    if not engine.in_one_tile(pairs):
        return _of_tiles(loss, pairs, gradient)
    count = ops.shape(pairs.rows.vectors)[0]
    return driver.compiled(_of_one_tile, loss, (count, count))(loss, pairs, gradient)


def _of_one_tile(loss: Any, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
    """The same for a batch that is one tile, of which the products are kept."""
    parts, block = loss.sums(), engine.one_tile(loss, pairs)
    products, row, weights = engine.product_of(block), engine.row_of(block), block.anchors()
    sums: tuple[Any, ...] = ()
    for stage in parts.stages:
        known = [each[:, None] for each in sums] if stage.needs_sums else ()
        entries = stage.entries(products, row, *known)
        sums = (*sums, *(ops.sum(row.weighed(each), axis=1) for each in entries))
    values, counts, factors = parts.cost(*sums)
    count = ops.sum(weights * counts)
    value = engine.finished(ops.sum(weights * values), count, loss)
    if not gradient:
        return value, ()
    ours, theirs = [each[:, None] for each in factors], [each[None, :] for each in factors]
    slope = sum(each.entries(products, row, ours, theirs) for each in parts.slopes)
    slope = row.weighed(weights[:, None] * slope)
    total = driver.product(slope, ops.transpose(block.columns.table.exact))
    return value, (engine.finished_gradient(total, count, loss),)


def _of_tiles(loss: Any, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
    parts = loss.sums()
    stages, slopes = _plan(parts, pairs)
    ordered = any(each.near_diagonal for each in (*stages, *slopes))
    order = ops.argsort(pairs.rows.labels) if ordered else None
    tiles = engine.tiles_of(loss, pairs if order is None else _reordered(pairs, order))
    everywhere = _Where(tiles, None)
    near_diagonal = _near_diagonal(tiles) if ordered else everywhere
    sums: tuple[Any, ...] = ()
    for look in stages:
        where = near_diagonal if look.near_diagonal else everywhere
        sums = (*sums, *_gathered(loss, tiles, where, look.parts, sums))
    values, counts, factors = parts.cost(*sums)
    weights = tiles.strips.weights
    weights = ops.ones_like(values) if weights is None else weights
    value, count = ops.sum(weights * values), ops.sum(weights * counts)
    value = engine.finished(value, count, loss)
    if not gradient:
        return value, ()
    total = None
    for look in slopes:
        where = near_diagonal if look.near_diagonal else everywhere
        found = _gradient(loss, tiles, where, look.parts, factors)
        total = found if total is None else total + found
    total = engine.finished_gradient(ops.transpose(total), count, loss)
    return value, (total if order is None else ops.take(total, ops.argsort(order), axis=0),)


class _Look(NamedTuple):
    """A look at tiles."""

    parts: tuple[int, ...]
    """The stages, or the parts of a slope, that it is for."""
    near_diagonal: bool
    """Whether it is at those tiles only in which items of a class meet."""


def _plan(parts: Sums, pairs: Pairs) -> tuple[list[_Look], list[_Look]]:
    """The looks for the stages, and those for the parts of the slope."""
    large = engine.is_large(ops.shape(pairs.rows.vectors)[0])
    by_class = len(pairs.rows.labels.shape) == 1
    stages = [(each.of_positives, each.needs_sums) for each in parts.stages]
    slopes = [(each.of_positives, False) for each in parts.slopes]
    return _looks(stages, by_class, large), _looks(slopes, by_class, large)


def _looks(parts: list[tuple[bool, bool]], by_class: bool, large: bool) -> list[_Look]:
    """How often tiles are looked at for some stages, or parts of a slope.

    Args:
        parts: in their order, whether each is of positives only and whether it needs the sums that
            those before it give.
        by_class: whether items can be put in the order of their classes.
        large: whether a look near the diagonal costs less than one thing more in all tiles.
    """
    looks: list[_Look] = []
    alone = True
    for index, (of_positives, needs_sums) in enumerate(parts):
        near = by_class and of_positives
        apart = needs_sums or (near and large)
        if apart or alone:
            looks.append(_Look((index,), near and apart))
        else:
            looks[-1] = _Look((*looks[-1].parts, index), False)
        alone = needs_sums
    return looks


def _reordered(pairs: Pairs, order: Any) -> Pairs:
    items = (None if each is None else ops.take(each, order, axis=0) for each in pairs.rows)
    return Pairs(Side(*items))


class _Where(NamedTuple):
    """The tiles that are visited."""

    tiles: Tiles
    reach: Any
    """How many of the strips beyond its own each strip meets; `None` for all."""


def _near_diagonal(tiles: Tiles) -> _Where:
    """Small tiles near the diagonal, where items that lie class by class meet their own."""
    fine = tiles.finer(driver.EDGES_OF_POSITIVES[engine.is_large(tiles.count)])
    first, last = fine.strips.labels[:, 0], fine.strips.labels[:, -1]
    met = ops.count_nonzero(first[None, :] <= last[:, None], axis=1)
    own = ops.arange(first.shape[0], dtype="int32") + 1
    return _Where(fine, ops.cast(met, "int32") - own)


def _gathered(
    loss: Any, tiles: Tiles, where: _Where, indices: tuple[int, ...], known: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The sums of some stages, of all anchors."""
    stages = [loss.sums().stages[index] for index in indices]
    known = known if stages[0].needs_sums else ()
    visited, reach = where
    known = _recut(tiles, visited, known)

    def visit(block: Block) -> Any:
        compute = driver.compiled(_sums, loss, block.size())
        return (), *compute(loss, indices, *_sides(visited, block, known))

    zeros = ops.zeros_like(visited.strips.table.exact[:, 0])
    start = tuple(ops.copy(zeros) for _ in range(sum(each.number for each in stages)))
    return _recut(visited, tiles, visited.collected(visit, (), start, reach=reach)[1])


def _recut(tiles: Tiles, others: Tiles, strips: tuple[Any, ...]) -> tuple[Any, ...]:
    """What all items have, in the strips of other tiles."""
    return strips if others is tiles else tuple(others.cut(tiles.flat(each)) for each in strips)


def _gradient(
    loss: Any, tiles: Tiles, where: _Where, indices: tuple[int, ...], factors: tuple[Any, ...]
) -> Any:
    """The gradient of the sum of all anchors' costs by some parts of the slope, `(d, n)`."""
    visited, reach = where
    factors = _recut(tiles, visited, factors)

    def visit(block: Block) -> Any:
        both = block.columns_at is not None
        compute = driver.compiled(_pulls, loss, block.size())
        sides = _sides(visited, block, factors)
        of_rows, *of_columns = compute(loss, indices, *sides, both)
        return (), (of_rows,), tuple(of_columns)

    start = ops.zeros_like(visited.strips.table.exact)
    found = visited.collected(visit, (), (start,), reach=reach)[1][0]
    return visited.flat(found)[..., : tiles.count]


def _sides(tiles: Tiles, block: Block, known: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the pairs are, and what is known of the anchors on either side of a tile."""
    at = block.partners_at
    rows = tuple(tiles.take(each, block.at)[:, None] for each in known)
    columns = tuple(tiles.take(each, at)[None, :] for each in known)
    return block.anywhere(), rows, columns


def _sums(
    loss: Any, indices: tuple[int, ...], block: Block, rows: Any, columns: Any
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The sums of the anchors on both sides of a tile over the partners in it."""
    products, weights = engine.product_of(block), block.rows.weights
    row, stages = engine.row_of(block), [loss.sums().stages[index] for index in indices]

    def entries(known: Any) -> tuple[Any, ...]:
        return tuple(one for each in stages for one in each.entries(products, row, *known))

    of_rows, of_columns = entries(rows), entries(columns)
    if weights is not None:
        of_rows = tuple(row.weighed(each) for each in of_rows)
        of_columns = tuple(weights[:, None] * each for each in of_columns)
    return (
        tuple(ops.sum(each, axis=1) for each in of_rows),
        tuple(ops.sum(each, axis=0) for each in of_columns),
    )


def _pulls(
    loss: Any, indices: tuple[int, ...], block: Block, rows: Any, columns: Any, both: bool
) -> tuple[Any, ...]:
    """The gradient of a tile's rows; and that of its columns, if it is wanted."""
    products, weights = engine.product_of(block), block.rows.weights
    row = engine.row_of(block)
    slopes = [loss.sums().slopes[index] for index in indices]
    slope = sum(each.entries(products, row, rows, columns) for each in slopes)
    slope = slope if weights is None else row.weighed(weights[:, None] * slope)
    of_rows = driver.product(block.columns.table.exact, ops.transpose(slope))
    return (of_rows, driver.product(block.rows.table.exact, slope)) if both else (of_rows,)
