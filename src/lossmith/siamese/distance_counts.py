"""How many same and different pairs lie at each distance, and every figure that follows from it.

`DistanceCounts` is what each way of collecting pairs ends in (arrays held in memory, a stream of
millions, a bootstrap resample), so a figure is computed in one place only. A pair is accepted as
"same" when its distance is strictly below the threshold: `distance < threshold`.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

# Float32 holds every midpoint and the first number above every distance below this limit.
DISTANCE_LIMIT = 2.0**127


@dataclass(frozen=True, eq=False)
class RocCurve:
    """A receiver operating characteristic: what each threshold accepts.

    Attributes:
        thresholds: `(K + 1,)`, increasing; `distance < threshold` is accepted.
        false_accept_rate: `(K + 1,)`, from 0 to 1: the share of different pairs accepted.
        true_accept_rate: `(K + 1,)`, from 0 to 1: the share of same pairs accepted.
    """

    thresholds: FloatArray
    false_accept_rate: FloatArray
    true_accept_rate: FloatArray


@dataclass(frozen=True, eq=False)
class DistanceCounts:
    """Same and different pairs counted at increasing levels of distance.

    A level is one distance (`lower == upper`) or one histogram bin `[lower, upper)`. Thresholds
    lie between levels, in the middle of the gap, so that they also serve pairs not yet seen; they
    are representable in float32, which keeps `distance < threshold` true to the counts for float32
    distances.

    Args:
        lower: `(K,)`, increasing: the smallest distance of each level.
        upper: `(K,)`: the largest distance of each level.
        same: `(K,)`: the number (or weight) of same pairs at each level.
        different: `(K,)`: the number (or weight) of different pairs at each level.

    Raises:
        ValueError: If there are no pairs, no same pairs or no different pairs.

    Example:
    >>> counts = DistanceCounts.from_distances([0.1, 0.4, 0.3, 0.8], [1, 1, 0, 0])
    >>> counts.auc()
    0.75
    >>> counts.rates_at(0.5)
    (0.5, 1.0)
    """

    lower: FloatArray
    upper: FloatArray
    same: FloatArray
    different: FloatArray

    def __post_init__(self) -> None:
        """Refuses counts from which no rate can be computed."""
        same, different = self.same.sum(), self.different.sum()
        if same == 0 and different == 0:
            raise ValueError(
                "There are no pairs to evaluate: pass at least one same pair (label 1) and one "
                "different pair (label 0)."
            )
        if same == 0:
            raise ValueError(
                f"All {different:,.0f} pairs are different (label 0): the true accept rate needs "
                "same pairs (label 1). Note that 1 means same; flip labels that mean the opposite."
            )
        if different == 0:
            raise ValueError(
                f"All {same:,.0f} pairs are same (label 1): the false accept rate needs different "
                "pairs (label 0)."
            )

    @classmethod
    def from_distances(cls, distances: npt.ArrayLike, labels: npt.ArrayLike) -> "DistanceCounts":
        """Counts pairs held in memory, each distinct distance a level of its own.

        Args:
            distances: `(N,)` or `(N, 1)`, finite and not negative; small means similar.
            labels: `(N,)` or `(N, 1)`, 1 for same and 0 for different.

        Returns:
            The counts, exact.

        Raises:
            ValueError: If shapes, distances or labels are not as described.
        """
        checked_distances, is_same = checked_pairs(distances, labels)
        levels, index = np.unique(checked_distances.astype(np.float64), return_inverse=True)
        return cls(
            lower=levels,
            upper=levels,
            same=np.bincount(index[is_same], minlength=len(levels)).astype(np.float64),
            different=np.bincount(index[~is_same], minlength=len(levels)).astype(np.float64),
        )

    def with_counts(self, same: FloatArray, different: FloatArray) -> "DistanceCounts":
        """The same levels with other counts, less those that are now empty."""
        kept = np.flatnonzero(same + different)
        return DistanceCounts(self.lower[kept], self.upper[kept], same[kept], different[kept])

    @cached_property
    def same_pairs(self) -> float:
        """The number (or weight) of same pairs."""
        return float(self.same.sum())

    @cached_property
    def different_pairs(self) -> float:
        """The number (or weight) of different pairs."""
        return float(self.different.sum())

    @cached_property
    def _true_accepts(self) -> FloatArray:
        """Same pairs accepted when the first k levels are, for k = 0 ... K."""
        return np.concatenate([[0.0], np.cumsum(self.same)])

    @cached_property
    def _false_accepts(self) -> FloatArray:
        """Different pairs accepted when the first k levels are, for k = 0 ... K."""
        return np.concatenate([[0.0], np.cumsum(self.different)])

    @cached_property
    def _gaps(self) -> tuple[FloatArray, FloatArray]:
        """The interval `(below, above]` that the threshold accepting the first k levels is in."""
        beyond = np.nextafter(np.float32(self.upper[-1]), np.float32(np.inf))
        return np.append(0.0, self.upper), np.append(self.lower, np.float64(beyond))

    def _thresholds(self, levels_accepted: npt.NDArray[np.intp]) -> FloatArray:
        below, above = (end[levels_accepted] for end in self._gaps)
        middle = (0.5 * below + 0.5 * above).astype(np.float32).astype(np.float64)
        # Neighbouring float32 numbers have nothing between them: the upper one separates them.
        return np.where((below < middle) & (middle <= above), middle, above)

    def _threshold(self, levels_accepted: int) -> float:
        return float(self._thresholds(np.array([levels_accepted]))[0])

    def roc(self) -> RocCurve:
        """The receiver operating characteristic, a point between each two levels."""
        return RocCurve(
            thresholds=self._thresholds(np.arange(len(self.lower) + 1)),
            false_accept_rate=self._false_accepts / self.different_pairs,
            true_accept_rate=self._true_accepts / self.same_pairs,
        )

    def auc(self) -> float:
        """Area under the ROC curve: P(same pair closer than different pair), ties counting half.

        From a histogram it is off by at most half the share of (same, different) couples that
        lie in one bin.
        """
        closer_same = self._true_accepts[:-1] + 0.5 * self.same
        return float((closer_same * self.different).sum() / self.same_pairs / self.different_pairs)

    def equal_error_rate(self) -> float:
        """The rate at which false accepts equal false rejects, on the ROC's straight segments."""
        false_accept_rate = self._false_accepts / self.different_pairs
        true_accept_rate = self._true_accepts / self.same_pairs
        # false accept = false reject where the two accept rates, which rise together, add up to 1.
        return float(np.interp(1.0, false_accept_rate + true_accept_rate, false_accept_rate))

    def best_threshold(self) -> float:
        """The threshold with the most right decisions; of several, the one in the widest gap."""
        right = self._true_accepts - self._false_accepts
        below, above = self._gaps
        return self._threshold(int(np.argmax(np.where(right == right.max(), above - below, -1.0))))

    def threshold_at(self, false_accept_rate: float) -> float:
        """The largest threshold whose measured false accept rate is at most `false_accept_rate`."""
        # The factor keeps products such as 0.29 * 100 from falling below the integer meant.
        allowed = math.floor(false_accept_rate * self.different_pairs * (1 + 1e-12))
        return self._threshold(int(np.searchsorted(self._false_accepts, allowed, side="right")) - 1)

    def rates_at(self, threshold: float) -> tuple[float, float]:
        """False and true accept rate at `threshold`; a bin that it divides counts in proportion."""
        last = int(np.searchsorted(self.lower, threshold)) - 1
        if last < 0:
            return 0.0, 0.0
        width = self.upper[last] - self.lower[last]
        share = min(1.0, (threshold - self.lower[last]) / width) if width > 0 else 1.0
        false_accepts = self._false_accepts[last] + share * self.different[last]
        true_accepts = self._true_accepts[last] + share * self.same[last]
        return (
            float(false_accepts / self.different_pairs),
            float(true_accepts / self.same_pairs),
        )


