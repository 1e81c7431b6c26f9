"""All pairs of a batch, a block at a time.

Every anchor of a block sees all its partners, so the formula of an anchor is written as for the
whole matrix. The engine takes the slope of a block from the loss and multiplies it out before it
goes on: the matrix of a large batch never exists. A batch so small that the differences of all its
pairs fit into a block is compared by them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lossmith.allpairs import measures, near
from lossmith.allpairs.blocks import Block, Items, Rows, Tiles, added, at_least, at_most, largest
from lossmith.allpairs.pairs import Pairs, Side
from lossmith.allpairs.row import Row, members
from lossmith.core import backend
from lossmith.core.backend import keras
from lossmith.core.reduction import divide_or_zero

ops = keras.ops
_ENTRIES = 2**18
_LARGE = 4096
"""The number of items from which more is visited near the diagonal."""
_FEWEST_ROWS = 8
_FEWEST_ITEMS = 1024
"""The batch from which symmetry pays."""

driver = backend.choose("lossmith.allpairs.drivers")


class Visits:
    """The blocks of all pairs of a loss, each visited once."""

    def __init__(self, loss: Any, pairs: Pairs, given: Any = None) -> None:
        """Prepare both sides for products."""
        self.loss, self.given, self.alone = loss, given, pairs.columns is None
        self.rows, self.columns = _items(loss.measure, pairs)
        self.count, self.partners = self.rows.number(), self.columns.number()
        features = ops.shape(self.rows.table.exact)[0]
        self.at_once = at_most(_ENTRIES, self.count, self.partners, features)
        self.symmetric = loss.symmetric and self.alone
        self._begin_with_rows = pairs.begin_with_rows
        tiled = self.symmetric and in_tiles(pairs)
        self.cut = _tiles(self.rows) if tiled else self._rows()

    def _rows(self) -> Rows:
        size = self.count
        if not self.at_once:
            size = largest(_FEWEST_ROWS, _ENTRIES // largest(self.partners, 1))
        return Rows(driver, self.rows, self.columns, size)

    def sums(self, visit: Callable[[Block], tuple[Any, ...]], start: tuple[Any, ...]) -> Any:
        """The sums over all blocks of what a visit gives."""
        if isinstance(self.cut, Tiles):
            return self.cut.sums(lambda block: (visit(block), (), ()), start)
        return self.each(self.cut, lambda block, carry: added(carry, visit(block)), start)

    def each(self, cut: Rows, visit: Callable[[Block, Any], Any], carry: Any) -> Any:
        """`carry = visit(block, carry)` for every block of whole rows."""
        if self.at_once and self.count:
            place = 0 if self._begin_with_rows else None
            return visit(Block(self.rows, self.columns, place, self.rows.ones(), 0), carry)
        return cut.each(visit, carry, self._begin_with_rows)

    def measured(self, block: Block, use: Callable[..., tuple[Any, ...]]) -> Any:
        """What is made of a block's similarities or distances `(rows, columns)`.

        Args:
            block: the anchors and their partners.
            use: `(loss, measure, product, close, block, given)` to a tuple of tensors, where
                `measure` of the product is the block; `close` are the near pairs whose differences
                were computed, `None` if there are none.
        """
        return self._made(block, _if_none_is_near, use)

    def pulled(self, block: Block, both: bool) -> Any:
        """The sums of values and counts of a block, and what the gradients are made of."""
        return self._made(block, _unless_it_is_not_a_number, _pulled, both)

    def _made(self, block: Block, plainly: Any, use: Any, *options: Any) -> Any:
        loss, given = self.loss, self.given
        if self.at_once and measures.is_distance(loss.measure):
            rows, columns = block.rows.table, block.columns.table
            every = near.All(rows.exact[:, :, None] - columns.exact[:, None, :])
            distances = measures.exact(loss.measure, every.differences)
            return use(loss, _itself, distances, every, block, given, *options)
        compute = _compiled(plainly, loss, block.size())
        some, found = compute(use, loss, block.anywhere(), given, *options)
        if some is None:
            return found

        def carefully(_: Any) -> Any:
            # Taken anew: a branch that is compiled gets copies of what it is given.
            cut = self.cut
            again = cut.tile(block.at, block.columns_at) if isinstance(cut, Tiles) else block
            return _carefully(use, loss, again, given, *options)

        return driver.switch(some, [lambda found: found, carefully], found)


def _compiled(function: Callable[..., Any], loss: Any, size: Any) -> Callable[..., Any]:
    """The function compiled, where a backend does that, unless it takes a derivative."""
    return driver.compiled(function, loss, size) if loss.has_slope else function


def product_of(block: Block) -> Any:
    """The products of a block's vectors, or their squared distances."""
    rows, columns = block.rows.table, block.columns.table
    return driver.product(ops.transpose(rows.as_row()), columns.as_column())


