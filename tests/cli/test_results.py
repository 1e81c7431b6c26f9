"""What is said of the figures of an evaluation, on the screen and in the report."""

from pathlib import Path

import numpy as np
import pytest

from lossmith.datasets import ArrayImages, LabelledImages
from lossmith.siamese import balanced_pairs
from lossmith.siamese.evaluation import pair_distances
from lossmith_cli import results

pytestmark = pytest.mark.backend_free

GUESSING, TOO_FEW = "no better than guessing", "held-out images are too few to tell"


def evaluation_of(embeddings: np.ndarray) -> results.Evaluation:
    """One of two classes that take turns, with one number to embed each image."""
    labels = np.arange(len(embeddings)) % 2
    pixels = np.zeros((len(labels), 4, 4, 1), np.uint8)
    images = LabelledImages(ArrayImages(pixels, white=255), labels, ("a", "b"))
    pairs, same = balanced_pairs(labels, 0)
    distances = pair_distances(embeddings, pairs, "euclidean")
    return results.Evaluation(images, embeddings, pairs, same, distances, 0.5, "euclidean")


@pytest.mark.parametrize(
    ("embeddings", "told"),
    [
        (np.arange(8) % 2, TOO_FEW),
        (np.arange(60) // 2, GUESSING),
        (np.arange(60) % 2, None),
    ],
)
def test_what_is_no_better_than_guessing_is_told_from_what_cannot_be_known(
    embeddings: np.ndarray,
    told: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluation = evaluation_of(embeddings[:, np.newaxis].astype("float32"))
    figures, retrieval = evaluation.report(), evaluation.retrieval()
    results.print_report(figures, retrieval)
    results.write_html(
        tmp_path / "report.html", evaluation, figures, retrieval,
        title="", config={}, history={}, margin=None,
    )  # fmt: skip
    for said in (capsys.readouterr().err, (tmp_path / "report.html").read_text()):
        assert {text for text in (GUESSING, TOO_FEW) if text in said} == {told} - {None}
