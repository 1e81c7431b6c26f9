"""A query beside what was found for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from lossmith.report.figures.pictures import show_image
from lossmith.report.figures.style import INK, MUTED, literal

PER_ROW = 6


def nearest_images(
    query: ArrayLike,
    images: ArrayLike,
    classes: Sequence[str],
    distances: ArrayLike,
    threshold: float,
) -> Figure:
    r"""Draws an image and those nearest to it, with the class, distance and verdict of each.

    Args:
        query: `(H, W, C)`, an image in [0, 1] with 1 or 3 channels.
        images: `(N, H, W, C)`, its neighbours, the nearest first.
        classes: The name of the class of each.
        distances: `(N,)`, their distances from the query.
        threshold: Below it two images are called same.

    Returns:
        The figure.

    Raises:
        ValueError: If the parts differ in number, or there are no neighbours.

    Example:
        >>> figure = nearest_images(np.zeros((8, 8, 1)), np.ones((1, 8, 8, 1)), ["cat"], [0.2], 0.5)
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['query', 'cat\n0.200, same']
    """
    shown, measured = np.asarray(images), np.asarray(distances)
    if not len(shown) == len(classes) == len(measured) or len(shown) == 0:
        raise ValueError(
            "Neighbours need a class and a distance each, and at least one neighbour; got "
            f"{len(shown)} images, {len(classes)} classes and {len(measured)} distances."
        )
    rows = math.ceil((1 + len(shown)) / PER_ROW)
    columns = min(1 + len(shown), PER_ROW)
    figure = Figure(figsize=(1.6 * columns + 0.2, 2.2 * rows), layout="constrained")
    axes = figure.add_subplot(rows, columns, 1)
    show_image(axes, np.asarray(query), framed=False)
    axes.set_xlabel("query", color=INK, fontweight="bold", fontsize=9)
    for place, (image, name, distance) in enumerate(zip(shown, classes, measured, strict=True), 2):
        axes = figure.add_subplot(rows, columns, place)
        show_image(axes, image, framed=False)
        is_same = distance < threshold
        axes.set_xlabel(
            f"{literal(name)}\n{distance:.3f}, {'same' if is_same else 'different'}",
            color=INK if is_same else MUTED,
            fontsize=9,
        )
    return figure
