"""All pairs of a batch, a block of rows at a time.

Every anchor of a block sees all its partners, so the formula of an anchor is written as for the
whole matrix. The engine takes the slope of a block from the backend and multiplies it out before
it goes on: the matrix never exists, and no block is computed twice. A batch so small that the
differences of all its pairs fit into a block is compared by them.
"""

from typing import Any

from lossmith.allpairs import measures, near
from lossmith.allpairs.blocks import (
    Block,
    Rows,
    Span,
    Tiles,
    all_at_once,
    at_least,
    at_most,
    largest,
    least,
)
from lossmith.allpairs.measures import Table
from lossmith.allpairs.pairs import Pairs
from lossmith.allpairs.row import Row, members
from lossmith.core import backend
from lossmith.core.backend import keras
from lossmith.core.reduction import divide_or_zero

ops = keras.ops
_ENTRIES = 2**19
_LARGE = 4096
_FEWEST_ROWS = 8
_EDGE = 1024
_FEWEST_TILES = 4
"""How many tiles a side must have for symmetry to pay."""

driver = backend.choose("lossmith.allpairs.drivers")


class Visits:
    """The blocks of all pairs of a loss, each visited once."""

    def __init__(self, loss: Any, pairs: Pairs, given: Any = None) -> None:
        """Prepare both sides for products."""
        self.loss, self.pairs, self.given = loss, pairs, given
        columns = None if pairs.columns is None else pairs.columns.vectors
        self.rows, self.columns = measures.tables(loss.measure, pairs.rows.vectors, columns)
        self.count, self.partners = (
            ops.shape(each.vectors)[0] for each in (self.rows, self.columns)
        )
        features = ops.shape(pairs.rows.vectors)[1]
        self.at_once = at_most(_ENTRIES, self.count, self.partners, features)
        self.symmetric = loss.symmetric and pairs.columns is None
        self.tiled = self.symmetric and at_least(self.count, _FEWEST_TILES * _EDGE)

    def each(self, visit: Any, carry: Any) -> Any:
        """`carry = visit(block, carry)` for every block."""
        if self.tiled:
            return Tiles(self.count, _EDGE).each(driver, visit, carry)
        if self.at_once and self.count:
            return visit(all_at_once(self.count), carry)
        entries = _ENTRIES * 2 if at_least(self.partners, _LARGE) else _ENTRIES
        size = least(largest(_FEWEST_ROWS, entries // largest(self.partners, 1)), self.count)
        return Rows(self.count, self.partners, size).each(driver, visit, carry)

    def take(self, array: Any, span: Span | None) -> Any:
        """The rows of a span; all without one."""
        if array is None or span is None:
            return array
        return driver.take_rows(array, span.start, span.offsets)

    def tables(self, block: Block) -> tuple[Table, Table]:
        """Both sides of a block."""
        rows = Table(*(self.take(each, block.rows) for each in self.rows))
        return rows, Table(*(self.take(each, block.columns) for each in self.columns))

    def measure(self, block: Block) -> tuple[Any, near.Near | near.All | None]:
        """Similarities or distances `(rows, partners)`, and the pairs that are near."""
        measure, (rows, columns) = self.loss.measure, self.tables(block)
        if self.at_once and measures.is_distance(measure):
            every = near.All(rows.exact[:, None] - columns.exact[None, :])
            return measures.exact(measure, every.differences), every
        product = driver.product(rows.as_row, ops.transpose(columns.as_column))
        if not measures.is_distance(measure):
            return product, None
        place, offsets = self._place(block), block.rows.offsets

        def mask() -> Any:
            near_ones = measures.are_near(product, rows.norms, columns.norms)
            return _without_itself(near_ones, place, offsets)

        compute = driver.compiled(_distances, self.loss, product)
        found, closest = compute(measure, product, place, offsets)
        some = measures.may_be_near(closest, rows.norms, columns.norms)
        close = near.found(driver, some, mask)
        found = near.corrected(driver, measure, found, close, rows.exact, columns.exact)
        return found, close

    def row(self, block: Block) -> Row:
        """What the formula of the anchors of a block sees."""
        return _row(self.rows.vectors.dtype, self.given, *self._labels(block))

    def weighted(self, block: Block, found: Any) -> tuple[Any, Any]:
        """The sum of the values of a block's anchors, and what it is to be divided by."""
        weights = self.anchor_weights(block)
        return _weighted(self.loss, found, weights, self.given, *self._labels(block))

    def pull(self, block: Block, found: Any) -> tuple[Any, Any, Any]:
        """What `weighted` gives, and how the sum of the values pulls at the vectors."""
        compute = driver.compiled(_pull, self.loss, found)
        weights = self.anchor_weights(block)
        return compute(self.loss, found, weights, self.given, *self._labels(block))

    def _labels(self, block: Block) -> tuple[Any, ...]:
        partners = self.pairs.partners
        labels = self.take(self.pairs.rows.labels, block.rows)
        others = self.take(partners.labels, block.columns)
        weights = self._weights(partners.weights, block.columns)
        return labels, others, weights, self._place(block), block.rows.offsets

    def _place(self, block: Block) -> Any:
        """Where the rows are among the columns; `None` if they are other items."""
        if not self.pairs.begin_with_rows:
            return None
        start = block.rows.start
        return start if block.columns is None else start - block.columns.start

    def anchor_weights(self, block: Block) -> Any:
        """The weights of a block's rows, times those of the block; 0 for a row seen before."""
        dtype = self.rows.vectors.dtype
        weights = self._weights(self.pairs.rows.weights, block.rows)
        if weights is None:
            weights = ops.ones_like(block.rows.offsets, dtype=dtype)
        return weights * ops.cast(block.times, dtype)

    def _weights(self, weights: Any, span: Span | None) -> Any:
        taken = self.take(weights, span)
        if span is None or span.fresh is None:
            return taken
        fresh = ops.cast(span.fresh, self.rows.vectors.dtype)
        return fresh if taken is None else fresh * taken


def total(loss: Any, pairs: Pairs, formula: Any, parts: int, given: Any = None) -> Any:
    """Sums over all anchors of what a formula gives for each, `(parts,)`.

    Args:
        loss: whose measure is used.
        pairs: the anchors and their partners.
        formula: `(measured, row)` to a tuple of tensors `(rows,)`; `measured()` is the block of
            similarities or distances, which takes time only if it is asked for.
        parts: how many tensors that are.
        given: what the formula finds in `row.given`.
    """
    visits = Visits(loss, pairs, given)

    def visit(block: Block, carry: Any) -> Any:
        weights = visits.anchor_weights(block)
        values = formula(lambda: visits.measure(block)[0], visits.row(block))
        return carry + ops.stack([ops.sum(weights * each) for each in values])

    return visits.each(visit, ops.zeros((parts,), dtype=visits.rows.vectors.dtype))


def evaluate(loss: Any, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
    """The value of a loss, and its gradient with respect to the embeddings of each side."""
    visits = Visits(loss, pairs, loss.prepare(pairs))
    if not gradient:
        return _value(visits), ()
    return _value_and_gradients(visits)


def _distances(measure: measures.Name, product: Any, place: Any, offsets: Any) -> tuple[Any, Any]:
    """The distances of a block, and the smallest square of each row, that of itself aside."""
    return measures.from_product(measure, product), driver.smallest(product, place, offsets)


def _without_itself(mask: Any, place: Any, offsets: Any) -> Any:
    return mask if place is None else driver.clear_diagonal(mask, place, offsets)


def _row(
    dtype: Any, given: Any, labels: Any, partners: Any, weights: Any, place: Any, offsets: Any
) -> Row:
    groups = members(labels, partners, weights, lambda m: _without_itself(m, place, offsets))
    return Row(*groups, weights, dtype, given)


def _weighted(loss: Any, found: Any, anchors: Any, given: Any, *labels: Any) -> tuple[Any, Any]:
    values, counts = loss.anchors(found, _row(found.dtype, given, *labels))
    return ops.sum(anchors * values), ops.sum(anchors * counts)


def _pull(loss: Any, found: Any, anchors: Any, given: Any, *labels: Any) -> tuple[Any, Any, Any]:
    value, count, slope = loss.slope(found, _row(found.dtype, given, *labels), anchors)
    return value, count, measures.pull(loss.measure, slope, found)


def _finish(value: Any, count: Any, loss: Any) -> Any:
    return divide_or_zero(value, count) if loss.averaged else value


def _value(visits: Visits) -> Any:
    zero = ops.zeros((), dtype=visits.rows.vectors.dtype)

    def visit(block: Block, carry: Any) -> Any:
        value, count = visits.weighted(block, visits.measure(block)[0])
        return carry[0] + value, carry[1] + count

    value, count = visits.each(visit, (zero, zero))
    return _finish(value, count, visits.loss)


def _value_and_gradients(visits: Visits) -> tuple[Any, tuple[Any, ...]]:
    gather = _of_tiles if visits.tiled else _of_rows
    value, count, gradients = gather(visits)
    loss = visits.loss
    if loss.averaged:
        scale = divide_or_zero(1.0, count)
        gradients = tuple(each * scale for each in gradients)
    return _finish(value, count, loss), gradients


def _of_tiles(visits: Visits) -> tuple[Any, Any, tuple[Any, ...]]:
    """Sums of values, counts and gradients, where a tile serves the anchors of both its sides."""
    zero = ops.zeros((), dtype=visits.rows.vectors.dtype)

    def visit(block: Block, carry: Any) -> Any:
        found, close = visits.measure(block)
        value, count, pull = visits.pull(block, found)
        turned = ops.transpose(ops.zeros_like(visits.tables(block)[1].vectors))
        of_rows, turned = _push(visits, block, pull, close, turned)
        total = driver.add_rows(carry[2], block.rows.start, block.rows.offsets, of_rows)
        of_columns = ops.transpose(turned)
        total = driver.add_rows(total, block.columns.start, block.columns.offsets, of_columns)
        return carry[0] + value, carry[1] + count, total

    value, count, total = visits.each(visit, (zero, zero, ops.zeros_like(visits.rows.vectors)))
    return value, count, (total,)


def _of_rows(visits: Visits) -> tuple[Any, Any, tuple[Any, ...]]:
    """Sums of values, counts and gradients, where anchors meet all their partners at once."""
    zero = ops.zeros((), dtype=visits.rows.vectors.dtype)
    turned = ops.transpose(ops.zeros_like(visits.columns.vectors))
    own, symmetric = ops.zeros_like(visits.rows.vectors), visits.symmetric
    start = (zero, zero, own) if symmetric else (zero, zero, own, turned)

    def visit(block: Block, carry: Any) -> Any:
        found, close = visits.measure(block)
        value, count, pull = visits.pull(block, found)
        of_rows, of_columns = _push(visits, block, pull, close, None if symmetric else carry[3])
        own = driver.add_rows(carry[2], block.rows.start, block.rows.offsets, of_rows)
        sums = carry[0] + value, carry[1] + count
        return (*sums, own) if symmetric else (*sums, own, of_columns)

    value, count, own, *others = visits.each(visit, start)
    if symmetric:
        return value, count, (2.0 * own,)
    turned = ops.transpose(others[0])
    alone = visits.pairs.columns is None
    return value, count, (own + turned,) if alone else (own, turned)


def _push(
    visits: Visits, block: Block, pull: Any, close: near.Near | near.All | None, turned: Any
) -> tuple[Any, Any]:
    """The gradient of a block's rows, and `turned` with that of the columns added."""
    if isinstance(close, near.All):
        steps = pull[:, :, None] * close.differences
        of_columns = None if turned is None else turned - ops.transpose(ops.sum(steps, axis=0))
        return ops.sum(steps, axis=1), of_columns
    rows, columns = visits.tables(block)
    if close is None:
        if turned is not None:
            turned = driver.add_product(turned, ops.transpose(rows.vectors), pull)
        return driver.product(pull, columns.vectors), turned
    of_columns = None if turned is None else ops.zeros_like(columns.exact)
    pull, of_rows, of_columns = near.split(
        driver, pull, close, rows.exact, columns.exact, of_columns
    )
    of_rows = of_rows + ops.sum(pull, axis=1, keepdims=True) * rows.vectors
    of_rows = of_rows - driver.product(pull, columns.vectors)
    if turned is not None:
        turned = driver.add_product(turned, -ops.transpose(rows.vectors), pull)
        of_columns = of_columns + ops.sum(pull, axis=0)[:, None] * columns.vectors
        turned = turned + ops.transpose(of_columns)
    return of_rows, turned
