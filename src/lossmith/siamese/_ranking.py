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


class Scores(Protocol):
    """Scores of queries and gallery that order the gallery as a distance does."""

    def block(self, queries: slice) -> FloatArray:
        """`(n, M)`, the scores of some queries: the nearer, the larger."""

    def slack(self, query: int, scores: FloatArray) -> FloatArray:
        """How much a score may differ from one of these, of a query, by rounding alone."""


class ProductScores:
    """Scores that are one matrix product: `q.g - |g|^2 / 2` for the Euclidean distance.

    For the cosine distance the same is done to unit vectors. Vectors are taken from the mean of
    the gallery, since what all of them have in common only costs digits.

    Args:
        queries: `(N, D)`, floating.
        gallery: `(M, D)`, of the same dtype.
        is_cosine: Whether lengths are left out of account.
    """

    def __init__(self, queries: FloatArray, gallery: FloatArray, is_cosine: bool) -> None:
        if is_cosine:
            queries, gallery = directions(queries), directions(gallery)
        centre = gallery.mean(axis=0, dtype=np.float64).astype(gallery.dtype)
        queries, gallery = queries - centre, gallery - centre
        halves = 0.5 * np.einsum("md,md->m", gallery, gallery)
        self._queries = np.column_stack([queries, np.ones_like(queries[:, :1])])
        self._gallery = np.column_stack([gallery, -halves])
        self._squares = np.einsum("nd,nd->n", queries, queries)
        self._rounding = 4 * float(np.finfo(gallery.dtype).eps) * self._gallery.shape[1] ** 0.5

    def block(self, queries: slice) -> FloatArray:
        """`(n, M)`, the scores of some queries: the nearer, the larger."""
        return self._queries[queries] @ self._gallery.T

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
        self._queries, self._gallery = queries, gallery

    def block(self, queries: slice) -> FloatArray:
        """`(n, M)`, the scores of some queries: the nearer, the larger."""
        from sklearn.metrics.pairwise import manhattan_distances

        return -manhattan_distances(self._queries[queries], self._gallery)

    def slack(self, query: int, scores: FloatArray) -> FloatArray:
        """None: the terms are added up in the same order for every item."""
        return np.zeros_like(scores)


def scores_of(queries: FloatArray, gallery: FloatArray, distance: distances.Name) -> Scores:
    """The scores that order the gallery as a distance of `lossmith.distances` does."""
    if distances.get(distance).name == "manhattan":
        return ManhattanScores(queries, gallery)
    return ProductScores(queries, gallery, is_cosine=distance == "cosine")


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
            own = row[begins[query] : ends[query]]
            if query_in_gallery is None:
                matches = np.sort(own)[::-1]
            else:
                own[query_in_gallery[query] - begins[query]] = -np.inf
                matches = np.sort(own)[:0:-1]
            own[:] = -np.inf
            limits = matches - scores.slack(query, matches)
            first[query], average_precision[query] = _figures(row, limits, nearer)

    _for_each_block(scores, len(query_classes), len(gallery_classes), rank_rows)
    return Ranking(first, average_precision, relevant)


def _for_each_block(
    scores: Scores, queries: int, gallery: int, work: Callable[[FloatArray, range], None]
) -> None:
    """Has the rows of each block worked on by as many threads as there are cores."""
    at_once = max(1, _BLOCK // gallery)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, queries, at_once):
            block = scores.block(slice(start, start + at_once))
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

    The j-th match has rank j + (number of others nearer than it), which grows with j. So only the
    matches up to the first one whose rank is beyond R matter, and the others nearer than that one.

    Args:
        others: `(M,)`, the scores of the other classes; `-inf` at the rest.
        limits: `(R,)`, decreasing: an item of another class from there on is nearer than the match.
        nearer: What compares them.
    """
    relevant = len(limits)
    reach, count = 0, nearer.count(others, limits[0])
    first = 1 + count
    while reach < relevant - 1 and reach + 1 + count <= relevant:
        reach = min(2 * reach + 1, relevant - 1)
        count = nearer.count(others, limits[reach])
    found = np.arange(1, reach + 2)
    between = nearer.scores(others, limits[reach])
    ranks = found + len(between) - np.searchsorted(between, limits[: reach + 1], side="left")
    precisions = (found / ranks)[ranks <= relevant]
    return first, float(precisions.sum()) / relevant


def directions(vectors: FloatArray) -> FloatArray:
    """The unit vectors, with one more axis for the direction that zero vectors share."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    units = np.divide(scaled, lengths, out=scaled, where=lengths > 0)
    return np.column_stack([units, lengths[:, 0] == 0])
