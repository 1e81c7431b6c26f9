"""Bootstrap resamples of counted pairs, and the intervals that follow from them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lossmith.siamese.distance_counts import DistanceCounts, FloatArray

_ROUNDING = 1e-12


def check_intervals(confidence: float, resamples: int) -> None:
    """Refuse intervals of no confidence, or with no resample beyond each of their ends.

    Raises:
        ValueError: saying what was expected.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1). Received: {confidence}.")
    if not isinstance(resamples, int | np.integer) or isinstance(resamples, bool):
        raise ValueError(f"resamples must be a whole number. Received: {resamples!r}.")
    needed = _needed(confidence)
    if resamples < needed:
        raise ValueError(
            f"Intervals of {confidence:.4g} confidence need at least {needed} resamples. "
            f"Received: resamples={resamples}."
        )


def _needed(confidence: float) -> int:
    """The fewest resamples of which one lies beyond each end of an interval."""
    return math.ceil(2 / (1 - confidence) - 1e-9)


class Variety:
    """Whether the resamples differ enough for intervals to follow from them."""

    def __init__(self, confidence: float) -> None:
        self._needed = _needed(confidence)
        self._seen: set[bytes] = set()

    def add(self, *times: npt.NDArray[Any]) -> None:
        """Take note of how often each thing was drawn."""
        if self.too_small:
            self._seen.add(b"".join(each.tobytes() for each in times))

    @property
    def too_small(self) -> bool:
        """Whether there are fewer different resamples than an interval needs."""
        return len(self._seen) < self._needed


class Resampler(Protocol):
    """A way to draw the pairs anew."""

    @property
    def unit(self) -> str:
        """What is drawn: "pairs" or "items"."""

    def draw(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Numbers of same and of different pairs at each level, drawn anew."""

    def independent(self, pairs: float) -> float:
        """How many of so many pairs can be taken as independent."""


@dataclass(frozen=True)
class PairResampler:
    """The Poisson bootstrap: each pair is drawn Poisson(1) times, each level Poisson(count)."""

    counts: DistanceCounts
    unit: str = "pairs"

    def draw(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Numbers of same and of different pairs at each level, drawn anew."""
        same = rng.poisson(self.counts.same).astype(np.float64)
        different = rng.poisson(self.counts.different).astype(np.float64)
        return same, different

    def independent(self, pairs: float) -> float:
        """All of them."""
        return pairs


class ItemResampler:
    """The product bootstrap: items are drawn with replacement, a pair counts as often as both do.

    It respects that pairs sharing an item vary together (Owen and Eckles, "Bootstrapping data
    arrays of arbitrary order", Annals of Applied Statistics 6(3), 2012: mildly conservative).

    Args:
        counts: The exact counts of the pairs.
        distances: `(N,)`, the distances they were counted from.
        is_same: `(N,)`, `True` for same pairs.
        items: `(N, 2)`, integers that identify the two items of each pair.
    """

    unit = "items"

    def __init__(
        self,
        counts: DistanceCounts,
        distances: FloatArray,
        is_same: npt.NDArray[np.bool_],
        items: npt.NDArray[np.integer[Any]],
    ) -> None:
        names, self._items = np.unique(items, return_inverse=True)
        self._items = self._items.reshape(items.shape)
        self._item_count = len(names)
        self._level_count = len(counts.lower)
        # Same pairs have the slots after those of all different pairs.
        self._slot = np.searchsorted(counts.lower, distances) + self._level_count * is_same

    def draw(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Weights of same and of different pairs at each level, for items drawn anew."""
        drawn = rng.integers(self._item_count, size=self._item_count)
        times = np.bincount(drawn, minlength=self._item_count)
        weights = times[self._items[:, 0]] * times[self._items[:, 1]]
        different, same = (
            np.bincount(self._slot, weights=weights, minlength=2 * self._level_count)
            .astype(np.float64, copy=False)
            .reshape(2, -1)
        )
        return same, different

    def independent(self, pairs: float) -> float:
        """At most so many pairs have no item in common."""
        return min(pairs, max(1, self._item_count // 2))


def resampled(
    counts: DistanceCounts, resampler: Resampler, resamples: int, seed: int
) -> Iterator[DistanceCounts]:
    """Yields `resamples` draws; one without same or without different pairs is drawn again."""
    rng = np.random.default_rng(seed)
    drawn = 0
    while drawn < resamples:
        same, different = resampler.draw(rng)
        if same.any() and different.any():
            drawn += 1
            yield counts.with_counts(same, different)


def interval(
    value: float, draws: FloatArray, confidence: float, trials: float, too_few: bool
) -> tuple[float, float]:
    """The central `confidence` of the draws, widened to contain the value itself.

    Resampling cannot bring up what was never seen: a rate of 0 or 1 does not vary, nor does the
    area under the curve of distances that are all equal. There, and where there are too few
    different resamples, the interval reaches as far as the rate at which `trials` independent
    trials pass without a single exception with probability `(1 - confidence) / 2`; infinitely many
    trials leave no room for one.
    """
    tail = (1 - confidence) / 2
    low, high = (float(end) for end in np.quantile(draws, [tail, 1 - tail]))
    if too_few or value in (0, 1) or np.ptp(draws) < _ROUNDING:
        unseen = 1.0 - tail ** (1 / trials)
        low, high = min(low, max(0.0, value - unseen)), max(high, min(1.0, value + unseen))
    return min(low, value), max(high, value)
