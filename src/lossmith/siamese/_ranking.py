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

    def slack(self, queries: IntArray, scores: FloatArray) -> FloatArray:
        """How much a score may differ from one of these, `(n, m)`, by rounding alone."""


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

    def slack(self, queries: IntArray, scores: FloatArray) -> FloatArray:
        """The rounding of a product of D terms, from the lengths that an item there can have."""
        squares = self._squares[queries][:, np.newaxis]
        distances_squared = np.maximum(squares - 2 * scores, 0)
        return self._rounding * (squares + distances_squared)


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

    def slack(self, queries: IntArray, scores: FloatArray) -> FloatArray:
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
    itself = np.full(len(begins), -1) if query_in_gallery is None else query_in_gallery
    own = _Own(begins, ends, itself, ends - begins - (query_in_gallery is not None))
    first = np.zeros(len(query_classes), dtype=np.int64)
    average_precision = np.zeros(len(query_classes))

    def rank_rows(block: _Block) -> None:
        few = np.flatnonzero((block.own.relevant > 0) & (block.own.relevant < _MANY))
        if len(few):
            queries = block.queries[few]
            matches = block.matches_taken_out(few)
            limits = matches - scores.slack(queries, matches)
            first[queries], average_precision[queries] = _by_columns(block, few, limits, furthest)
        for row in np.flatnonzero(block.own.relevant >= _MANY):
            query = block.queries[row]
            own_scores, others = block.taken_out(row)
            limits = own_scores - scores.slack(block.queries[[row]], own_scores[np.newaxis])[0]
            first[query], average_precision[query] = _by_sample(
                others, np.sort(limits)[::-1], furthest
            )

    _for_each_block(scores, own, len(gallery_classes), rank_rows)
    return Ranking(first, average_precision, own.relevant)


@dataclass(frozen=True, eq=False)
class _Own:
    """The items of their own class, for some queries.

    Attributes:
        begins, ends: `(n,)`, where they are in the gallery.
        itself: `(n,)`, where the query itself is; -1 if it is not there.
        relevant: `(n,)`, how many they are without it.
    """

    begins: IntArray
    ends: IntArray
    itself: IntArray
    relevant: IntArray

    def __getitem__(self, queries: slice) -> "_Own":
        parts = (self.begins, self.ends, self.itself, self.relevant)
        return _Own(*(each[queries] for each in parts))


@dataclass(frozen=True, eq=False)
class _Block:
    """The scores of some queries.

    Attributes:
        queries: `(n,)`, their numbers.
        own: The items of their own classes.
        scores: `(n, M)`, and `-inf` up to a multiple of `_HEIGHT`.
    """

    queries: IntArray
    own: _Own
    scores: FloatArray

    def __getitem__(self, rows: slice) -> "_Block":
        return _Block(self.queries[rows], self.own[rows], self.scores[rows])

    def matches_taken_out(self, rows: IntArray) -> FloatArray:
        """The scores of all own items of some queries, `(n, m)`, `-inf` where there are no more.

        In the block they become `-inf`, which leaves the others.
        """
        begins, ends, itself = (
            each[rows, np.newaxis] for each in (self.own.begins, self.own.ends, self.own.itself)
        )
        places = begins + np.arange((ends - begins).max())
        row, step = np.nonzero(places < ends)
        column = places[row, step]
        matches = np.full(places.shape, -np.inf, dtype=self.scores.dtype)
        matches[row, step] = self.scores[rows[row], column]
        matches[places == itself] = -np.inf
        self.scores[rows[row], column] = -np.inf
        return matches

    def taken_out(self, row: np.integer[Any]) -> tuple[FloatArray, FloatArray]:
        """The scores of all own items of a query, and those of the others."""
        begin, end = self.own.begins[row], self.own.ends[row]
        others = self.scores[row]
        matches = others[begin:end].copy()
        others[begin:end] = -np.inf
        if self.own.itself[row] >= 0:
            matches = np.delete(matches, self.own.itself[row] - begin)
        return matches, others


