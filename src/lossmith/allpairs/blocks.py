"""How all pairs are cut into blocks: whole rows, or square tiles that hold every pair once.

Items lie along the last axis: vectors are `(d, n)` and what all items have is `(..., n)`, so that
products read and write whole vector registers of items.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from lossmith.allpairs.measures import Table
from lossmith.core.backend import keras

ops = keras.ops
_FEW_STRIPS = 4
"""Up to how many strips the tiles are written out, instead of a loop."""


class Items(NamedTuple):
    """Items of one side of the pairs, ready for products."""

    table: Table
    labels: Any
    """Class ids `(n,)`, or which of L labels each item has `(L, n)`."""
    weights: Any
    """Weights `(n,)`; `None` if every item counts once."""

    def number(self) -> Any:
        """How many they are."""
        return ops.shape(self.table.exact)[-1]

    def ones(self) -> Any:
        """A one for each, `(n,)`."""
        return ops.ones_like(self.table.exact[0])

    def map(self, function: Callable[[Any], Any]) -> "Items":
        """The items with a function applied to every array."""
        weights = None if self.weights is None else function(self.weights)
        return Items(self.table.map(function), function(self.labels), weights)

    def present(self) -> Any:
        """Which items count, `(n,)`."""
        if self.weights is None:
            return ops.ones_like(self.table.exact[0], dtype="bool")
        return ops.not_equal(self.weights, 0)

    def filled(self, missing: int) -> "Items":
        """With copies of the last item added, of weight 0."""
        if not missing:
            return self
        weights = self.ones() if self.weights is None else self.weights

        def fill(array: Any) -> Any:
            return ops.concatenate([array, ops.repeat(array[..., -1:], missing, axis=-1)], axis=-1)

        filled = self._replace(weights=None).map(fill)
        return filled._replace(weights=ops.pad(weights, [(0, missing)]))


class Block(NamedTuple):
    """Anchors and their partners."""

    rows: Items
    columns: Items
    place: Any
    """Where the rows are among the columns; `None` if no row meets itself."""
    counts: Any
    """How many times the pairs of a row count: `(rows,)`."""
    at: Any
    """Where the rows are: the first of them, or the number of their strip."""
    columns_at: Any = None
    """The number of the columns' strip, if their share is to be counted, too."""

    @property
    def partners_at(self) -> Any:
        """The number of the strip that the columns are."""
        return self.at if self.columns_at is None else self.columns_at

    def anywhere(self) -> "Block":
        """The block without where it is: to code that is compiled, all of a kind are the same."""
        return self._replace(at=None, columns_at=None)

    def size(self) -> tuple[Any, Any]:
        """How many anchors and how many partners."""
        return self.rows.number(), self.columns.number()

    def anchors(self) -> Any:
        """The weights of the anchors, times how often their pairs count."""
        return self.counts if self.rows.weights is None else self.rows.weights * self.counts

    def present(self) -> Any:
        """Which pairs are of two items that count; `None` if all are."""
        if self.rows.weights is None and self.columns.weights is None:
            return None
        rows, columns = (each.present() for each in (self.rows, self.columns))
        return ops.logical_and(rows[:, None], columns[None, :])


Visit = Callable[[Block, Any], Any]


class Rows:
    """Blocks of anchors that meet all partners; the last may overlap the one before."""

    def __init__(self, driver: Any, rows: Items, columns: Items, size: Any) -> None:
        """Cut the anchors into blocks of a size."""
        self._driver, self._rows, self._columns = driver, rows, columns
        self._count, partners = rows.number(), columns.number()
        self._size = least(size, self._count)
        # Where its size is open it shows only here that there are no partners.
        number = (self._count + self._size - 1) // largest(self._size, 1)
        self._number = least(partners, 1) * number

    def each(self, visit: Visit, carry: Any, begin_with_rows: bool) -> Any:
        """`carry = visit(block, carry)` for every block."""

        def body(i: Any, carry: Any) -> Any:
            start = least(i * self._size, self._count - self._size)
            rows = self._rows.map(lambda each: self._take(each, start))
            # The last block counts no row that another has counted.
            fresh = start + self._offsets() >= i * self._size
            place = start if begin_with_rows else None
            counts = ops.cast(fresh, rows.table.exact.dtype)
            return visit(Block(rows, self._columns, place, counts, start), carry)

        return self._driver.loop(self._number, body, carry)

    def add(self, total: Any, start: Any, rows: Any) -> Any:
        """What all anchors have, `(n, d)`, with the share of a block added."""
        return self._driver.add_rows(total, start, self._offsets(), rows)

    def _take(self, array: Any, start: Any) -> Any:
        return self._driver.take_items(array, start, self._offsets())

    def _offsets(self) -> Any:
        return ops.arange(self._size, dtype="int32")


