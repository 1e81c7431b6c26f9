"""Curves and histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from lossmith.report.data import RocPoint, check_pairs
from lossmith.report.figures.style import DIFFERENT, INK, MUTED, SAME, single_axes, tidy


def training_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draws values per epoch, a panel per quantity, training and validation together.

    Args:
        history: Values per epoch by name, as in `keras.callbacks.History.history`; `val_` before a
            name marks the validation values of the same quantity.

    Returns:
        The figure.

    Raises:
        ValueError: If there is nothing to draw.

    Example:
        >>> figure = training_curves({"loss": [0.3, 0.2], "val_loss": [0.35, 0.3]})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['loss']
    """
    quantities = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    if not quantities:
        raise ValueError("`history` needs values of one quantity or more; it is empty.")
    columns = min(len(quantities), 3)
    rows = math.ceil(len(quantities) / columns)
    figure = Figure(figsize=(10, 3.6 * rows), layout="constrained")
    for position, quantity in enumerate(quantities, start=1):
        axes = figure.add_subplot(rows, columns, position)
        for name, label, colour, line in (
            (quantity, "training", SAME, "-"),
            (f"val_{quantity}", "validation", DIFFERENT, "--"),
        ):
            if name in history:
                values = np.asarray(history[name], dtype=np.float64)
                epochs = np.arange(1, len(values) + 1)
                axes.plot(epochs, values, line, color=colour, label=label, marker="o", markersize=3)
        tidy(axes, "epoch", quantity.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return figure


def distance_histogram(
    distances: ArrayLike, labels: ArrayLike, threshold: float, margin: float | None = None
) -> Figure:
    """Draws the distances of same and of different pairs, each as shares of its kind.

    Args:
        distances: `(N,)` finite distances.
        labels: `(N,)`, 1 for same and 0 for different.
        threshold: Pairs below it are called same.
        margin: The distance beyond which the loss stops pushing different pairs apart.

    Returns:
        The figure.

    Raises:
        ValueError: If shapes differ, a distance is not finite or a label neither 0 nor 1.

    Example:
        >>> figure = distance_histogram([0.1, 0.4, 0.9], [1, 1, 0], threshold=0.5, margin=1.0)
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['same (2 pairs)', 'different (1 pair)', 'threshold 0.5', 'margin 1']
    """
    distances, labels = np.asarray(distances), np.asarray(labels)
    check_pairs(distances, labels)
    figure, axes = single_axes()
    shown = np.concatenate([distances, [0.0, threshold, threshold if margin is None else margin]])
    bins = np.linspace(shown.min(), shown.max() * 1.02, 51)
    for label, name, colour in ((1, "same", SAME), (0, "different", DIFFERENT)):
        chosen = distances[labels == label]
        count = f"{len(chosen):,} pair{'' if len(chosen) == 1 else 's'}"
        axes.hist(
            chosen,
            bins=list(bins),
            weights=np.full(len(chosen), 1 / max(len(chosen), 1)),
            histtype="stepfilled",
            facecolor=(colour, 0.45),
            edgecolor=colour,
            linewidth=1.4,
            label=f"{name} ({count})",
        )
    axes.axvline(threshold, color=INK, linewidth=1.8, label=f"threshold {threshold:.4g}")
    if margin is not None:
        axes.axvline(margin, color=MUTED, linestyle="--", label=f"margin {margin:.4g}")
    tidy(axes, "distance", "share of the pairs of a kind")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=None))
    axes.margins(x=0)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def roc_curve(
    far: ArrayLike,
    tar: ArrayLike,
    eer: float | None = None,
    operating_point: tuple[float, float] | None = None,
    points: Sequence[RocPoint] = (),
) -> Figure:
    """Draws true accepts against false accepts over all thresholds.

    Args:
        far: False-accept rates `(K,)` in [0, 1]: different pairs called same.
        tar: True-accept rates `(K,)` in [0, 1]: same pairs called same.
        eer: Equal error rate, marked at `(eer, 1 - eer)`.
        operating_point: False- and true-accept rate at the threshold in use.
        points: Points with confidence intervals, drawn as bars across the curve.

    Returns:
        The figure.

    Raises:
        ValueError: If `far` and `tar` are not of one shape `(K,)` or leave [0, 1].

    Example:
        >>> figure = roc_curve([0, 0.1, 1], [0, 0.9, 1], eer=0.1, operating_point=(0.1, 0.9))
        >>> figure.axes[0].get_xlabel()
        'different pairs called same'
    """
    far, tar = np.asarray(far, dtype=np.float64), np.asarray(tar, dtype=np.float64)
    rates = np.concatenate([far.ravel(), tar.ravel()])
    if far.ndim != 1 or far.shape != tar.shape or not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(
            "`far` and `tar` are rates in [0, 1] of one shape (K,); got shapes "
            f"{far.shape} and {tar.shape}."
        )
    figure, axes = single_axes()
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", label="guessing")
    axes.plot(far, tar, color=SAME, linewidth=2, label="this network")
    for point in points:
        across, up = (
            [[value - low], [high - value]] for value, low, high in (point.far, point.tar)
        )
        axes.errorbar([point.far[0]], [point.tar[0]], up, across, fmt="none", ecolor=INK, capsize=3)
    if eer is not None:
        label = f"equal error rate {eer:.2%}"
        axes.plot([eer], [1 - eer], "D", color=DIFFERENT, markersize=11, label=label)
    if operating_point is not None:
        label = f"at the threshold: {operating_point[0]:.2%}, {operating_point[1]:.2%}"
        axes.plot(*[[rate] for rate in operating_point], "o", color=INK, markersize=6, label=label)
    tidy(axes, "different pairs called same", "same pairs called same")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right")
    return figure
