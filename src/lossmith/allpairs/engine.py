"""All pairs of a batch, a block of rows at a time.

Every anchor of a block sees all its partners, so the formula of an anchor is written as for the
whole matrix. The engine takes the slope of a block from the backend and multiplies it out before
it goes on: the matrix never exists, and no block is computed twice. A batch so small that the
differences of all its pairs fit into a block is compared by them.
"""

import math
from typing import Any, NamedTuple

from lossmith.allpairs import measures, near
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

driver = backend.choose("lossmith.allpairs.drivers")


class Block(NamedTuple):
    """A block of rows: where it starts and which of its rows have not been visited before."""

    start: Any
    offsets: Any
    fresh: Any


class Visits:
    """The blocks of all pairs of a loss, each visited once."""

    def __init__(self, loss: Any, pairs: Pairs, given: Any = None) -> None:
        """Prepare both sides for products."""
        self.loss, self.pairs, self.given = loss, pairs, given
        columns = None if pairs.columns is None else pairs.columns.vectors
        self.rows, self.columns = measures.tables(loss.measure, pairs.rows.vectors, columns)
        self.count, self.partners = (ops.shape(each.vectors)[0] for each in self._sides())
        features = ops.shape(pairs.rows.vectors)[1]
        self.at_once = _at_most(_ENTRIES, self.count, self.partners, features)
        entries = _ENTRIES * 2 if _at_least(self.partners, _LARGE) else _ENTRIES
        rows = _largest(_FEWEST_ROWS, entries // _largest(self.partners, 1))
        self.size = _least(rows, self.count)
        self.offsets = ops.arange(self.size, dtype="int32")
        # Where its size is open it shows only here that there are no partners.
        some = _least(self.partners, 1)
        self.blocks = some * ((self.count + self.size - 1) // _largest(self.size, 1))

    def _sides(self) -> tuple[Table, Table]:
        return self.rows, self.columns

    def each(self, visit: Any, carry: Any) -> Any:
        """`carry = visit(block, carry)` for every block; the last may overlap the one before."""
        if self.at_once and self.count:
            return visit(Block(0, self.offsets, self.offsets >= 0), carry)

        def body(i: Any, carry: Any) -> Any:
            start = _least(i * self.size, self.count - self.size)
            return visit(Block(start, self.offsets, start + self.offsets >= i * self.size), carry)

        return driver.loop(self.blocks, body, carry)

    def take(self, array: Any, block: Block) -> Any:
        """The rows of a block."""
        return None if array is None else driver.take_rows(array, block.start, block.offsets)

    def measure(self, block: Block) -> tuple[Any, near.Near | near.All | None]:
        """Similarities or distances `(rows, partners)`, and the pairs that are near."""
        measure, columns = self.loss.measure, self.columns
        if self.at_once and measures.is_distance(measure):
            close = near.All(self.rows.exact[:, None] - columns.exact[None, :])
            return measures.exact(measure, close.differences), close
        rows = Table(*(self.take(each, block) for each in self.rows))
        product = driver.product(rows.vectors, ops.transpose(columns.vectors))
        if not measures.is_distance(measure):
            return product, None
        compute = driver.compiled(_distances, self.loss, product)
        found, close = compute(
            measure, product, rows.norms, columns.norms, self._place(block), block.offsets
        )
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
        labels = self.take(self.pairs.rows.labels, block)
        return labels, partners.labels, partners.weights, self._place(block), block.offsets

    def _place(self, block: Block) -> Any:
        """Where the rows are among the columns; `None` if they are other items."""
        return block.start if self.pairs.begin_with_rows else None

    def anchor_weights(self, block: Block) -> Any:
        """The weights of a block's rows; 0 where a row has been visited before."""
        fresh = ops.cast(block.fresh, self.rows.vectors.dtype)
        weights = self.take(self.pairs.rows.weights, block)
        return fresh if weights is None else fresh * weights


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


def _distances(
    measure: measures.Name, product: Any, rows: Any, columns: Any, place: Any, offsets: Any
) -> tuple[Any, near.Near]:
    found, mask = measures.from_product(measure, product, rows, columns)
    return found, near.found(_without_itself(mask, place, offsets))


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
    loss, alone = visits.loss, visits.pairs.columns is None
    symmetric = loss.symmetric and alone
    zero = ops.zeros((), dtype=visits.rows.vectors.dtype)
    turned = ops.transpose(ops.zeros_like(visits.columns.vectors))
    own = ops.zeros_like(visits.rows.vectors)
    start = (zero, zero, own) if symmetric else (zero, zero, own, turned)

    def visit(block: Block, carry: Any) -> Any:
        found, close = visits.measure(block)
        value, count, pull = visits.pull(block, found)
        of_rows, of_columns = _push(visits, block, pull, close, None if symmetric else carry[3])
        own = driver.add_rows(carry[2], block.start, block.offsets, of_rows)
        sums = carry[0] + value, carry[1] + count
        return (*sums, own) if symmetric else (*sums, own, of_columns)

    value, count, own, *others = visits.each(visit, start)
    scale = divide_or_zero(1.0, count) if loss.averaged else ops.ones_like(count)
    gradients = [own * (2.0 * scale)] if symmetric else [own * scale]
    if not symmetric:
        turned = ops.transpose(others[0]) * scale
        gradients = [gradients[0] + turned] if alone else [gradients[0], turned]
    return _finish(value, count, loss), tuple(gradients)


def _push(
    visits: Visits, block: Block, pull: Any, close: near.Near | near.All | None, turned: Any
) -> tuple[Any, Any]:
    """The gradient of a block's rows, and `turned` with that of the columns added."""
    if isinstance(close, near.All):
        steps = pull[:, :, None] * close.differences
        of_columns = None if turned is None else turned - ops.transpose(ops.sum(steps, axis=0))
        return ops.sum(steps, axis=1), of_columns
    rows = Table(*(visits.take(each, block) for each in visits.rows))
    columns = visits.columns
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


def _least(a: Any, b: Any) -> Any:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else ops.minimum(a, b)


def _largest(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else ops.maximum(a, b)


def _at_most(most: int, *factors: Any) -> bool:
    """Whether a product is known, and not too large."""
    return all(isinstance(each, int) for each in factors) and math.prod(factors) <= most


def _at_least(a: Any, b: int) -> bool:
    return isinstance(a, int) and a >= b