class PairBatch(NamedTuple):
    """Checked pairs, their labels as they were passed: converting them is a pass over them all.

    Attributes:
        distances: `(N,)`, float32 or float64, finite and not negative.
        labels: `(N,)`, zeros and ones of any kind of number.
        largest: The largest distance, 0 if there is none.
    """

    distances: FloatArray
    labels: npt.NDArray[Any]
    largest: float


def checked_batch(distances: npt.ArrayLike, labels: npt.ArrayLike) -> PairBatch:
    """Pairs as flat arrays.

    Raises:
        ValueError: If lengths differ, a distance is NaN, infinite or negative, or a label is
            neither 0 nor 1; the message names the first offender.
    """
    flat_distances = _flat("distances", distances)
    flat_labels = _zeros_and_ones(labels)
    if len(flat_distances) != len(flat_labels):
        raise ValueError(
            "distances and labels must have one entry per pair. Received: "
            f"{len(flat_distances)} distances and {len(flat_labels)} labels."
        )
    if flat_distances.dtype not in (np.float32, np.float64):
        flat_distances = flat_distances.astype(
            np.float64 if flat_distances.dtype.kind in "iu" else np.float32
        )
    largest = _checked_largest(flat_distances) if len(flat_distances) else 0.0
    return PairBatch(flat_distances, flat_labels, largest)


