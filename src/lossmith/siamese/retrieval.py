"""How well embeddings find items of the same class: recall@k and MAP@R, exactly.

A query's neighbours are ordered by distance, itself left out. Nothing of the size of all pairs is
kept: blocks of queries are compared with the gallery one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith import distances
from lossmith.siamese._ranking import FloatArray, IntArray, rank, scores_of
from lossmith.siamese._resampling import Variety, check_intervals, interval
from lossmith.siamese.figures import Estimate, on_too_few


@dataclass(frozen=True)
class RetrievalReport:
    """The figures of a retrieval, each with its confidence interval.

    The intervals are bootstrap percentiles over the queries, with the gallery as it is.

    Attributes:
        queries: The number of queries that the figures are means over.
        left_out: The number of queries without any other item of their class in the gallery.
        gallery: The number of items that are searched, the query itself included if it is there.
        confidence: The level of the intervals.
        resamples: The number of bootstrap resamples.
        too_few: Whether there are too few queries for intervals, which then are as wide as so few
            leave open.
        recall_at: For each k, the share of queries with an item of their class among the k nearest.
        map_at_r: The mean over the queries of the average precision among the first R neighbours,
            R being the number of items of the query's class.
    """

    queries: int
    left_out: int
    gallery: int
    confidence: float
    resamples: int
    too_few: bool
    recall_at: Mapping[int, Estimate]
    map_at_r: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, strings and numbers, ready for `json.dump`."""
        report = asdict(self)
        report["recall_at"] = {str(k): figure for k, figure in report["recall_at"].items()}
        return report

    def __repr__(self) -> str:
        """The report for people."""
        left_out = f" ({self.left_out:,} left out, alone in their class)" if self.left_out else ""
        lines = [
            f"{self.queries:,} queries{left_out} in a gallery of {self.gallery:,}; "
            f"{self.confidence:.0%} intervals from {self.resamples} resamples of queries",
            *([on_too_few("queries")] if self.too_few else []),
        ]
        lines += [f"{f'recall@{k}':<24}{figure}" for k, figure in self.recall_at.items()]
        return "\n".join([*lines, f"MAP@R                   {self.map_at_r}"])


def retrieval_report(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    gallery: npt.ArrayLike | None = None,
    gallery_labels: npt.ArrayLike | None = None,
    distance: distances.Name = "euclidean",
    ks: Sequence[int] = (1, 5, 10),
    confidence: float = 0.95,
    resamples: int = 500,
    seed: int = 0,
) -> RetrievalReport:
    """Evaluates embeddings by what their nearest neighbours are.

    - recall@k is the share of queries that have an item of their class among their k nearest.
    - MAP@R is the mean of `1/R * sum(precision@i for i <= R if the i-th neighbour matches)`, with
      R the number of items of the query's class (Musgrave, Belongie and Lim, "A Metric Learning
      Reality Check", ECCV 2020, https://arxiv.org/abs/2003.08505).

    Ties count against the embeddings: an item of another class that is as near as one of the
    query's class ranks before it, so that embeddings which are all equal find nothing. As near
    means up to the rounding of the matrix product that compares them, in float64 for float64 and
    in float32 otherwise; for the Manhattan distance, which is no matrix product and slower, it
    means up to the last binary digit of float64. A query with no other item of its class is left
    out.

    Args:
        embeddings: `(N, D)`, the queries; without a gallery each searches among the others.
        labels: `(N,)`, the class of each: integers or strings.
        gallery: `(M, D)`, other items to search among.
        gallery_labels: `(M,)`, the class of each of those.
        distance: The name of a distance of `lossmith.distances`.
        ks: Numbers of neighbours for recall@k.
        confidence: The level of the intervals, in (0, 1).
        resamples: Bootstrap resamples; enough for one to lie beyond each end of an interval.
        seed: Seed of the resamples.

    Returns:
        The report; `print` it or store its `to_dict()`.

    Raises:
        ValueError: If shapes do not fit, an embedding is not finite, no query has an item of its
            class to find, or a setting is out of its range.

    Example:
    >>> import numpy as np
    >>> embeddings = np.array([[0.0], [0.1], [0.3], [1.0], [1.1], [0.4]])
    >>> report = retrieval_report(embeddings, ["a", "a", "a", "b", "b", "b"], ks=(1, 2))
    >>> round(report.recall_at[1].value, 4)
    0.6667
    >>> round(report.map_at_r.value, 4)
    0.7083
    """
    queries, query_labels = _checked(embeddings, labels, "embeddings", "labels")
    _check_settings(ks, confidence, resamples)
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("A gallery needs its labels: pass gallery and gallery_labels, or neither.")
    searched, searched_labels = queries, query_labels
    if gallery is not None and gallery_labels is not None:
        searched, searched_labels = _checked(gallery, gallery_labels, "gallery", "gallery_labels")
        queries, searched = _alike(queries, searched)
    classes, searched_classes = _codes(query_labels, searched_labels)
    order = np.argsort(searched_classes, kind="stable")
    ranking = rank(
        scores_of(queries, searched[order], distance),
        classes,
        searched_classes[order],
        np.argsort(order) if gallery is None else None,
        furthest=max(ks),
    )
    kept = ranking.relevant > 0
    if not kept.any():
        raise ValueError(
            f"None of the {len(queries)} queries has another item of its class to find: retrieval "
            "needs at least two items of a class."
        )
    figures = [ranking.first[kept] <= k for k in ks] + [ranking.average_precision[kept]]
    estimates, too_few = _estimates(np.column_stack(figures), confidence, resamples, seed)
    *recalls, map_at_r = estimates
    return RetrievalReport(
        queries=int(kept.sum()),
        left_out=int((~kept).sum()),
        gallery=len(searched),
        confidence=confidence,
        resamples=resamples,
        too_few=too_few,
        recall_at=dict(zip(ks, recalls, strict=True)),
        map_at_r=map_at_r,
    )


