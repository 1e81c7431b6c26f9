"""Where the items of a query's own class rank in a gallery, block by block of queries.

A row of scores, larger for nearer items, is all that is ever held of a query. The gallery lies in
the order of its classes, so that the items of one class are a slice of the row and counting the
others that come nearer is one comparison over contiguous memory.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossmith import distances

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]

_BLOCK = 2**24
"""Scores that are in memory at once, per query of the block one for each item of the gallery."""
_TILE = 2**14
"""Scores that stay in the cache while the axes of their vectors are gone through."""


class Scores(Protocol):
    """Scores of queries and gallery that order the gallery as a distance does."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the scores."""

    def write(self, queries: slice, block: FloatArray) -> None:
        """Writes the scores of some queries, the larger the nearer, to `(n, M)`."""

    def slack(self, query: int, scores: FloatArray) -> FloatArray:
        """How much a score may differ from one of these, of a query, by rounding alone."""


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
        queries, gallery = queries - centre, gallery - centre
        # A power of two changes no digit, and keeps the squares within range.
        exponent = np.frexp(max(np.abs(queries).max(), np.abs(gallery).max()))[1]
        queries, gallery = np.ldexp(queries, -exponent), np.ldexp(gallery, -exponent)
        halves = 0.5 * np.einsum("md,md->m", gallery, gallery)
        self._queries = np.column_stack([queries, np.ones_like(queries[:, :1])])
        self._gallery = np.column_stack([gallery, -halves])
        self._squares = np.einsum("nd,nd->n", queries, queries)
        self._rounding = 4 * float(np.finfo(gallery.dtype).eps) * self._gallery.shape[1] ** 0.5

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the embeddings."""
        return self._gallery.dtype

    def write(self, queries: slice, block: FloatArray) -> None:
        """Writes the scores of some queries, the larger the nearer, to `(n, M)`."""
        np.matmul(self._queries[queries], self._gallery.T, out=block)

    def slack(self, query: int, scores: FloatArray) -> FloatArray:
        """The rounding of a product of D terms, from the lengths that an item there can have."""
        square = self._squares[query]
        distances_squared = np.maximum(square - 2 * scores, 0)
        return self._rounding * (square + distances_squared)


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

    def write(self, queries: slice, block: FloatArray) -> None:
        """Writes the scores of some queries, the larger the nearer, to `(n, M)`."""
        block[:] = 0
        rows, items = max(1, _TILE // block.shape[1]), min(_TILE, block.shape[1])
        memory = np.empty((rows, items))
        for row in range(0, len(block), rows):
            some = self._queries[queries][row : row + rows]
            for item in range(0, block.shape[1], items):
                tile = block[row : row + rows, item : item + items]
                terms = memory[: tile.shape[0], : tile.shape[1]]
                for axis, entries in enumerate(self._axes[:, item : item + items]):
                    np.subtract(some[:, axis, np.newaxis], entries, out=terms)
                    np.abs(terms, out=terms)
                    np.subtract(tile, terms, out=tile)

    def slack(self, query: int, scores: FloatArray) -> FloatArray:
        """None: the terms are added up in the same order for every item."""
        return np.zeros_like(scores)


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
        first: `(N,)`, the rank of the first item of the query's class, from 1.
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
) -> Ranking:
    """Ranks the items of each query's class among all of the gallery.

    An item of another class that is as near as one of the query's class, up to the rounding of the
    scores, counts as nearer.

    Args:
        scores: The scores, for a gallery in the order of its classes.
        query_classes: `(N,)`, class codes.
        gallery_classes: `(M,)`, class codes, increasing.
        query_in_gallery: `(N,)`, where each query itself is in the gallery; `None` if none is.
    """
    begins = np.searchsorted(gallery_classes, query_classes, side="left")
    ends = np.searchsorted(gallery_classes, query_classes, side="right")
    relevant = ends - begins - (query_in_gallery is not None)
    first = np.zeros(len(query_classes), dtype=np.int64)
    average_precision = np.zeros(len(query_classes))

    def rank_rows(rows: FloatArray, queries: range) -> None:
        nearer = _Nearer(rows.shape[1])
        for row, query in zip(rows, queries, strict=True):
            if relevant[query] == 0:
                continue
            own = slice(begins[query], ends[query])
            matches = row[own].copy()
            if query_in_gallery is not None:
                itself = query_in_gallery[query] - begins[query]
                matches = np.concatenate([matches[:itself], matches[itself + 1 :]])
            row[own] = -np.inf
            limits = matches - scores.slack(query, matches)
            first[query], average_precision[query] = _figures(row, limits, nearer)

    _for_each_block(scores, len(query_classes), len(gallery_classes), rank_rows)
    return Ranking(first, average_precision, relevant)


def _for_each_block(
    scores: Scores, queries: int, gallery: int, work: Callable[[FloatArray, range], None]
) -> None:
    """Has the rows of each block worked on by as many threads as there are cores."""
    at_once = min(queries, max(1, _BLOCK // gallery))
    memory = np.empty((at_once, gallery), dtype=scores.dtype)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, queries, at_once):
            block = memory[: queries - start]
            scores.write(slice(start, start + len(block)), block)
            share = -(-len(block) // (cores or 1))
            parts = [
                (block[row : row + share], range(start + row, start + len(block))[:share])
                for row in range(0, len(block), share)
            ]
            list(pool.map(lambda part: work(*part), parts))


class _Nearer:
    """Compares a row with a limit in memory that is used again."""

    def __init__(self, gallery: int) -> None:
        self._is_nearer = np.empty(gallery, dtype=bool)

    def count(self, row: FloatArray, limit: Any) -> int:
        return int(np.count_nonzero(np.greater_equal(row, limit, out=self._is_nearer)))

    def scores(self, row: FloatArray, limit: Any) -> FloatArray:
        """Those of a row that reach the limit, increasing."""
        return np.sort(row[np.greater_equal(row, limit, out=self._is_nearer)])


def _figures(others: FloatArray, limits: FloatArray, nearer: _Nearer) -> tuple[int, float]:
    """The rank of the first match, and the average precision among the first R items.

    Args:
        others: `(M,)`, the scores of the other classes; `-inf` at the rest.
        limits: `(R,)`, one per match: an item of another class from there on is nearer.
        nearer: What compares them.
    """
    relevant = len(limits)
    nearest_other = others.max()
    if limits.min() > nearest_other:
        return 1, 1.0
    nearest = limits.max()
    first = 1 + (nearer.count(others, nearest) if nearest <= nearest_other else 0)
    if first > relevant:
        return first, 0.0
    limits = np.sort(limits)[::-1]
    reach = _reach(others, limits, first - 1, nearer)
    between = nearer.scores(others, limits[reach])
    found = np.arange(1, reach + 2)
    ranks = found + len(between) - np.searchsorted(between, limits[: reach + 1], side="left")
    precisions = (found / ranks)[ranks <= relevant]
    return first, float(precisions.sum()) / relevant


def _reach(others: FloatArray, limits: FloatArray, before_first: int, nearer: _Nearer) -> int:
    """A match from which on no other has a rank within R, soon after the last one that has.

    The j-th match has rank j + (number of others nearer than it), which grows with j: doubling and
    then halving steps find the place, each with one comparison of the row.
    """
    relevant = len(limits)
    within, reach, rank = 0, 0, 1 + before_first
    while reach < relevant - 1 and rank <= relevant:
        within, reach = reach, min(2 * reach + 1, relevant - 1)
        rank = reach + 1 + nearer.count(others, limits[reach])
    while rank > relevant + relevant // 4 + 64:
        middle = (within + reach) // 2
        if middle == within:
            return within
        middle_rank = middle + 1 + nearer.count(others, limits[middle])
        if middle_rank <= relevant:
            within = middle
        else:
            reach, rank = middle, middle_rank
    return reach


def directions(vectors: FloatArray) -> FloatArray:
    """The unit vectors, with one more axis for the direction that zero vectors share."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    units = np.divide(scaled, lengths, out=scaled, where=lengths > 0)
    return np.column_stack([units, lengths[:, 0] == 0])