def checked_pairs(
    distances: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Distances as a flat float array and labels as flat booleans (`True` = same).

    Raises:
        ValueError: As `checked_batch` does.
    """
    batch = checked_batch(distances, labels)
    return batch.distances, batch.labels.astype(bool)


def checked_labels(labels: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Labels of pairs, `(N,)` or `(N, 1)`, as flat booleans (`True` = same).

    Raises:
        ValueError: If a label is neither 0 nor 1; the message names the first.
    """
    return _zeros_and_ones(labels).astype(bool)


def _zeros_and_ones(labels: npt.ArrayLike) -> npt.NDArray[Any]:
    flat_labels = _flat("labels", labels)
    if not _are_0_or_1(flat_labels):
        row = int(np.argmax(flat_labels != flat_labels.astype(bool)))
        raise ValueError(
            "Pair labels must be 1 (same) or 0 (different). "
            f"Received: {flat_labels[row]} at position {row} (dtype {flat_labels.dtype})."
        )
    return flat_labels


def _are_0_or_1(labels: npt.NDArray[Any]) -> bool:
    """Whether labels are no other numbers than 0 and 1."""
    if labels.dtype.kind == "b":
        return True
    if labels.dtype.kind in "iu" and len(labels):
        # One bound is found in a fraction of the time that comparing each takes, and without a
        # sign what is negative is large.
        return bool(labels.view(labels.dtype.str.replace("i", "u")).max() <= 1)
    return not np.any(labels != labels.astype(bool))


def _flat(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (N,) or (N, 1). Received: shape {array.shape}.")
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(
            f"{name} must be real numbers. Received: dtype {array.dtype} (first: {array[:1]})."
        )
    return array


def _last_by_bits(distances: FloatArray) -> np.floating[Any]:
    """The one whose bits are the largest integer, without a sign.

    It is the largest distance, and found faster; but what is negative comes after, -0.0 and NaN
    too.
    """
    return distances.view(f"u{distances.itemsize}").max().view(distances.dtype)


def _checked_largest(distances: FloatArray) -> float:
    last = _last_by_bits(distances)
    if 0 < last < DISTANCE_LIMIT:
        return float(last)
    if distances.min() >= 0 and distances.max() < DISTANCE_LIMIT:
        return float(distances.max())
    row = int(np.argmin((distances >= 0) & (distances < DISTANCE_LIMIT)))
    raise ValueError(
        "distances must be finite (below 2**127) and not negative. "
        f"Received: {distances[row]} at position {row}. "
        "For a similarity s with a largest value m, pass m - s."
    )