def _if_none_is_near(use: Any, loss: Any, block: Block, given: Any) -> tuple[Any, Any]:
    """Whether some pairs may be near (`None` for products), and what is made if none are."""
    measure, rows, columns = loss.measure, block.rows.table, block.columns.table
    product = product_of(block)
    if not measures.is_distance(measure):
        return None, use(loss, _itself, product, None, block, given)
    present = block.present()
    others = product if present is None else ops.where(present, product, np.inf)
    closest = driver.smallest(others, block.place, _offsets(block))
    some = ops.cast(measures.may_be_near(closest, rows.norms, columns.norms), "int32")
    return some, use(loss, measures.from_product, product, None, block, given)


def _unless_it_is_not_a_number(
    use: Any, loss: Any, block: Block, given: Any, both: bool
) -> tuple[Any, Any]:
    """Whether some pairs are near (`None` for products), and what is made if none are.

    A near pair makes the gradient of its row something that is not a number, which costs no look
    at the block of its own.
    """
    product = product_of(block)
    if not measures.is_distance(loss.measure):
        return None, use(loss, _itself, product, None, block, given, both)
    close = near.Unresolved(_near_pairs(product, block))
    found = use(loss, measures.from_product, product, close, block, given, both)
    return ops.cast(ops.isnan(ops.sum(found[2][0])), "int32"), found


def _near_pairs(product: Any, block: Block) -> Any:
    """Which pairs of a block are near, of two different items that count."""
    present = block.present()
    close = measures.are_near(product, block.rows.table.norms, block.columns.table.norms)
    close = close if present is None else ops.logical_and(close, present)
    return _without_itself(close, block)


def _carefully(use: Any, loss: Any, block: Block, given: Any, *options: Any) -> Any:
    """What is made of a block if the differences of its near pairs are computed."""
    measure, rows, columns = loss.measure, block.rows.table, block.columns.table
    product = product_of(block)
    close = near.found(lambda: _near_pairs(product, block))
    found = measures.from_product(measure, product)
    found = near.corrected(driver, measure, found, close, rows.exact, columns.exact)
    return use(loss, _itself, found, close, block, given, *options)


def in_tiles(pairs: Pairs) -> bool:
    """Whether pairs are of a batch so large that each is better visited from both sides."""
    return pairs.columns is None and at_least(ops.shape(pairs.rows.vectors)[0], _FEWEST_ITEMS)


def tiles_of(loss: Any, pairs: Pairs) -> Tiles:
    """The tiles of a batch with itself."""
    return _tiles(_items(loss.measure, pairs)[0])


def _tiles(items: Items) -> Tiles:
    return Tiles(driver, items, driver.edge(items.number()))


def in_one_tile(pairs: Pairs) -> bool:
    """Whether a batch is one tile, so that a program for all of it is a small one."""
    count = ops.shape(pairs.rows.vectors)[0]
    return in_tiles(pairs) and driver.edge(count) == count


def one_tile(loss: Any, pairs: Pairs) -> Block:
    """All pairs of a batch with itself."""
    items = _items(loss.measure, pairs)[0]
    return Block(items, items, 0, items.ones(), 0)


def is_large(number: Any) -> bool:
    """Whether a batch is known to have so many items that looks near the diagonal pay."""
    return at_least(number, _LARGE)


