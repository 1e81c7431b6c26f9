"""Recall@k and MAP@R against the bare matrix product, and streamed ROC against scikit-learn's.

    python benchmarks/retrieval.py [--cores 1] [--queries 50000] [--rounds 5] [--groups ROC]
                                   [--json FILE]

Retrieval: queries against a gallery of 50,000 embeddings of 128 numbers, float32, once with few
items in a class and once with many. The bare product makes the same scores, a block of 64 MiB at
a time, and keeps none; scikit-learn finds the ten nearest by brute force, from which recall@10
would follow.
ROC: ten million pairs, scikit-learn's `roc_curve` and `auc` on arrays in memory against
`VerificationScores`, which takes them batch by batch. Peak memory comes from a process per case.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Case, Effort, best, clock_for, environment, markdown, measure, pin_to, ratio

GALLERY, DIMENSIONS, NEIGHBOURS = 50_000, 128, 10
CLASS_SIZES = (10, 5_000)
AT_ONCE = 2**24 // GALLERY
PAIRS, BATCH = 10_000_000, 2**20
PACKAGES = ("numpy", "scikit-learn")
SEED = 0


def embedded(items: int, class_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Items scattered about the centre of their class, as far as an untrained class reaches."""
    centres = np.random.default_rng(SEED).normal(size=(GALLERY // class_size, DIMENSIONS))
    rng = np.random.default_rng(seed)
    labels = np.arange(items) % len(centres)
    scatter = 2.0 * rng.normal(size=(items, DIMENSIONS))
    return (centres[labels] + scatter).astype(np.float32), labels


def retrieval_cases(queries: int, class_size: int) -> dict[str, Case]:
    """The same neighbours three times: figures, product and scikit-learn."""
    from sklearn.neighbors import NearestNeighbors

    from lossmith.siamese import retrieval_report

    asked, labels = embedded(queries, class_size, SEED + 1)
    gallery, gallery_labels = embedded(GALLERY, class_size, SEED + 2)
    block = np.empty((AT_ONCE, GALLERY), dtype=np.float32)
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(gallery)

    def product() -> None:
        for start in range(0, queries, AT_ONCE):
            rows = asked[start : start + AT_ONCE]
            np.matmul(rows, gallery.T, out=block[: len(rows)])

    def figures() -> object:
        return retrieval_report(asked, labels, gallery=gallery, gallery_labels=gallery_labels)

    return {
        "product": product,
        "lossmith": figures,
        "scikit-learn": lambda: search.kneighbors(asked, return_distance=False),
    }


def roc_cases() -> dict[str, Case]:
    """The area under the curve and the equal error rate of the same pairs twice."""
    from sklearn.metrics import auc, roc_curve

    from lossmith.siamese import VerificationScores

    rng = np.random.default_rng(SEED)
    labels = rng.integers(0, 2, PAIRS, dtype=np.int32)
    distances = np.abs(rng.normal(np.where(labels == 1, 0.4, 1.0), 0.3)).astype(np.float32)

    def in_memory() -> tuple[float, float]:
        false, true, _ = roc_curve(labels, -distances)
        return float(auc(false, true)), float(np.interp(1.0, false + true, false))

    def streamed() -> tuple[float, float]:
        scores = VerificationScores()
        for start in range(0, PAIRS, BATCH):
            scores.update(distances[start : start + BATCH], labels[start : start + BATCH])
        counts = scores.counts()
        return counts.auc(), counts.equal_error_rate()

    return {"lossmith": streamed, "scikit-learn": in_memory}


def roc_errors() -> dict[str, float]:
    """How far the streamed figures are from those of all distances."""
    cases = roc_cases()
    exact, streamed = cases["scikit-learn"](), cases["lossmith"]()
    return dict(zip(("auc", "eer"), np.abs(np.subtract(exact, streamed)).tolist(), strict=True))


def groups(queries: int) -> dict[str, tuple[Callable[..., dict[str, Case]], tuple[int, ...]]]:
    """How to make the cases of each group."""
    retrieval: dict[str, Any] = {
        f"{size} in a class": (retrieval_cases, (queries, size)) for size in CLASS_SIZES
    }
    return {**retrieval, "ROC": (roc_cases, ())}


def peak_memory(queries: int, group: str, case: str) -> float:
    """MiB that a case adds to what its process held before, at the highest."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_added_memory, (queries, group, case))


def _added_memory(queries: int, group: str, case: str) -> float:
    make, arguments = groups(queries)[group]
    run = make(*arguments)[case]
    watermark, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    watermark.write_text("5")
    before = _kibibytes(status, "VmRSS")
    run()
    return (_kibibytes(status, "VmHWM") - before) / 1024


def _kibibytes(status: Path, name: str) -> int:
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def row(group: str, name: str, times: Mapping[str, list[float]], memory: float) -> list[str]:
    """A line of the table: seconds, ratio to the group's limit or peer, memory."""
    reference = "scikit-learn" if group == "ROC" else "product"
    if group == "ROC" and name != reference:
        # How many times faster, as the claim is made.
        middle, lower, upper = ratio(times[reference], times[name])
    else:
        middle, lower, upper = ratio(times[name], times[reference])
    spread = "1" if name == reference else f"{middle:.2f} [{lower:.2f}, {upper:.2f}]"
    return [group, name, f"{best(times[name]):.3f}", spread, f"{memory:.0f}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--cores", type=int, default=1, help="1 measures CPU time, more wall time")
    parser.add_argument("--queries", type=int, default=GALLERY)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--groups", nargs="+", choices=list(groups(0)), default=list(groups(0)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pin_to(options.cores)
    load = os.getloadavg()[0]
    rows, results = [], {}
    for group in options.groups:
        make, arguments = groups(options.queries)[group]
        cases = make(*arguments)
        times = measure(cases, Effort(options.rounds, 1), clock_for(options.cores))
        memory = {name: peak_memory(options.queries, group, name) for name in cases}
        rows += [row(group, name, times, memory[name]) for name in cases]
        results[group] = {"seconds": times, "added_mib": memory}
        print(*rows[-len(cases) :], sep="\n", flush=True)
    errors = roc_errors() if "ROC" in options.groups else None
    print(environment(PACKAGES, options.cores), f"load {load:.1f} at the start", sep="; ")
    print(f"{options.queries:,} queries, gallery {GALLERY:,} x {DIMENSIONS}; {PAIRS:,} pairs")
    print(markdown(["what", "how", "seconds", "ratio", "added MiB"], rows))
    if errors:
        print(f"Error of the streamed figures: {errors}")
    if options.json:
        content = {"load": load, "options": vars(options) | {"json": None}, "errors": errors}
        options.json.write_text(json.dumps({**content, "groups": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