def _for_each_block(
    scores: Scores, own: _Own, gallery: int, work: Callable[[_Block], None]
) -> None:
    """Has the rows of each block worked on by as many threads as there are cores."""
    queries = len(own.begins)
    at_once = min(queries, max(1, _BLOCK // gallery))
    memory = np.empty((at_once, -(-gallery // _HEIGHT) * _HEIGHT), dtype=scores.dtype)
    memory[:, gallery:] = -np.inf
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, queries, at_once):
            numbers = np.arange(start, min(start + at_once, queries))
            block = _Block(numbers, own[start : start + at_once], memory[: len(numbers)])
            scores.write(slice(start, start + len(numbers)), block.scores[:, :gallery])
            share = -(-len(numbers) // (cores or 1))
            parts = [block[row : row + share] for row in range(0, len(numbers), share)]
            list(pool.map(work, parts))


def _by_columns(
    block: _Block, rows: IntArray, limits: FloatArray, furthest: int
) -> tuple[IntArray, FloatArray]:
    """The rank of the first match, and the average precision, of queries with few matches.

    The j-th match has rank j + (number of others nearer than it). Only others that come before a
    match of a rank that matters do, and they are few. The scores of a query are laid out as a
    table. A column whose largest score reaches a limit has at least one score that does, so that
    few columns are left to look into.

    Args:
        block: The scores.
        rows: `(n,)`, the rows of the queries.
        limits: `(n, m)`, one per match: an item of another class from there on is nearer.
        furthest: The largest rank of the first match that has to be right.
    """
    limits = -np.sort(-limits, axis=1)
    relevant = block.own.relevant[rows, np.newaxis]
    count = np.arange(1, limits.shape[1] + 1)
    table = block.scores.reshape(len(block.scores), _HEIGHT, -1)
    maxima = np.empty((len(rows), table.shape[2]), dtype=table.dtype)
    for row, largest in zip(rows, maxima, strict=True):
        table[row].max(axis=0, out=largest)
    able = _able(limits, maxima, np.maximum(furthest, relevant)) & (count <= relevant)
    last = able.sum(axis=1)
    lowest = np.where(last > 0, limits[np.arange(len(rows)), np.maximum(last, 1) - 1], np.inf)

    query, column = np.nonzero(maxima >= lowest[:, np.newaxis])
    found = table[rows[query], :, column]
    entry, place = np.nonzero(found >= lowest[query, np.newaxis])
    query, score = query[entry], found[entry, place]

    beaten_from = (score[:, np.newaxis] < limits[query]).sum(axis=1)
    nearer = np.bincount(query * len(count) + beaten_from, minlength=limits.size)
    ranks = count + np.cumsum(nearer.reshape(limits.shape), axis=1)
    precision = np.where(able & (ranks <= relevant), count / ranks, 0.0)
    first = np.where(last > 0, ranks[:, 0], furthest + 1)
    return first, precision.sum(axis=1) / relevant[:, 0]


def _able(limits: FloatArray, maxima: FloatArray, furthest: IntArray) -> npt.NDArray[np.bool_]:
    """Which matches may have a rank up to the furthest, `(n, m)`, by the columns that reach them.

    It is the first ones: the j-th one may, if fewer columns than `furthest - j + 1` reach it.
    """
    columns = maxima.shape[1]
    place = columns - 1 - furthest + np.arange(1, limits.shape[1] + 1)
    # What is beyond the last column is beyond the last match, and of no meaning.
    inside = np.clip(place, 0, columns - 1)
    reached = np.take_along_axis(np.sort(maxima, axis=1), inside, axis=1)
    return (place < 0) | (limits > reached)


def _by_sample(others: FloatArray, limits: FloatArray, furthest: int) -> tuple[int, float]:
    """The rank of the first match, and the average precision, of a query with many matches.

    Args:
        others: `(M,)`, the scores of the other classes; `-inf` at the rest.
        limits: `(R,)`, one per match, decreasing.
        furthest: The largest rank of the first match that has to be right.
    """
    relevant = len(limits)
    limits, scores = _reached(others, limits, max(furthest, relevant))
    count = np.arange(1, len(limits) + 1)
    # The scores are put between the limits, and not the other way round: mostly they are fewer.
    beaten_from = len(limits) - np.searchsorted(limits[::-1], scores, side="right")
    ranks = count + np.cumsum(np.bincount(beaten_from, minlength=len(limits)))[: len(limits)]
    within = np.searchsorted(ranks, relevant, side="right")
    return int(ranks[0]), float((count[:within] / ranks[:within]).sum()) / relevant


def _reached(
    others: FloatArray, limits: FloatArray, furthest: int
) -> tuple[FloatArray, FloatArray]:
    """The limits of all matches of a rank up to the furthest, and the scores that reach them.

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
