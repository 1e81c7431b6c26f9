"""The figures of a report with what is said about them."""

from __future__ import annotations

import base64
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import matplotlib as mpl

from lossmith.report import figures
from lossmith.report.data import Embedding, ReportData, Roc, SamplePairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Section:
    """A figure with its heading, the text in place of it, and how to read it."""

    heading: str
    source: str
    alt: str
    caption: str
    is_wide: bool = True


def sections(data: ReportData) -> list[Section]:
    """The sections that there is data for, in the order of the report."""
    found = [_distances(data)]
    if data.roc is not None:
        found.append(_roc(data, data.roc))
    if data.pairs is not None:
        found.append(_pairs(data, data.pairs))
    if data.embedding is not None:
        found.append(_embedding(data.embedding))
    if data.history:
        found.append(_history(data))
    return found


def _distances(data: ReportData) -> Section:
    figure = figures.distance_histogram(data.distances, data.labels, data.threshold, data.margin)
    margin = " Training does not push different pairs beyond the margin." if data.margin else ""
    return Section(
        "Distances",
        embedded(figure),
        "Histogram of the distances of same and of different pairs, with a line at the threshold",
        "Pairs left of the threshold are called same. Blue to the right of it and orange to the "
        f"left of it are errors.{margin}",
        is_wide=False,
    )


def _roc(data: ReportData, roc: Roc) -> Section:
    false_accepts, false_rejects = data.error_rates
    in_use = (false_accepts, 1 - false_rejects)
    bars = f" Bars are {data.confidence:.0%} intervals of both rates." if roc.points else ""
    return Section(
        "Every threshold at once (ROC)",
        embedded(figures.roc_curve(roc.far, roc.tar, roc.eer, in_use, roc.points)),
        f"ROC curve; at the threshold in use {in_use[0]:.1%} of the different and {in_use[1]:.1%} "
        "of the same pairs are called same",
        "A larger threshold calls more pairs same, rightly and wrongly. The nearer the curve comes "
        f"to the upper left corner, the better.{bars}",
        is_wide=False,
    )


def _pairs(data: ReportData, pairs: SamplePairs) -> Section:
    errors = int(((pairs.distances < data.threshold) != (pairs.labels == 1)).sum())
    figure = figures.sample_pairs(
        pairs.first, pairs.second, pairs.labels, pairs.distances, data.threshold
    )
    return Section(
        "Sample pairs",
        embedded(figure),
        f"{len(pairs.labels)} pairs of images with distance and verdict, {errors} of them wrong",
        "The two images of a pair stand one above the other, with their distance and what they are "
        "called below. Errors have a red frame and say so.",
    )


def _embedding(embedding: Embedding) -> Section:
    figure = figures.embedding_map(embedding.points, embedding.labels, embedding.class_names)
    dimensions = embedding.points.shape[1]
    shown = "" if dimensions <= 2 else f" ({dimensions} dimensions, seen along the two widest)"
    return Section(
        "Map of the embedding",
        embedded(figure),
        f"Scatter plot of {len(embedding.points)} embedded images, coloured by class",
        f"Every dot is one image{shown}. Images of one class should lie together and apart from "
        "the others.",
    )


def _history(data: ReportData) -> Section:
    epochs = max(len(values) for values in data.history.values())
    return Section(
        "Training",
        embedded(figures.training_curves(data.history)),
        f"Curves of {', '.join(data.history)} over {epochs} epochs",
        "A validation curve that turns up while the training curve falls means that training went "
        "on too long.",
    )


def embedded(figure: Figure) -> str:
    """The figure as a `data:` address of an SVG image, the same for the same figure."""
    content = BytesIO()
    # Text stays text: the browser has fonts for scripts that Matplotlib's own font lacks.
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lossmith"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(content, format="svg", metadata={"Date": None}, dpi=144)
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
