"""Losses over all pairs as pytorch-metric-learning and sentence-transformers have them.

Both run on PyTorch, line by line. Where one is not installed its rows say so.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

Loss = Callable[[Any, Any], Any]

LARGEST = {
    "contrastive": 8192,
    "supcon": 8192,
    "nt-xent": 256,
    "triplet, hardest": 8192,
    "multi-similarity": 8192,
    "triplet, all": 1024,
}
"""The batch up to which pytorch-metric-learning and sentence-transformers are run: the next size
needs more than the 24 GB of the machine (NT-Xent: positives x negatives; triplets: B^3), or more
minutes than a table is worth."""


def peers(name: str) -> dict[str, Loss]:
    """The implementations of other libraries that are installed, by their names."""
    found: dict[str, Loss] = {}
    if importlib.util.find_spec("pytorch_metric_learning"):
        found["PML"] = _of_metric_learning(name)
    if importlib.util.find_spec("sentence_transformers") and name.startswith("triplet"):
        found["ST"] = _of_sentence_transformers(name)
    return found


def _of_metric_learning(name: str) -> Loss:
    from pytorch_metric_learning import distances, losses, miners, reducers

    squared = distances.LpDistance(normalize_embeddings=False, power=2)
    mean = reducers.MeanReducer()
    if name == "triplet, hardest":
        triplet = losses.TripletMarginLoss(margin=0.2, distance=squared, reducer=mean)
        mine = miners.BatchHardMiner(distance=squared)
        return lambda y, p: triplet(p, y, mine(p, y))
    made = {
        "contrastive": lambda: losses.ContrastiveLoss(
            distance=distances.LpDistance(normalize_embeddings=False), reducer=mean
        ),
        "supcon": lambda: losses.SupConLoss(temperature=0.1),
        "nt-xent": lambda: losses.NTXentLoss(temperature=0.5),
        "multi-similarity": lambda: losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
        "triplet, all": lambda: losses.TripletMarginLoss(margin=0.2, distance=squared),
    }[name]()
    return lambda y, p: made(p, y)


def _of_sentence_transformers(name: str) -> Loss:
    from sentence_transformers import losses
    from torch import nn

    if name == "triplet, hardest":
        hardest = losses.BatchHardTripletLoss(nn.Identity(), margin=0.2)
        return lambda y, p: hardest.batch_hard_triplet_loss(y, p)
    every = losses.BatchAllTripletLoss(nn.Identity(), margin=0.2)
    return lambda y, p: every.batch_all_triplet_loss(y, p)