def _estimates(
    figures: FloatArray, confidence: float, resamples: int, seed: int
) -> tuple[list[Estimate], bool]:
    """The means of the columns, with intervals from rows drawn with replacement.

    Also whether there are too few rows for that.
    """
    count = len(figures)
    rng = np.random.default_rng(seed)
    draws, variety = [], Variety(confidence)
    for _ in range(resamples):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        draws.append(times @ figures / count)
        variety.add(times)
    too_few = variety.too_small
    estimates = [
        Estimate(float(value), *interval(float(value), column, confidence, count, too_few))
        for value, column in zip(figures.mean(axis=0), np.array(draws).T, strict=True)
    ]
    return estimates, too_few


def _checked(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, name: str, labels_name: str
) -> tuple[FloatArray, npt.NDArray[Any]]:
    vectors, classes = np.asarray(embeddings), np.asarray(labels)
    is_real = vectors.dtype.kind in "biuf" or vectors.dtype.name == "bfloat16"
    if vectors.ndim != 2 or 0 in vectors.shape or not is_real:
        raise ValueError(
            f"{name} must be vectors of numbers, shape (N, D), and not empty. "
            f"Received: shape {vectors.shape}, dtype {vectors.dtype}."
        )
    if classes.shape != vectors.shape[:1]:
        raise ValueError(
            f"{labels_name} must be one class for each of the {len(vectors)} {name}. "
            f"Received: shape {classes.shape}."
        )
    if vectors.dtype not in (np.float32, np.float64):
        vectors = vectors.astype(np.float64 if vectors.dtype.kind in "iu" else np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{name} must be finite. Received: NaN or infinity at position {np.argmin(finite)}."
        )
    return vectors, classes


def _alike(queries: FloatArray, gallery: FloatArray) -> tuple[FloatArray, FloatArray]:
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            "Queries and gallery must be vectors of one length. "
            f"Received: {queries.shape[1]} and {gallery.shape[1]}."
        )
    common = np.result_type(queries, gallery)
    return queries.astype(common, copy=False), gallery.astype(common, copy=False)


def _codes(labels: npt.NDArray[Any], gallery_labels: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    if (labels.dtype.kind in "US") != (gallery_labels.dtype.kind in "US"):
        raise ValueError(
            "labels and gallery_labels must be of one kind, numbers or strings. "
            f"Received: dtypes {labels.dtype} and {gallery_labels.dtype}."
        )
    _, codes = np.unique(np.concatenate([labels, gallery_labels]), return_inverse=True)
    return codes[: len(labels)], codes[len(labels) :]


def _check_settings(ks: Sequence[int], confidence: float, resamples: int) -> None:
    if not ks or any(not isinstance(k, int | np.integer) or k < 1 for k in ks):
        raise ValueError(f"ks must be whole numbers of neighbours from 1 on. Received: {ks!r}.")
    check_intervals(confidence, resamples)
