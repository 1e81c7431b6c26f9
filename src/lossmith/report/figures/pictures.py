"""Pictures of what the network was given and what it makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from lossmith.report.data import check_pairs
from lossmith.report.figures.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    ERROR,
    INK,
    MUTED,
    literal,
    single_axes,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED_CLASSES = 24
PAIRS_PER_ROW = 10


def embedding_map(points: ArrayLike, labels: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Draws embeddings in the plane, coloured by class; beyond two dimensions by their PCA.

    Args:
        points: `(N, D)` finite embeddings; D = 1 is drawn on a line.
        labels: `(N,)` class ids in `0 .. len(class_names) - 1`.
        class_names: The name of each class id.

    Returns:
        The figure.

    Raises:
        ValueError: If shapes or labels do not fit or there are fewer than two points.

    Example:
        >>> figure = embedding_map([[0, 0], [1, 1], [5, 5]], [0, 0, 1], ["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['cat', 'dog']
    """
    points, labels = np.asarray(points, dtype=np.float64), np.asarray(labels)
    _check_embedding(points, labels, class_names)
    plane, xlabel, ylabel = _in_the_plane(points)
    figure, axes = single_axes(width=9, height=5.6)
    present = np.unique(labels)
    size = float(np.clip(20_000 / len(points), 6, 40))
    for class_id in present:
        marker = CLASS_MARKERS[class_id // len(CLASS_COLOURS) % len(CLASS_MARKERS)]
        x, y = plane[labels == class_id].T
        axes.scatter(
            x,
            y,
            s=size,
            color=CLASS_COLOURS[class_id % len(CLASS_COLOURS)],
            marker=marker,
            alpha=0.75,
            linewidths=0,
            label=literal(class_names[class_id]),
            rasterized=len(points) > 1000,
        )
    tidy(axes, xlabel, ylabel)
    axes.set_aspect("equal", adjustable="datalim")
    if len(present) <= NAMED_CLASSES:
        _name_classes(axes, plane, labels, class_names)
        axes.legend(
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            markerscale=(40 / size) ** 0.5,
        )
    return figure


def sample_pairs(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, distances: ArrayLike, threshold: float
) -> Figure:
    r"""Draws pairs one above the other with distance and verdict; errors are framed and named.

    Args:
        first: `(N, H, W, C)` images in [0, 1] with 1 or 3 channels.
        second: The other image of each pair, of the same shape.
        labels: `(N,)`, 1 for same and 0 for different.
        distances: `(N,)` finite distances.
        threshold: Pairs below it are called same.

    Returns:
        The figure.

    Raises:
        ValueError: If shapes do not fit, there is no pair, or labels are neither 0 nor 1.

    Example:
        >>> images = np.zeros((2, 8, 8, 1))
        >>> figure = sample_pairs(images, images, [1, 0], [0.2, 0.3], threshold=0.5)
        >>> [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
        ['0.20\nsame', '0.30\nerror:\ncalled same']
    """
    first, second = np.asarray(first), np.asarray(second)
    labels, distances = np.asarray(labels), np.asarray(distances)
    check_pairs(distances, labels)
    _check_images(first, second, len(labels))
    columns = min(len(labels), PAIRS_PER_ROW)
    blocks = math.ceil(len(labels) / columns)
    figure = Figure(figsize=(1.15 * columns + 0.3, 3.3 * blocks), layout="constrained")
    for pair, (label, distance) in enumerate(zip(labels, distances, strict=True)):
        called_same = distance < threshold
        is_error = called_same != (label == 1)
        block, column = divmod(pair, columns)
        for row, image in enumerate((first[pair], second[pair])):
            position = (2 * block + row) * columns + column + 1
            axes = figure.add_subplot(2 * blocks, columns, position)
            show_image(axes, image, framed=is_error)
        verdict = "same" if called_same else "different"
        axes.set_xlabel(
            f"{distance:.2f}\n" + (f"error:\ncalled {verdict}" if is_error else verdict),
            color=ERROR if is_error else INK,
            fontweight="bold" if is_error else "normal",
            fontsize=9,
        )
    return figure


def _check_embedding(
    points: NDArray[Any], labels: NDArray[Any], class_names: Sequence[str]
) -> None:
    if points.ndim != 2 or labels.shape != points.shape[:1] or len(points) < 2:
        raise ValueError(
            "An embedding needs points (N, D) and class ids (N,) with N >= 2; got shapes "
            f"{points.shape} and {labels.shape}."
        )
    if not np.isfinite(points).all():
        raise ValueError("Embedded points must be finite; these hold NaN or infinity.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(
            f"Class ids are integers from 0 to {len(class_names) - 1}, one for each class name; "
            f"got {labels.dtype} from {labels.min()} to {labels.max()}."
        )


def _in_the_plane(points: NDArray[Any]) -> tuple[NDArray[Any], str, str]:
    """Two coordinates per point and what they are called."""
    if points.shape[1] == 1:
        return np.column_stack([points, np.zeros(len(points))]), "embedding", ""
    if points.shape[1] == 2:
        return points, "first coordinate", "second coordinate"
    from sklearn.decomposition import PCA

    # The automatic solver turns to a random one for large inputs. Collapsed points have no variance
    # to take shares of.
    with np.errstate(invalid="ignore"):
        pca = PCA(n_components=2, svd_solver="full").fit(points)
    first, second = np.nan_to_num(pca.explained_variance_ratio_)
    return (
        pca.transform(points),
        f"first principal component ({first:.0%} of the variance)",
        f"second principal component ({second:.0%})",
    )


def _name_classes(
    axes: Axes, plane: NDArray[Any], labels: NDArray[Any], class_names: Sequence[str]
) -> None:
    """Writes each name into the middle of its class, so that colour is not all that tells."""
    for class_id in np.unique(labels):
        axes.annotate(
            literal(class_names[class_id]),
            np.median(plane[labels == class_id], axis=0),
            ha="center",
            va="center",
            color=INK,
            fontweight="bold",
            bbox={"facecolor": ("white", 0.75), "edgecolor": "none", "boxstyle": "round,pad=0.1"},
        )


def _check_images(first: NDArray[Any], second: NDArray[Any], pairs: int) -> None:
    if (
        first.shape != second.shape
        or first.ndim != 4
        or len(first) != pairs
        or pairs == 0
        or first.shape[-1] not in (1, 3)
    ):
        raise ValueError(
            "Pairs of images are two arrays (N, H, W, C) of one shape, N >= 1 and C = 1 or 3, with "
            f"one label each; got {first.shape}, {second.shape} and {pairs} labels."
        )


def show_image(axes: Axes, image: NDArray[Any], framed: bool) -> None:
    """Shows an image in [0, 1] without axes; a frame in the colour of errors marks it."""
    pixels = np.broadcast_to(np.clip(image, 0.0, 1.0), (*image.shape[:2], 3))
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(ERROR if framed else MUTED)
    axes.spines[:].set_linewidth(3 if framed else 0.5)
