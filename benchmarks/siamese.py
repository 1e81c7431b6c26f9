"""The Siamese lab's network and settings against lossmith's own, on the lab's Fashion-MNIST pairs.

    python benchmarks/siamese.py [--seeds 3] [--json FILE]

Both are trained one after the other in the same process, once per seed, on the backend that
`KERAS_BACKEND` names. Both thresholds are chosen on validation images that were not trained on;
the figures are those of the lab's 19,980 pairs of the official test images.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lossmith import datasets
from lossmith.core.backend import keras
from lossmith.siamese import balanced_pairs, lab_pairs, verification_report
from lossmith.siamese.evaluation import embed_items, pair_distances
from lossmith.siamese.settings import Preset, settings_for
from lossmith.siamese.training import LabelledItems, train

LAB_THRESHOLD = 0.5


def measure(images: datasets.LabelledImages, preset: Preset, seed: int) -> dict[str, float]:
    """Train with a preset and take the figures of the lab's test pairs."""
    settings = settings_for(len(images), preset, seed=seed)
    parts = images.split((1 - settings.validation_share, settings.validation_share, 0), seed)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        training = train(
            settings,
            LabelledItems(parts.train.images, parts.train.labels),
            LabelledItems(parts.validation.images, parts.validation.labels),
            Path(folder),
        )
    seconds = time.perf_counter() - begin
    encoder = training.network.encoder

    pairs, same = balanced_pairs(parts.validation.labels, seed)
    distances = pair_distances(
        embed_items(encoder, parts.validation.images), pairs, settings.distance
    )
    threshold = verification_report(distances, same, resamples=100).best.threshold.value

    pairs, same = lab_pairs(parts.test.labels)
    distances = pair_distances(embed_items(encoder, parts.test.images), pairs, settings.distance)
    report = verification_report(distances, same, items=pairs, threshold=threshold)
    assert report.given is not None
    figures = {
        "seconds": seconds,
        "accuracy": report.given.accuracy.value,
        "low": report.given.accuracy.low,
        "high": report.given.accuracy.high,
        "equal_error_rate": report.equal_error_rate.value,
        "threshold": threshold,
    }
    if settings.loss.targets == "pair":
        figures["test_loss"] = float(settings.loss(same, distances))
        figures["accuracy_at_0.5"] = float(np.mean((distances < LAB_THRESHOLD) == (same == 1)))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = datasets.load("fashion-mnist")
    presets: tuple[Preset, ...] = ("lab", "default")
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for preset in presets:
            figures = measure(images, preset, seed)
            runs.append({"preset": preset, "seed": seed, **figures})
            shown = {name: round(value, 4) for name, value in figures.items()}
            print(preset, seed, shown, flush=True)
            keras.backend.clear_session()
    summary = summarise(runs)
    print(json.dumps(summary, indent=2))
    if options.json:
        options.json.write_text(json.dumps({"runs": runs, "summary": summary}, indent=2) + "\n")


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, with the smallest and the largest, and the ratio of the times."""
    summary: dict[str, Any] = {"backend": keras.backend.backend()}
    for preset in ("lab", "default"):
        own = [run for run in runs if run["preset"] == preset]
        for name in ("accuracy", "seconds", "test_loss", "accuracy_at_0.5"):
            values = [run[name] for run in own if name in run]
            if values:
                spread = [np.mean(values), min(values), max(values)]
                summary[f"{preset} {name}"] = [round(float(value), 4) for value in spread]
    pairs = zip(runs[::2], runs[1::2], strict=True)
    ratios = [default["seconds"] / lab["seconds"] for lab, default in pairs]
    summary["time, default / lab"] = [round(ratio, 3) for ratio in ratios]
    return summary


if __name__ == "__main__":
    main()
