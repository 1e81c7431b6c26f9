"""The report of a verification: figures with confidence intervals, computed from counts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lossmith.siamese._resampling import (
    Resampler,
    Variety,
    check_intervals,
    interval,
    resampled,
)
from lossmith.siamese.distance_counts import DistanceCounts

_Choice = Callable[[DistanceCounts], float]


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval `[low, high]`."""

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        """The figure and its interval, to four decimals."""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class OperatingPoint:
    """What one threshold does.

    The intervals of the rates and accuracies are those of *this* threshold on other pairs; the
    interval of the threshold says how far the choice itself would move (none if it was given).

    Attributes:
        threshold: `distance < threshold` is accepted as same.
        false_accept_rate: Share of different pairs accepted.
        true_accept_rate: Share of same pairs accepted.
        accuracy: Share of all pairs decided rightly, in the mixture evaluated.
        balanced_accuracy: Mean of the true accept rate and 1 - the false accept rate.
    """

    threshold: Estimate
    false_accept_rate: Estimate
    true_accept_rate: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate

    def __repr__(self) -> str:
        """A line for the decision, a line for each rate."""
        return "\n".join(
            [
                f"distance < {self.threshold}",
                f"  accuracy              {self.accuracy}",
                f"  balanced accuracy     {self.balanced_accuracy}",
                f"  true accept rate      {self.true_accept_rate}",
                f"  false accept rate     {self.false_accept_rate}",
            ]
        )


@dataclass(frozen=True)
class FalseAcceptTarget:
    """The operating point for a requested false accept rate.

    Attributes:
        requested: The false accept rate asked for.
        attainable: Whether these pairs can show it: some threshold accepts at least one different
            pair and at most the requested share. If not, `point` is the nearest one on the safe
            side, the largest threshold without a false accept, and its measured rate of 0 is no
            evidence for the requested rate: see the upper end of its interval.
        different_pairs_needed: The fewest different pairs that can show the requested rate.
        point: The largest threshold whose measured rate is at most the requested one.
    """

    requested: float
    attainable: bool
    different_pairs_needed: int
    point: OperatingPoint

    def __repr__(self) -> str:
        """The operating point, headed by a warning if the rate cannot be shown."""
        heading = f"At a false accept rate of {self.requested:g}: {self.point}"
        if self.attainable:
            return heading
        return (
            f"{heading}\n  NOT ATTAINABLE with these pairs (at least "
            f"{self.different_pairs_needed:,} different pairs are needed, without ties):\n"
            "  shown is the largest threshold without a false accept; its true rate may be as "
            f"high as {self.point.false_accept_rate.high:.2g}."
        )


def on_too_few(unit: str) -> str:
    """What a report says where the variety is too small."""
    return (
        f"There are too few test {unit} for intervals, since resamples of them are all but the "
        "same: the ranges given are as wide as so few leave open."
    )


