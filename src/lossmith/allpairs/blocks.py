"""How all pairs are cut into blocks: whole rows, or square tiles that hold every pair once."""

import math
from typing import Any, NamedTuple

from lossmith.core.backend import keras

ops = keras.ops


class Span(NamedTuple):
    """Items that follow each other: where they start, and which have not been visited before."""

    start: Any
    offsets: Any
    fresh: Any
    """Booleans; `None` if all are."""


class Block(NamedTuple):
    """Anchors and their partners."""

    rows: Span
    columns: Any = None
    """A `Span`; `None` if all are partners."""
    times: Any = 1
    """How many times its pairs count."""


class Rows:
    """Blocks of anchors that meet all partners; the last may overlap the one before."""

    def __init__(self, count: Any, partners: Any, size: Any) -> None:
        """Cut so many anchors into blocks of a size."""
        # Where its size is open it shows only here that there are no partners.
        self._blocks = least(partners, 1) * ((count + size - 1) // largest(size, 1))
        self._count, self._size = count, size

    def each(self, driver: Any, visit: Any, carry: Any) -> Any:
        """`carry = visit(block, carry)` for every block."""

        def body(i: Any, carry: Any) -> Any:
            return visit(Block(_span(i, self._size, self._count)), carry)

        return driver.loop(self._blocks, body, carry)


class Tiles:
    """Square blocks on and above the diagonal, for pairs that count the same from both sides."""

    def __init__(self, count: int, edge: int) -> None:
        """Cut the pairs of a batch with itself into tiles of an edge."""
        self._number = -(-count // edge)
        self._count, self._edge = count, edge

    def each(self, driver: Any, visit: Any, carry: Any) -> Any:
        """`carry = visit(block, carry)` for every block."""

        def row(i: Any, carry: Any) -> Any:
            rows = _span(i, self._edge, self._count)

            def tile(k: Any, carry: Any) -> Any:
                columns = _span(i + k, self._edge, self._count)
                return visit(Block(rows, columns, 1 + least(k, 1)), carry)

            return driver.loop(self._number - i, tile, carry)

        return driver.loop(self._number, row, carry)


def all_at_once(count: Any) -> Block:
    """One block of all pairs."""
    return Block(Span(0, ops.arange(count, dtype="int32"), None))


def _span(i: Any, size: Any, count: Any) -> Span:
    start, offsets = least(i * size, count - size), ops.arange(size, dtype="int32")
    divides = isinstance(count, int) and isinstance(size, int) and count % size == 0
    return Span(start, offsets, None if divides else start + offsets >= i * size)


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