def _items(measure: measures.Name, pairs: Pairs) -> tuple[Items, Items]:
    def side(table: measures.Table, items: Side) -> Items:
        labels = items.labels
        labels = labels if len(labels.shape) == 1 else ops.transpose(labels)
        return Items(table, labels, items.weights)

    vectors = [ops.transpose(each) for each in pairs.vectors()]
    rows, columns = measures.tables(measure, vectors[0], *(vectors[1:] or [None]))
    return side(rows, pairs.rows), side(columns, pairs.partners)


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

    def visit(block: Block) -> tuple[Any]:
        weights = block.anchors()

        def found() -> Any:
            return visits.measured(block, _measure)[0]

        values = formula(found, row_of(block, visits.given))
        return (ops.stack([ops.sum(weights * each) for each in values]),)

    start = ops.zeros((parts,), dtype=visits.rows.table.exact.dtype)
    return visits.sums(visit, (start,))[0]


def evaluate(loss: Any, pairs: Pairs, gradient: bool) -> tuple[Any, tuple[Any, ...]]:
    """The value of a loss, and its gradient with respect to the embeddings of each side."""
    if gradient and loss.symmetric and in_one_tile(pairs):
        return _value_and_gradient_of_one_tile(loss, pairs)
    visits = Visits(loss, pairs, loss.prepare(pairs))
    if not gradient:
        return _value(visits), ()
    return _value_and_gradients(visits)


def _itself(_: measures.Name, found: Any) -> Any:
    return found


def _offsets(block: Block) -> Any:
    return ops.arange(ops.shape(block.counts)[0], dtype="int32")


def _without_itself(mask: Any, block: Block) -> Any:
    if block.place is None:
        return mask
    return driver.clear_diagonal(mask, block.place, _offsets(block))


def row_of(block: Block, given: Any = None) -> Row:
    """What the formula of the anchors of a block sees."""
    labels, others, weights = block.rows.labels, block.columns.labels, block.columns.weights

    def without_itself(mask: Any) -> Any:
        return _without_itself(mask, block)

    pairs = members(labels, others, weights, without_itself)
    return Row(*pairs, weights, block.counts.dtype, given)


def _measure(loss: Any, measure: Any, product: Any, *_: Any) -> tuple[Any]:
    return (measure(loss.measure, product),)


def _weighted(
    loss: Any, measure: Any, product: Any, _: Any, block: Block, given: Any
) -> tuple[Any, Any]:
    """The sum of the values of a block's anchors, and what it is to be divided by."""
    values, counts = loss.costs(measure(loss.measure, product), row_of(block, given))
    return ops.sum(block.anchors() * values), ops.sum(block.anchors() * counts)


def _pulled(
    loss: Any, measure: Any, product: Any, close: Any, block: Block, given: Any, both: bool
) -> tuple[Any, ...]:
    """What `_weighted` gives, and what the gradients of rows and columns are made of."""
    compute = _compiled(_pull, loss, block.size())
    value, count, pull = compute(loss, measure, product, block.anywhere(), given)
    return value, count, *_push(block, pull, close, both)


def _pull(loss: Any, measure: Any, product: Any, block: Block, given: Any) -> tuple[Any, Any, Any]:
    found = measure(loss.measure, product)
    value, count, slope = loss.slope(found, row_of(block, given), block.anchors())
    return value, count, measures.pull(loss.measure, slope, found)


def finished(value: Any, count: Any, loss: Any) -> Any:
    """A sum, divided by what its anchors count if the loss is an average."""
    return divide_or_zero(value, count) if loss.averaged else value


def finished_gradient(gradient: Any, count: Any, loss: Any) -> Any:
    """The gradient of a sum, as `finished` divides the sum; with one copy of it at most."""
    return gradient * divide_or_zero(1.0, count) if loss.averaged else gradient


def _value(visits: Visits) -> Any:
    zero = ops.zeros((), dtype=visits.rows.table.exact.dtype)
    value, count = visits.sums(lambda block: visits.measured(block, _weighted), (zero, zero))
    return finished(value, count, visits.loss)


def _value_and_gradients(visits: Visits) -> tuple[Any, tuple[Any, ...]]:
    loss, cut = visits.loss, visits.cut
    value, count, gradients = (
        _of_tiles(visits, cut) if isinstance(cut, Tiles) else _of_rows(visits, cut)
    )
    gradients = tuple(finished_gradient(each, count, loss) for each in gradients)
    return finished(value, count, loss), gradients


