"""From a network and labelled images to figures, and from those to metrics and a report."""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rich.table import Table

from lossmith.datasets import LabelledImages
from lossmith.distances import Name as DistanceName
from lossmith.report import (
    Embedding,
    ReportData,
    Roc,
    RocPoint,
    SamplePairs,
    SummaryRow,
    write_report,
)
from lossmith.siamese import (
    RetrievalReport,
    SiameseNetwork,
    balanced_pairs,
    lab_pairs,
    retrieval_report,
    verification_report,
)
from lossmith.siamese.distance_counts import DistanceCounts
from lossmith.siamese.evaluation import embed_items, pair_distances
from lossmith.siamese.figures import Estimate, VerificationReport, on_too_few
from lossmith.siamese.settings import TrainingSettings
from lossmith_cli.messages import note, out

TestPairs = Literal["balanced", "lab"]

_MAPPED_IMAGES = 2000
_SHOWN_PAIRS = 10
_ROC_POINTS = 500
_GUESSING, _HALF_WAY = 0.5, 0.75
"""Areas under the ROC curve: of guessing, and half-way from there to that of no error."""
_EXPLANATIONS = {
    "Accuracy at the threshold": "share of the pairs told rightly",
    "Same pairs accepted": "share of the same pairs that are called same",
    "Different pairs accepted": "share of the different pairs that are called same",
    "Area under the ROC curve": "how often a same pair is closer than a different one",
    "Equal error rate": "share of wrong answers where both kinds of error are equally frequent",
    "MAP@R": "how much of an image's nearest R, the number of others in its class, is that class",
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network makes of the pairs of some images."""

    images: LabelledImages
    embeddings: npt.NDArray[Any]
    pairs: npt.NDArray[np.int64]
    same: npt.NDArray[np.int32]
    distances: npt.NDArray[Any]
    threshold: float | None
    distance: DistanceName

    def report(self) -> VerificationReport:
        """All figures with their intervals, those of the threshold included if there is one."""
        return verification_report(
            self.distances, self.same, items=self.pairs, threshold=self.threshold
        )

    def retrieval(self) -> RetrievalReport:
        """How well each image finds those of its class among the others."""
        return retrieval_report(self.embeddings, self.images.labels, distance=self.distance)


def test_pairs_of(settings: TrainingSettings) -> TestPairs:
    """The pairs that a network trained with these settings is tested on."""
    return "lab" if settings.pairing == "lab" else "balanced"


def evaluate(
    network: SiameseNetwork, images: LabelledImages, kind: TestPairs, seed: int
) -> Evaluation:
    """Embeds every image once and measures the distances of balanced pairs or the lab's."""
    make_pairs = lab_pairs if kind == "lab" else balanced_pairs
    pairs, same = make_pairs(images.labels, seed)
    embeddings = embed_items(network.encoder, images.images)
    distance = network.get_config()["distance"]
    measured = pair_distances(embeddings, pairs, distance)
    return Evaluation(images, embeddings, pairs, same, measured, network.threshold, distance)


def write_html(
    path: Path,
    evaluation: Evaluation,
    figures: VerificationReport,
    retrieval: RetrievalReport,
    *,
    title: str,
    config: Mapping[str, Any],
    history: Mapping[str, list[float]],
    margin: float | None,
    notes: tuple[str, ...] = (),
    overwrite: bool = False,
) -> None:
    """Writes the report of an evaluation."""
    threshold = evaluation.threshold
    if threshold is None:
        raise ValueError("A report needs a threshold.")
    data = ReportData(
        title=title,
        description="Figures of pairs of images that were not trained on, at a threshold that was "
        "chosen on others.",
        summary=[
            SummaryRow(name, each.value, each.low, each.high, _explanation(name))
            for name, each in (headline(figures) | _retrieved(retrieval)).items()
        ],
        distances=evaluation.distances,
        labels=evaluation.same,
        threshold=threshold,
        margin=margin,
        roc=_roc(evaluation, figures),
        history=history,
        embedding=_embedding(evaluation),
        pairs=_sample_pairs(evaluation, threshold),
        config=json.loads(json.dumps(config)),
        notes=(
            *notes,
            *_on_guessing(figures.auc),
            *_on_too_few(figures, retrieval),
            f"Of the sample pairs the first {_SHOWN_PAIRS} are drawn at random; the others are "
            "drawn from the errors.",
        ),
        confidence=figures.confidence,
    )
    write_report(path, data, overwrite=overwrite)


def print_report(report: VerificationReport, retrieval: RetrievalReport) -> None:
    """The figures of an evaluation as a table."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{report.same_pairs:,} same, {report.different_pairs:,} different pairs")
    table.add_column("", justify="right")
    table.add_column(f"{report.confidence:.0%} interval", justify="right")
    for name, figure in (headline(report) | _retrieved(retrieval)).items():
        table.add_row(name, f"{figure.value:.4f}", f"{figure.low:.4f} - {figure.high:.4f}")
    out.print(table, soft_wrap=False)
    for text in (*_on_guessing(report.auc), *_on_too_few(report, retrieval)):
        note(text)


def headline(report: VerificationReport) -> dict[str, Estimate]:
    """The figures that matter, most important first.

    Raises:
        ValueError: If the report is not about a given threshold.
    """
    if report.given is None:
        raise ValueError("A headline needs a report on a threshold chosen elsewhere.")
    return {
        "Accuracy at the threshold": report.given.accuracy,
        "Same pairs accepted": report.given.true_accept_rate,
        "Different pairs accepted": report.given.false_accept_rate,
        "Area under the ROC curve": report.auc,
        "Equal error rate": report.equal_error_rate,
    }


def _on_guessing(area: Estimate) -> tuple[str, ...]:
    """What an area under the ROC curve means whose interval holds that of guessing."""
    if area.low > _GUESSING:
        return ()
    if area.value < _HALF_WAY:
        return (
            "The network tells same from different no better than guessing, as far as these images "
            "can show: train for longer, or on more images.",
        )
    return (
        f"The held-out images are too few to tell whether this is better than guessing: the area "
        f"under the ROC curve, {area.value:.4f} on them, may be anything from {area.low:.2f} to "
        f"{area.high:.2f}, and guessing has {_GUESSING}. Hold out more: give more images.",
    )


def _on_too_few(report: VerificationReport, retrieval: RetrievalReport) -> tuple[str, ...]:
    """One sentence of the two reports, which are on the same images."""
    if report.too_few:
        return (on_too_few(report.resampled),)
    return (on_too_few("queries"),) if retrieval.too_few else ()


def _retrieved(report: RetrievalReport) -> dict[str, Estimate]:
    recalls = {f"Recall@{k}": figure for k, figure in report.recall_at.items()}
    return {**recalls, "MAP@R": report.map_at_r}


def _explanation(name: str) -> str:
    recall, _, k = name.partition("@")
    if recall == "Recall":
        nearest = "the nearest other image" if k == "1" else f"one of the {k} nearest other images"
        return f"share of the images with {nearest} of their own class"
    return _EXPLANATIONS[name]


def _roc(evaluation: Evaluation, figures: VerificationReport) -> Roc:
    curve = DistanceCounts.from_distances(evaluation.distances, evaluation.same).roc()
    points = len(curve.thresholds)
    chosen = np.unique(np.linspace(0, points - 1, min(points, _ROC_POINTS)).round().astype(int))
    measured = [target.point for target in figures.at_false_accept_rate if target.attainable]
    if figures.given is not None:
        measured.append(figures.given)
    return Roc(
        curve.false_accept_rate[chosen],
        curve.true_accept_rate[chosen],
        figures.equal_error_rate.value,
        [
            RocPoint(astuple(point.false_accept_rate), astuple(point.true_accept_rate))
            for point in measured
        ],
    )


def _embedding(evaluation: Evaluation) -> Embedding:
    count = len(evaluation.images)
    chosen = np.random.default_rng(0).permutation(count)[:_MAPPED_IMAGES]
    return Embedding(
        evaluation.embeddings[chosen],
        evaluation.images.labels[chosen],
        evaluation.images.class_names,
    )


def _sample_pairs(evaluation: Evaluation, threshold: float) -> SamplePairs:
    """Pairs drawn blindly, which show how frequent errors are, then errors alone."""
    order = np.random.default_rng(0).permutation(len(evaluation.same))
    called_same = evaluation.distances < threshold
    errors = order[(called_same != (evaluation.same == 1))[order]]
    drawn = np.concatenate([order[:_SHOWN_PAIRS], errors[:_SHOWN_PAIRS]])
    left, right = evaluation.pairs[drawn].T
    return SamplePairs(
        evaluation.images.images[left],
        evaluation.images.images[right],
        evaluation.same[drawn],
        evaluation.distances[drawn],
    )
