"""What a report is made of, as a trainer or an evaluation fills it in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SummaryRow:
    """One figure of the summary table.

    Args:
        name: What is measured, such as "Accuracy".
        value: The figure, or a word in its place.
        low: Lower end of its confidence interval, if it has one.
        high: Upper end of its confidence interval, if it has one.
        explanation: What the figure means, in plain words.

    Raises:
        ValueError: If one end of the interval is given without the other, or they are swapped.
    """

    name: str
    value: float | str
    low: float | None = None
    high: float | None = None
    explanation: str = ""

    def __post_init__(self) -> None:
        """Refuses half an interval."""
        if (self.low is None) != (self.high is None):
            raise ValueError(
                f"An interval has two ends; {self.name!r} has low={self.low!r}, high={self.high!r}."
            )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(
                f"The interval of {self.name!r} is empty: low={self.low!r} > high={self.high!r}."
            )


@dataclass(frozen=True)
class RocPoint:
    """What one threshold accepts, each rate as its value, lower and upper end.

    Args:
        far: False-accept rate with its interval.
        tar: True-accept rate with its interval.
    """

    far: tuple[float, float, float]
    tar: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Roc:
    """A receiver operating characteristic.

    Args:
        far: False-accept rates `(K,)` in [0, 1], increasing: different pairs called same.
        tar: True-accept rates `(K,)` in [0, 1]: same pairs called same.
        eer: Equal error rate, where `far == 1 - tar`; None leaves it out of the picture.
        points: Points of the curve whose rates have confidence intervals.
    """

    far: NDArray[Any]
    tar: NDArray[Any]
    eer: float | None = None
    points: Sequence[RocPoint] = ()


@dataclass(frozen=True, eq=False)
class Embedding:
    """Embedded items with their classes.

    Args:
        points: `(N, D)` embeddings.
        labels: `(N,)` class ids.
        class_names: The name of each class id.
    """

    points: NDArray[Any]
    labels: NDArray[Any]
    class_names: Sequence[str]


@dataclass(frozen=True, eq=False)
class SamplePairs:
    """Pairs of images to look at.

    Args:
        first: `(N, H, W, C)` images in [0, 1] with 1 or 3 channels.
        second: The other image of each pair, of the same shape.
        labels: `(N,)`, 1 for same and 0 for different.
        distances: `(N,)` distances.
    """

    first: NDArray[Any]
    second: NDArray[Any]
    labels: NDArray[Any]
    distances: NDArray[Any]


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report shows; parts that are None or empty are left out of it.

    Args:
        title: The heading.
        summary: The figures that matter, most important first.
        distances: `(N,)` distances of the evaluated pairs.
        labels: `(N,)`, 1 for same and 0 for different.
        threshold: Pairs with `distance < threshold` are called same.
        margin: The margin of the loss, where it has one.
        roc: The receiver operating characteristic.
        history: Values per epoch by name, such as `loss` and `val_loss`.
        embedding: Embedded items to draw a map of.
        pairs: Pairs of images to show.
        config: What the run was made with; nested mappings are spread out.
        notes: Warnings and remarks, in plain sentences.
        description: A sentence under the heading.
        confidence: The level of the intervals in `summary` and `roc`.

    Raises:
        ValueError: If distances and labels differ in shape, distances are not finite, labels are
            neither 0 nor 1 or all the same, or the confidence is not in (0, 1).

    Example:
        >>> import numpy as np
        >>> data = ReportData(
        ...     title="Digits",
        ...     summary=(SummaryRow("Accuracy", 0.75, 0.4, 0.9, "pairs told right"),),
        ...     distances=np.array([0.1, 0.6, 0.7, 1.2]),
        ...     labels=np.array([1, 1, 0, 0]),
        ...     threshold=0.5,
        ... )
        >>> data.error_rates
        (0.0, 0.5)
    """

    title: str
    summary: Sequence[SummaryRow]
    distances: NDArray[Any]
    labels: NDArray[Any]
    threshold: float
    margin: float | None = None
    roc: Roc | None = None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    embedding: Embedding | None = None
    pairs: SamplePairs | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    description: str = ""
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuses pairs that cannot be reported on."""
        check_pairs(self.distances, self.labels)
        if len(np.unique(self.labels)) < 2:
            raise ValueError(
                "A report needs same and different pairs; all labels of these "
                f"{len(self.labels)} pairs are equal."
            )
        if not 0 < self.confidence < 1:
            raise ValueError(
                f"`confidence` is the level of the intervals, in (0, 1); got {self.confidence!r}."
            )

    @property
    def error_rates(self) -> tuple[float, float]:
        """Shares of different pairs called same, and of same pairs called different."""
        called_same = np.asarray(self.distances) < self.threshold
        same = np.asarray(self.labels) == 1
        return float(np.mean(called_same[~same])), float(np.mean(~called_same[same]))


def check_pairs(distances: NDArray[Any], labels: NDArray[Any]) -> None:
    """Refuses distances and labels that do not describe same and different pairs."""
    distances, labels = np.asarray(distances), np.asarray(labels)
    if distances.ndim != 1 or distances.shape != labels.shape:
        raise ValueError(
            "Pairs have one distance and one label each, both of shape (N,); got distances of "
            f"shape {distances.shape} and labels of shape {labels.shape}."
        )
    if not np.isfinite(distances).all():
        raise ValueError("Distances must be finite; these hold NaN or infinity.")
    if set(np.unique(labels).tolist()) - {0, 1}:
        raise ValueError(f"Labels are 1 (same) or 0 (different); got {np.unique(labels)[:5]}.")
