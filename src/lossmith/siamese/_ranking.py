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

_MANY = 128
"""Items of a class from which on a sample of a row says where to look, and no table of it."""
_HEIGHT, _STRIDE, _PLACES = 64, 16, 64
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

    def rank_rows(rows: FloatArray, queries: range) -> None:
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
            first[query], average_precision[query] = _figures(row, limits, furthest)

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


def _figures(others: FloatArray, limits: FloatArray, furthest: int) -> tuple[int, float]:
    """The rank of the first match, and the average precision among the first R items.

    The j-th match has rank j + (number of others nearer than it). Only others that come before a
    match of a rank within R matter, and they are few: what remains is to find them fast.

    Args:
        others: `(M,)`, the scores of the other classes; `-inf` at the rest.
        limits: `(R,)`, one per match: an item of another class from there on is nearer.
        furthest: The largest rank of the first match that has to be right.
    """
    relevant = len(limits)
    limits = np.sort(limits)[::-1]
    look = _by_sample if relevant >= _MANY else _by_columns
    limits, scores = look(others, limits, max(furthest, relevant))
    if not len(limits):
        return furthest + 1, 0.0
    count = np.arange(1, len(limits) + 1)
    # The scores are put between the limits, and not the other way round: mostly they are fewer.
    beaten_from = len(limits) - np.searchsorted(limits[::-1], scores, side="right")
    ranks = count + np.cumsum(np.bincount(beaten_from, minlength=len(limits)))[: len(limits)]
    within = np.searchsorted(ranks, relevant, side="right")
    return int(ranks[0]), float((count[:within] / ranks[:within]).sum()) / relevant


def _by_columns(
    others: FloatArray, limits: FloatArray, furthest: int
) -> tuple[FloatArray, FloatArray]:
    """The limits of matches of a rank up to the furthest, if there are, and what scores reach them.

    The others are laid out as a table. A column whose largest score reaches a limit has at least
    one score that does, so that few columns are left to look into.
    """
    width = len(others) // _HEIGHT
    table, rest = others[: width * _HEIGHT].reshape(_HEIGHT, width), others[width * _HEIGHT :]
    largest = table.max(axis=0)
    reaching = width - np.searchsorted(np.sort(largest), limits)
    able = np.searchsorted(np.arange(1, len(limits) + 1) + reaching, furthest, side="right")
    if able == 0:
        return limits[:0], limits[:0]
    limit = limits[able - 1]
    scores = np.sort(np.append(table[:, np.flatnonzero(largest >= limit)], rest))
    return limits[:able], scores[np.searchsorted(scores, limit) :]


def _by_sample(
    others: FloatArray, limits: FloatArray, furthest: int
) -> tuple[FloatArray, FloatArray]:
    """The limits of matches of a rank up to the furthest, if there are, and what scores reach them.

    A sample of the others says about where the rank is a little more; if it was too few, more are
    taken.
    """
    sample = np.sort(others[::_STRIDE])
    places = np.arange(_PLACES) * (len(limits) - 1) // (_PLACES - 1)
    ranks = places + 1 + _STRIDE * (len(sample) - np.searchsorted(sample, limits[places]))
    enough = furthest + furthest // 16 + _STRIDE
    place = min(int(np.searchsorted(ranks, enough)), _PLACES - 1)
    while True:
        reach = int(places[place])
        # Gathering by numbers takes half as long as by booleans.
        scores = others[np.flatnonzero(others >= limits[reach])]
        if reach + 1 + len(scores) > furthest or place == _PLACES - 1:
            return limits[: reach + 1], np.sort(scores)
        place = min(place + 4, _PLACES - 1)


def directions(vectors: FloatArray) -> FloatArray:
    """The unit vectors, with one more axis for the direction that zero vectors share."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    units = np.divide(scaled, lengths, out=scaled, where=lengths > 0)
    return np.column_stack([units, lengths[:, 0] == 0])
