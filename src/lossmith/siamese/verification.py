"""How well distances tell "same" from "different": ROC, AUC, equal error rate and thresholds.

Small distances mean similar: a pair is accepted as "same" when `distance < threshold`. Labels are
1 for same, 0 for different. `verification_report` evaluates pairs held in memory, exactly and, if
it is told which items the pairs are made of, with intervals that respect shared items.
`VerificationScores` counts any number of pairs, batch by batch, in constant memory.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.siamese._resampling import ItemResampler, PairResampler, Resampler
from lossmith.siamese.distance_counts import DistanceCounts, checked_batch, checked_pairs
from lossmith.siamese.figures import VerificationReport, build_report


def verification_report(
    distances: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    items: npt.ArrayLike | None = None,
    threshold: float | None = None,
    false_accept_rates: Sequence[float] = (0.01, 0.001),
    confidence: float = 0.95,
    resamples: int = 500,
    seed: int = 0,
) -> VerificationReport:
    """Evaluates same/different decisions from distances held in memory, exactly.

    Args:
        distances: `(N,)` or `(N, 1)`, finite and not negative; small means similar.
        labels: `(N,)` or `(N, 1)`, 1 for same and 0 for different.
        items: `(N, 2)` integers that identify the two items of each pair (the `pairs` of
            `ReadyPairs`). Resamples are then drawn from the items, since pairs that share one
            vary together; without it pairs are taken as independent.
        threshold: A threshold chosen elsewhere, such as on validation pairs, to evaluate here.
        false_accept_rates: Rates in (0, 1) to find the threshold for.
        confidence: The level of the intervals, in (0, 1).
        resamples: Bootstrap resamples; enough for one to lie beyond each end of an interval.
        seed: Seed of the resamples.

    Returns:
        The report; `print` it or store its `to_dict()`.

    Raises:
        ValueError: If shapes, distances or labels are not as described, same or different pairs
            are missing, or a setting is out of its range.

    Example:
    >>> report = verification_report(
    ...     distances=[0.1, 0.2, 0.6, 0.5, 0.9, 1.3], labels=[1, 1, 1, 0, 0, 0], threshold=0.55
    ... )
    >>> round(report.auc.value, 4)
    0.8889
    >>> round(report.given.accuracy.value, 4)
    0.6667
    """
    checked_distances, is_same = checked_pairs(distances, labels)
    counts = DistanceCounts.from_distances(checked_distances, is_same)
    resampler: Resampler = PairResampler(counts)
    if items is not None:
        checked_items = _checked_items(items, len(is_same))
        resampler = ItemResampler(counts, checked_distances, is_same, checked_items)
    return build_report(
        counts,
        resampler,
        threshold=threshold,
        false_accept_rates=false_accept_rates,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


class VerificationScores:
    """Counts same and different pairs by distance, batch by batch, in constant memory.

    The counts are a histogram whose range doubles, and whose neighbouring bins merge, whenever a
    larger distance arrives. Bin widths are powers of two, so the counts do not depend on the order
    or the batching of the pairs, and thresholds on a bin edge (such as 0.5) are exact. Every other
    figure is as good as a bin is narrow: between 1/bins and 2/bins of the largest distance.

    Args:
        bins: The number of bins, a power of two. Two counts of 8 bytes each are kept per bin.

    Raises:
        ValueError: If `bins` is not a power of two of at least 2.

    Example:
    >>> scores = VerificationScores()
    >>> scores.update([0.1, 0.7], [1, 0])
    >>> scores.update([0.2, 0.6], [1, 0])
    >>> scores.report(threshold=0.5).given.accuracy.value
    1.0
    """

    _CHUNK = 2**15
    # The narrowest bin is 2**-100: scaled to bins, float32 distances neither over- nor underflow.
    _SMALLEST_EXPONENT = -100

    def __init__(self, bins: int = 2**16) -> None:
        """Starts without pairs."""
        if not isinstance(bins, int) or bins < 2 or bins & (bins - 1):
            raise ValueError(f"bins must be a power of two of at least 2. Received: {bins!r}.")
        self.bins = bins
        self._exponent = self._SMALLEST_EXPONENT
        self._counts = np.zeros((2, bins), dtype=np.int64)

    def __repr__(self) -> str:
        """The counts so far."""
        different, same = self._counts.sum(axis=1)
        return f"VerificationScores(same_pairs={same}, different_pairs={different})"

    @property
    def resolution(self) -> float:
        """The width of a bin."""
        return 2.0**self._exponent

    def update(self, distances: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Counts a batch of pairs; if it raises, nothing of the batch was counted.

        Args:
            distances: `(N,)` or `(N, 1)`, finite and not negative; small means similar.
            labels: `(N,)` or `(N, 1)`, 1 for same and 0 for different.

        Raises:
            ValueError: If shapes, distances or labels are not as described.
        """
        batch = checked_batch(distances, labels)
        self._widen(self._exponent_for(batch.largest))
        scale = batch.distances.dtype.type(2.0**-self._exponent)
        counts = self._counts.reshape(-1)
        # Half as wide, the counts of a large batch stay in the cache.
        is_large = len(counts) <= len(batch.labels) < 2**31
        tally = np.zeros(len(counts), dtype=np.int32) if is_large else counts
        index = np.dtype(np.int32 if 2 * self.bins < 2**31 else np.intp)
        for start in range(0, len(batch.labels), self._CHUNK):
            chunk = slice(start, start + self._CHUNK)
            slot = (batch.distances[chunk] * scale).astype(index)
            slot += batch.labels[chunk].astype(index, copy=False) * index.type(self.bins)
            np.add.at(tally, slot.astype(np.intp), tally.dtype.type(1))
        if is_large:
            counts += tally

    def merge(self, other: "VerificationScores") -> None:
        """Adds the counts of `other`, such as those of another process, which stays as it is.

        Raises:
            ValueError: If the numbers of bins differ.
        """
        if self.bins != other.bins:
            raise ValueError(
                "Only scores with the same number of bins can be merged. "
                f"Received: {self.bins} and {other.bins}."
            )
        self._widen(other._exponent)
        self._counts += _merged_bins(other._counts, self._exponent - other._exponent)

    def counts(self) -> DistanceCounts:
        """The non-empty bins, from which curves are drawn and single figures computed.

        Raises:
            ValueError: If there are no pairs yet, or only same or only different ones.
        """
        filled = np.flatnonzero(self._counts.any(axis=0))
        different, same = self._counts[:, filled].astype(np.float64)
        return DistanceCounts(
            lower=filled * self.resolution,
            upper=(filled + 1) * self.resolution,
            same=same,
            different=different,
        )

    def report(
        self,
        *,
        threshold: float | None = None,
        false_accept_rates: Sequence[float] = (0.01, 0.001),
        confidence: float = 0.95,
        resamples: int = 500,
        seed: int = 0,
    ) -> VerificationReport:
        """All figures of the pairs counted so far; see `verification_report`.

        Raises:
            ValueError: If same or different pairs are missing or a setting is out of its range.
        """
        counts = self.counts()
        return build_report(
            counts,
            PairResampler(counts),
            threshold=threshold,
            false_accept_rates=false_accept_rates,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )

    def _exponent_for(self, largest: float) -> int:
        """The exponent of the narrowest bins that hold the pairs so far and `largest`."""
        if largest == 0:
            return self._exponent
        return math.frexp(largest)[1] - (self.bins.bit_length() - 1)

    def _widen(self, exponent: int) -> None:
        doublings = exponent - self._exponent
        if doublings > 0:
            self._counts = _merged_bins(self._counts, doublings)
            self._exponent += doublings


def _merged_bins(counts: npt.NDArray[np.int64], doublings: int) -> npt.NDArray[np.int64]:
    """The same counts in as many bins, each `2**doublings` times as wide."""
    bins = counts.shape[1]
    filled = max(1, bins >> doublings)
    merged = np.zeros_like(counts)
    merged[:, :filled] = counts.reshape(2, filled, -1).sum(axis=2)
    return merged


def _checked_items(items: npt.ArrayLike, pairs: int) -> npt.NDArray[np.integer[Any]]:
    array = np.asarray(items)
    if array.shape != (pairs, 2) or array.dtype.kind not in "iu":
        raise ValueError(
            f"items must be integers of shape ({pairs}, 2), the two items of each pair. "
            f"Received: shape {array.shape}, dtype {array.dtype}."
        )
    return array
