"""Where the items of a query's own class rank in a gallery, block by block of queries.

A row of scores, larger for nearer items, is all that is ever held of a query. The gallery lies in
the order of its classes, so that the items of one class are a slice of the row. The others are only
parted, the R nearest from the rest; what is then sorted are R integers.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from lossmith import distances

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]

_BLOCK = 2**25
"""Scores that all threads together make at a time, per query one for each item of the gallery."""
_PART = 2**22
"""Scores that a thread ranks at a time."""
_TILE = 2**14
"""Scores that stay in the cache while the axes of their vectors are gone through."""
_limiting = threading.Lock()


class Scores(Protocol):
    """Scores of queries and gallery that order the gallery as a distance does."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the scores."""

    def write(self, queries: slice | IntArray, block: FloatArray) -> None:
        """Writes the scores of some queries, the larger the nearer, to `(n, M)`."""

    def lower(self, queries: IntArray, scores: FloatArray) -> None:
        """Lowers scores, `(n, m)`, in place, to where equal ones may lie by rounding alone."""


class ProductScores:
    """Scores that are one matrix product: `q.g - |g|^2 / 2` for the Euclidean distance.

    The cosine distance is half the square of that between unit vectors. Vectors are taken from the
    mean of the gallery, since what all of them have in common only costs digits.

    Args:
        queries: `(N, D)`, floating.
        gallery: `(M, D)`, of the same dtype.
    """

    def __init__(self, queries: FloatArray, gallery: FloatArray) -> None:
        centre = gallery.mean(axis=0, dtype=np.float64).astype(gallery.dtype)
        self._queries, self._gallery = _moved(queries, centre), _moved(gallery, centre)
        queries, gallery = self._queries[:, :-2], self._gallery[:, :-2]
        # A power of two changes no digit, and keeps the squares within range.
        largest = max(-queries.min(), queries.max(), -gallery.min(), gallery.max())
        limit = -np.finfo(gallery.dtype).minexp
        factor = np.ldexp(gallery.dtype.type(1), np.clip(-np.frexp(largest)[1], -limit, limit))
        queries *= factor
        gallery *= factor
        self._squares = np.einsum("nd,nd->n", queries, queries)
        self._queries[:, -2] = 1
        self._queries[:, -1] = -0.5 * self._squares
        self._gallery[:, -2] = -0.5 * np.einsum("md,md->m", gallery, gallery)
        self._gallery[:, -1] = 1
        self._rounding = 4 * float(np.finfo(gallery.dtype).eps) * self._gallery.shape[1] ** 0.5

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the embeddings."""
        return self._gallery.dtype

    def write(self, queries: slice | IntArray, block: FloatArray) -> None:
        """Writes the scores of some queries, the larger the nearer, to `(n, M)`."""
        np.matmul(self._queries[queries], self._gallery.T, out=block)

    def lower(self, queries: IntArray, scores: FloatArray) -> None:
        """By the rounding of a product of D terms, of the lengths that an item there can have."""
        np.minimum(scores, 0, out=scores)
        # The squares of the query's length and of its distance to the item, of which scores are
        # the negative half.
        scores *= scores.dtype.type(1 + 2 * self._rounding)
        scores -= self._rounding * self._squares[queries, np.newaxis]


def _moved(vectors: FloatArray, centre: FloatArray) -> FloatArray:
    """The vectors as seen from the centre, followed by two numbers that are yet to be set."""
    moved = np.empty((len(vectors), len(centre) + 2), dtype=vectors.dtype)
    np.subtract(vectors, centre, out=moved[:, :-2])
    return moved


class ManhattanScores:
    """Negative Manhattan distances; equal vectors have equal ones.

    Args:
        queries: `(N, D)`, floating.
        gallery: `(M, D)`, floating.
    """

    def __init__(self, queries: FloatArray, gallery: FloatArray) -> None:
        self._queries = queries.astype(np.float64, copy=False)
        self._axes = np.ascontiguousarray(gallery.T, dtype=np.float64)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64, in which the terms are added up."""
        return np.dtype(np.float64)

    def write(self, queries: slice | IntArray, block: FloatArray) -> None:
        """Writes the scores of some queries, the larger the nearer, to `(n, M)`."""
        block[:] = 0
        vectors = self._queries[queries]
        rows, items = max(1, _TILE // block.shape[1]), min(_TILE, block.shape[1])
        memory = np.empty((rows, items))
        for row in range(0, len(block), rows):
            some = vectors[row : row + rows]
            for item in range(0, block.shape[1], items):
                tile = block[row : row + rows, item : item + items]
                terms = memory[: tile.shape[0], : tile.shape[1]]
                for axis, entries in enumerate(self._axes[:, item : item + items]):
                    np.subtract(some[:, axis, np.newaxis], entries, out=terms)
                    np.abs(terms, out=terms)
                    np.subtract(tile, terms, out=tile)

    def lower(self, queries: IntArray, scores: FloatArray) -> None:
        """By nothing: the terms are added up in the same order for every item."""


def scores_of(queries: FloatArray, gallery: FloatArray, distance: distances.Name) -> Scores:
    """The scores that order the gallery as a distance of `lossmith.distances` does."""
    if distances.get(distance).name == "manhattan":
        return ManhattanScores(queries, gallery)
    if distance == "cosine":
        queries, gallery = directions(queries), directions(gallery)
    return ProductScores(queries, gallery)


@dataclass(frozen=True, eq=False)
class Ranking:
    """What the gallery gives each query.

    Attributes:
        first: `(N,)`, the rank of the first item of the query's class, from 1; of one that is
            further than what was asked for, some rank that is too.
        average_precision: `(N,)`, the average precision among the first R items.
        relevant: `(N,)`, R: the items of the query's class in the gallery, itself not counted. Of
            a query with none the other two mean nothing.
    """

    first: IntArray
    average_precision: FloatArray
    relevant: IntArray


def rank(
    scores: Scores,
    query_classes: IntArray,
    gallery_classes: IntArray,
    query_in_gallery: IntArray | None,
    furthest: int,
) -> Ranking:
    """Ranks the items of each query's class among all of the gallery.

    An item of another class that is as near as one of the query's class, up to the rounding of the
    scores, counts as nearer.

    Args:
        scores: The scores, for a gallery in the order of its classes.
        query_classes: `(N,)`, class codes.
        gallery_classes: `(M,)`, class codes, increasing.
        query_in_gallery: `(N,)`, where each query itself is in the gallery; `None` if none is.
        furthest: The largest rank of a first item that matters.
    """
    begins = np.searchsorted(gallery_classes, query_classes, side="left")
    ends = np.searchsorted(gallery_classes, query_classes, side="right")
    relevant = ends - begins - (query_in_gallery is not None)
    first = np.zeros(len(query_classes), dtype=np.int64)
    average_precision = np.zeros(len(query_classes))
    # Queries of one class are neighbours then, and so are those that have to look equally far.
    order = np.lexsort((begins, relevant))

    def rank_rows(queries: IntArray, block: FloatArray) -> None:
        matches = _taken_out(block, begins[queries], ends[queries])
        if query_in_gallery is not None:
            place = query_in_gallery[queries] - begins[queries]
            matches[np.arange(len(queries)), place] = -np.inf
        scores.lower(queries, matches)
        among = relevant[queries]
        is_match = _nearest_match(block, matches, max(furthest, int(among.max())))
        first[queries], average_precision[queries] = _figures(is_match, among)

    asking = order[np.searchsorted(relevant, 1, sorter=order) :]
    _for_each_part(scores, asking, len(gallery_classes), rank_rows)
    return Ranking(first, average_precision, relevant)


def _for_each_part(
    scores: Scores, queries: IntArray, gallery: int, work: Callable[[IntArray, FloatArray], None]
) -> None:
    """Has the scores of some queries at a time made and worked on, by a thread for each core.

    A thread makes its product alone: those of a BLAS go on waiting for another product at full
    load, and would be in the way of what is done with the scores.
    """
    cores = _cores()
    share = -(-len(queries) // cores)
    at_once = max(1, min(_BLOCK // (cores * gallery), share))
    rows = max(1, _PART // gallery)
    free: SimpleQueue[FloatArray] = SimpleQueue()
    for _ in range(cores):
        free.put(np.empty((at_once, gallery), dtype=scores.dtype))

    def visit(start: int) -> None:
        some, memory = queries[start : start + at_once], free.get()
        try:
            block = memory[: len(some)]
            scores.write(some, block)
            for row in range(0, len(some), rows):
                work(some[row : row + rows], block[row : row + rows])
        finally:
            free.put(memory)

    with _one_thread_for_a_product(), ThreadPoolExecutor(cores) as pool:
        for _ in pool.map(visit, range(0, len(queries), at_once)):
            pass


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _one_thread_for_a_product() -> Iterator[None]:
    """One at a time: the limit is the whole process', and two would restore each other's."""
    with _limiting, threadpool_limits(1, user_api="blas"):
        yield


def _taken_out(block: FloatArray, begins: IntArray, ends: IntArray) -> FloatArray:
    """The scores of the items of each query's own class, `(n, m)`, `-inf` where there are no more.

    In the block they become `-inf`, which leaves the others.
    """
    matches = np.empty((len(block), (ends - begins).max()), dtype=block.dtype)
    changes = np.flatnonzero(np.diff(begins)) + 1
    for start, stop in pairwise([0, *changes.tolist(), len(begins)]):
        own = block[start:stop, begins[start] : ends[start]]
        matches[start:stop, : own.shape[1]] = own
        matches[start:stop, own.shape[1] :] = -np.inf
        own[...] = -np.inf
    return matches


def _nearest_match(others: FloatArray, limits: FloatArray, count: int) -> npt.NDArray[np.bool_]:
    """Whether each of the nearest items, in order, is a match, `(n, count)` or fewer.

    Scores are not above 0, but by rounding, so that their bits, read as a number without a sign,
    are the smaller the nearer the item is. The last bit is put to another use: it tells matches,
    so that limits are rounded down by as little as a number can be, and lets others come first.

    Args:
        others: `(n, M)`, the scores of the other classes, `-inf` at the rest; in disorder after.
        limits: `(n, m)`, one per match, not above 0: an item of another class from there on is
            nearer.
        count: How many are asked for.
    """
    keys = others.view(f"u{others.itemsize}")
    sign, last = keys.dtype.type(1 << (8 * others.itemsize - 1)), keys.dtype.type(1)
    count = min(count, keys.shape[1])
    keys.partition(count - 1, axis=1)
    nearest = np.empty((len(keys), count + limits.shape[1]), dtype=keys.dtype)
    np.bitwise_and(keys[:, :count], ~last, out=nearest[:, :count])
    np.bitwise_or(limits.view(keys.dtype), sign | last, out=nearest[:, count:])
    nearest.partition(count - 1, axis=1)
    nearest = nearest[:, :count]
    nearest.sort(axis=1)
    return (nearest.astype(np.uint8) & 1).view(bool)


def _figures(is_match: npt.NDArray[np.bool_], relevant: IntArray) -> tuple[IntArray, FloatArray]:
    """The rank of the first match, and the average precision among the first R, of each row."""
    width = is_match.shape[1]
    first = np.where(is_match.any(axis=1), is_match.argmax(axis=1), width) + 1
    counts = np.arange(1.0, width + 1)
    inverse_ranks = 1 / counts
    precisions = np.empty(len(is_match))
    for row, (matches, asked) in enumerate(zip(is_match, relevant.tolist(), strict=True)):
        (places,) = matches[:asked].nonzero()
        precisions[row] = inverse_ranks.take(places) @ counts[: len(places)]
    return first, precisions / relevant


def directions(vectors: FloatArray) -> FloatArray:
    """The unit vectors, with one more axis for the direction that zero vectors share."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    units = np.divide(scaled, lengths, out=scaled, where=lengths > 0)
    return np.column_stack([units, lengths[:, 0] == 0])