def _value_and_gradient_of_one_tile(loss: Any, pairs: Pairs) -> tuple[Any, tuple[Any, ...]]:
    count = ops.shape(pairs.rows.vectors)[0]
    plainly = _compiled(_tile, loss, (count, count))
    some, found = plainly(_unless_it_is_not_a_number, loss, pairs)
    if some is not None:
        branches = [lambda found: found, lambda _: _tile(_with_care, loss, pairs)[1]]
        found = driver.switch(some, branches, found)
    return found[0], found[1:]


def _tile(make: Any, loss: Any, pairs: Pairs) -> tuple[Any, tuple[Any, Any]]:
    """Whether what is made of a batch that is one tile is not to be used; value and gradient."""
    block, given = one_tile(loss, pairs), loss.prepare(pairs)
    some, (value, count, of_rows) = make(_pulled, loss, block, given, False)
    gradient = 2.0 * ops.transpose(block.rows.table.gradient(of_rows))
    gradient = finished_gradient(gradient, count, loss)
    return some, (finished(value, count, loss), gradient)


def _with_care(*arguments: Any) -> tuple[None, Any]:
    return None, _carefully(*arguments)


def _push(block: Block, pull: Any, close: Any, both: bool) -> tuple[Any, ...]:
    """The products of which the gradients of the rows and of the columns are made."""
    rows, columns = block.rows.table, block.columns.table
    if isinstance(close, near.All):
        steps = pull * close.differences
        of_rows = measures.as_pulls(ops.sum(steps, axis=2))
        return (of_rows, measures.as_pulls(-ops.sum(steps, axis=1))) if both else (of_rows,)
    more: list[Any] = []
    if isinstance(close, near.Unresolved):
        pull = ops.where(close.mask, np.nan, pull)
    elif close is not None:
        pull, *more = near.split(driver, pull, close, rows.exact, columns.exact, both)
    found = [driver.product(columns.as_column(), ops.transpose(pull))]
    if both:
        found.append(driver.product(rows.as_column(), pull))
    return added(found, map(measures.as_pulls, more)) if more else tuple(found)


def _of_tiles(visits: Visits, tiles: Tiles) -> tuple[Any, Any, tuple[Any, ...]]:
    """Sums of values, counts and gradients, where a tile serves the anchors of both its sides."""
    zero = ops.zeros((), dtype=visits.rows.table.exact.dtype)

    def visit(block: Block) -> Any:
        both = block.columns_at is not None
        value, count, of_rows, *of_columns = visits.pulled(block, both)
        of_rows = of_rows if both else 2.0 * of_rows
        return (value, count), (of_rows,), tuple(of_columns)

    table = tiles.strips.table
    start = ops.zeros_like(table.as_column())
    (value, count), (pulls,) = tiles.collected(visit, (zero, zero), (start,))
    return value, count, (ops.transpose(tiles.joined(table.gradient(pulls))),)


def _of_rows(visits: Visits, cut: Rows) -> tuple[Any, Any, tuple[Any, ...]]:
    """Sums of values, counts and gradients, where anchors meet all their partners at once."""
    zero = ops.zeros((), dtype=visits.rows.table.exact.dtype)
    both = not visits.symmetric
    start: tuple[Any, ...] = (zero, zero, ops.zeros_like(ops.transpose(visits.rows.table.exact)))
    if both:
        start = (*start, ops.zeros_like(visits.columns.table.as_column()))

    def visit(block: Block, carry: Any) -> Any:
        value, count, of_rows, *of_columns = visits.pulled(block, both)
        of_rows = block.rows.table.gradient(of_rows)
        own = cut.add(carry[2], block.at, ops.transpose(of_rows))
        return (*added(carry[:2], (value, count)), own, *added(carry[3:], of_columns))

    value, count, own, *others = visits.each(cut, visit, start)
    if not both:
        return value, count, (2.0 * own,)
    turned = ops.transpose(visits.columns.table.gradient(others[0]))
    return value, count, (own + turned,) if visits.alone else (own, turned)