@dataclass(frozen=True)
class VerificationReport:
    """All figures of an evaluation, each with its confidence interval.

    The intervals are bootstrap percentiles. With `resampled == "pairs"` pairs count as
    independent; where many share an item, such an interval is a lower bound on the uncertainty.
    With `resampled == "items"` they are for other items of the same kind. A rate of exactly 0 or 1
    gets the bound of that many trials without an error, and so does every rate on its two sides
    where there are too few pairs or items for resamples to differ.

    Attributes:
        same_pairs: The number of same pairs.
        different_pairs: The number of different pairs.
        resolution: The width of a histogram bin; 0.0 if the figures are exact.
        confidence: The level of the intervals.
        resamples: The number of bootstrap resamples.
        resampled: What was resampled, "pairs" or "items".
        too_few: Whether there are too few of them for intervals. The rates then have the widest
            ranges that so few leave open, chosen thresholds that from 0 to the largest distance.
        auc: Area under the ROC curve.
        equal_error_rate: Where false accept and false reject rate meet.
        best: The threshold with the highest accuracy. It was chosen on these very pairs, so its
            accuracy is optimistic: pass it as `threshold` with other pairs for a fair figure.
        at_false_accept_rate: One for each requested false accept rate.
        given: What the given threshold does; `None` if none was given.
    """

    same_pairs: int
    different_pairs: int
    resolution: float
    confidence: float
    resamples: int
    resampled: str
    too_few: bool
    auc: Estimate
    equal_error_rate: Estimate
    best: OperatingPoint
    at_false_accept_rate: tuple[FalseAcceptTarget, ...]
    given: OperatingPoint | None

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, lists, strings and numbers, ready for `json.dump`."""
        report = asdict(self)
        report["at_false_accept_rate"] = list(report["at_false_accept_rate"])
        return report

    def __repr__(self) -> str:
        """The report for people."""
        parts = [
            f"{self.same_pairs:,} same and {self.different_pairs:,} different pairs; "
            f"{self.confidence:.0%} intervals from {self.resamples} resamples of "
            f"{self.resampled}",
            *([on_too_few(self.resampled)] if self.too_few else []),
            f"AUC                     {self.auc}",
            f"Equal error rate        {self.equal_error_rate}",
        ]
        if self.given is not None:
            parts.append(f"At the given threshold: {self.given}")
        parts.append(f"At the best threshold for these pairs: {self.best}")
        parts.extend(str(target) for target in self.at_false_accept_rate)
        return "\n".join(parts)


def build_report(
    counts: DistanceCounts,
    resampler: Resampler,
    *,
    threshold: float | None,
    false_accept_rates: Sequence[float],
    confidence: float,
    resamples: int,
    seed: int,
) -> VerificationReport:
    """Computes every figure once for the pairs and once for each resample.

    Raises:
        ValueError: If a setting is out of its range.
    """
    _check_settings(threshold, false_accept_rates, confidence, resamples)
    choices: list[_Choice] = [
        DistanceCounts.best_threshold,
        *(partial(DistanceCounts.threshold_at, false_accept_rate=r) for r in false_accept_rates),
    ]
    if threshold is not None:
        choices.append(partial(_given, threshold=float(threshold)))
    thresholds = [choose(counts) for choose in choices]
    draws, variety = [], Variety(confidence)
    for draw in resampled(counts, resampler, resamples, seed):
        draws.append(_figures(draw, choices, thresholds))
        variety.add(draw.same, draw.different)
    auc, equal_error_rate, *rest = (
        Estimate(value, *interval(value, column, confidence, trials, variety.too_small))
        for value, column, trials in zip(
            _figures(counts, choices, thresholds),
            np.array(draws).T,
            _trials(counts, resampler, len(choices)),
            strict=True,
        )
    )
    points = [OperatingPoint(*rest[start : start + 5]) for start in range(0, len(rest), 5)]
    if variety.too_small:
        chosen = len(points) if threshold is None else len(points) - 1
        points[:chosen] = [_open_threshold(point, counts) for point in points[:chosen]]
    return VerificationReport(
        same_pairs=round(counts.same_pairs),
        different_pairs=round(counts.different_pairs),
        resolution=float((counts.upper - counts.lower).max()),
        confidence=confidence,
        resamples=resamples,
        resampled=resampler.unit,
        too_few=variety.too_small,
        auc=auc,
        equal_error_rate=equal_error_rate,
        best=points[0],
        at_false_accept_rate=tuple(
            FalseAcceptTarget(
                requested=float(rate),
                attainable=point.false_accept_rate.value > 0,
                different_pairs_needed=math.ceil(1 / rate - 1e-9),
                point=point,
            )
            for rate, point in zip(false_accept_rates, points[1:], strict=False)
        ),
        given=None if threshold is None else points[-1],
    )


def _open_threshold(point: OperatingPoint, counts: DistanceCounts) -> OperatingPoint:
    value, largest = point.threshold.value, float(counts.upper.max())
    return replace(point, threshold=Estimate(value, 0.0, max(value, largest)))


def _given(_: DistanceCounts, threshold: float) -> float:
    return threshold


def _figures(
    counts: DistanceCounts, choices: Sequence[_Choice], thresholds: Sequence[float]
) -> list[float]:
    """AUC and equal error rate, then for each choice the fields of its `OperatingPoint`.

    The threshold is chosen anew from `counts`; the rates are those of the one in `thresholds`.
    """
    share_same = counts.same_pairs / (counts.same_pairs + counts.different_pairs)
    figures = [counts.auc(), counts.equal_error_rate()]
    for choose, threshold in zip(choices, thresholds, strict=True):
        false_accepts, true_accepts = counts.rates_at(threshold)
        accuracy = share_same * true_accepts + (1 - share_same) * (1 - false_accepts)
        balanced = 0.5 * (true_accepts + 1 - false_accepts)
        figures += [choose(counts), false_accepts, true_accepts, accuracy, balanced]
    return figures


def _trials(counts: DistanceCounts, resampler: Resampler, choices: int) -> list[float]:
    """The number of independent trials behind each of `_figures`; a threshold is not a rate."""
    same, different = counts.same_pairs, counts.different_pairs
    rarer = resampler.independent(min(same, different))
    of_rates = [resampler.independent(pairs) for pairs in (different, same, same + different)]
    return [rarer, rarer] + [math.inf, *of_rates, rarer] * choices


def _check_settings(
    threshold: float | None,
    false_accept_rates: Sequence[float],
    confidence: float,
    resamples: int,
) -> None:
    if threshold is not None and not 0 <= threshold < math.inf:
        raise ValueError(f"threshold must be finite and not negative. Received: {threshold}.")
    if isinstance(false_accept_rates, str) or np.ndim(false_accept_rates) != 1:
        raise ValueError(
            "false_accept_rates must be a sequence of rates, such as (0.01, 0.001). "
            f"Received: {false_accept_rates!r}."
        )
    for rate in false_accept_rates:
        if not 0 < rate < 1:
            raise ValueError(f"false_accept_rates must lie in (0, 1). Received: {rate}.")
    check_intervals(confidence, resamples)