class Tiles:
    """Square blocks on and above the diagonal, for pairs that count the same from both sides.

    The items are cut into strips of equal length; the last is filled with copies of weight 0.
    """

    def __init__(self, driver: Any, items: Items, edge: int) -> None:
        """Cut the pairs of a batch with itself into tiles of an edge."""
        self._driver, self._edge = driver, edge
        self.count = items.number()
        self._number = -(-self.count // edge)
        self._items = items.filled(self._number * edge - self.count)
        self.strips = self._items.map(self.cut)

    def finer(self, edge: int) -> "Tiles":
        """The same pairs in smaller tiles, of an edge that divides this one."""
        return Tiles(self._driver, self._items, edge)

    def cut(self, array: Any) -> Any:
        """What every item has, `(..., n)`, in strips."""
        array = ops.reshape(array, (*array.shape[:-1], self._number, self._edge))
        return array if len(array.shape) == 2 else ops.transpose(array, (1, 0, 2))

    def flat(self, strips: Any) -> Any:
        """The strips one after the other, with what they are filled with."""
        if len(strips.shape) == 3:
            strips = ops.transpose(strips, (1, 0, 2))
        return ops.reshape(strips, (*strips.shape[:-2], self._number * self._edge))

    def joined(self, strips: Any) -> Any:
        """What the items have, `(..., n)`."""
        return self.flat(strips)[..., : self.count]

    def sums(self, visit: "TileVisit", totals: Any) -> Any:
        """Totals over all tiles."""
        return self.collected(visit, totals, ())[0]

    def collected(
        self,
        visit: "TileVisit",
        totals: Any,
        strips: Any,
        join: "Join | None" = None,
        reach: Any = None,
    ) -> tuple[Any, Any]:
        """Totals over all tiles, and what every item has from the tiles that it is in.

        Args:
            visit: a block to what it adds to the totals, and what its rows and its columns get; on
                the diagonal columns get nothing.
            totals: the numbers to start from.
            strips: what the items have at the start, in strips, which may be changed in place.
            join: what items have and what they get to what they have then; a sum by default.
            reach: how many of the strips beyond it each strip meets, if not all: `(strips,)`.
        """
        join = join or added

        def row(i: Any, carry: Any) -> Any:
            totals, strips = carry
            rows = self.strips.map(lambda each: self.take(each, i))
            more, own, *_ = visit(self._tile(rows, i))

            def beyond(k: Any, carry: Any) -> Any:
                totals, own, strips = carry
                j = i + k + 1
                more, of_rows, of_columns = visit(self._tile(rows, i, j))
                return added(totals, more), join(own, of_rows), put(strips, j, of_columns)

            start = added(totals, more), own, strips
            if reach is None:
                totals, own, strips = self._loop(self._number - i - 1, beyond, start)
            else:
                totals, own, strips = self._driver.loop(self.take(reach, i), beyond, start)
            return totals, put(strips, i, own)

        def put(strips: Any, i: Any, new: Any) -> Any:
            known = tuple(self.take(each, i) for each in strips)
            both = zip(strips, join(known, new), strict=True)
            return tuple(self._driver.put_strip(each, i, one) for each, one in both)

        return self._loop(self._number, row, (totals, strips))

    def take(self, strips: Any, i: Any) -> Any:
        """A strip."""
        return self._driver.take_strip(strips, i)

    def _loop(self, count: Any, body: Any, carry: Any) -> Any:
        if self._number > _FEW_STRIPS:
            return self._driver.loop(count, body, carry)
        for i in range(count):
            carry = body(i, carry)
        return carry

    def tile(self, i: Any, j: Any = None) -> Block:
        """The tile of two strips, or of one with itself."""
        return self._tile(self.strips.map(lambda each: self.take(each, i)), i, j)

    def _tile(self, rows: Items, i: Any, j: Any = None) -> Block:
        if j is None:
            return Block(rows, rows, 0, rows.ones(), i)
        columns = self.strips.map(lambda each: self.take(each, j))
        return Block(rows, columns, None, 2.0 * rows.ones(), i, j)


TileVisit = Callable[[Block], tuple[Any, ...]]
Join = Callable[[Any, Any], Any]


def added(known: Any, new: Any) -> Any:
    """The sums of two tuples, one by one."""
    return tuple(a + b for a, b in zip(known, new, strict=True))


def least(a: Any, b: Any) -> Any:
    """The smaller number, of integers an integer."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else ops.minimum(a, b)


def largest(a: Any, b: Any) -> Any:
    """The larger number, of integers an integer."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else ops.maximum(a, b)


def at_most(most: int, *factors: Any) -> bool:
    """Whether a product is known, and not too large."""
    return all(isinstance(each, int) for each in factors) and math.prod(factors) <= most


def at_least(a: Any, b: int) -> bool:
    """Whether a number is known, and as large."""
    return isinstance(a, int) and a >= b
