"""Losses over all pairs in plain NumPy: loops over anchors, as the docstrings say it."""

import numpy as np
import scipy.special


def weights_of(y, weights):
    return np.ones(len(y)) if weights is None else np.asarray(weights, float)


def same(a, b):
    """One id each, or a label in common."""
    return bool(np.any(np.logical_and(a, b))) if np.ndim(a) else a == b


def distance(a, b, name="euclidean"):
    if name == "cosine":
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        return 1 - a @ b / lengths if lengths else float(np.any(a != b))
    gap = np.linalg.norm(a - b)
    return gap**2 if name == "squared_euclidean" else gap


def unit(p):
    length = np.linalg.norm(p, axis=1, keepdims=True)
    return np.divide(p, length, out=np.zeros_like(p), where=length > 0)


def groups(y, weights, i):
    """The positives and negatives of an anchor."""
    others = [j for j in range(len(y)) if j != i and weights[j] > 0]
    positives = [j for j in others if same(y[i], y[j])]
    return positives, [j for j in others if j not in positives]


def all_pairs_contrastive(
    y,
    p,
    weights=None,
    margin=1.0,
    positive_margin=0.0,
    squared=True,
    average="all",
    **options,
):
    weights = weights_of(y, weights)
    power = 2 if squared else 1
    kinds = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for i in range(len(y)):
        for j in range(len(y)):
            weight = weights[i] * weights[j]
            if i == j or weight == 0:
                continue
            alike = same(y[i], y[j])
            gap = distance(p[i], p[j], options.get("distance", "euclidean"))
            hinge = max(gap - positive_margin, 0) if alike else max(margin - gap, 0)
            kinds[alike][0] += weight * hinge**power
            kinds[alike][1] += weight * (average == "all" or hinge > 0)
    return sum(value / count for value, count in kinds.values() if count)


def supervised_contrastive(y, p, weights=None, temperature=0.1, inside=False):
    weights = weights_of(y, weights)
    similarity = unit(p) @ unit(p).T / temperature
    total = anchors = 0.0
    for i in range(len(y)):
        positives, negatives = groups(y, weights, i)
        if not positives or weights[i] == 0:
            continue
        others = positives + negatives
        partition = scipy.special.logsumexp(similarity[i, others], b=weights[others])
        if inside:
            attraction = scipy.special.logsumexp(
                similarity[i, positives], b=weights[positives] / weights[positives].sum()
            )
        else:
            attraction = np.average(similarity[i, positives], weights=weights[positives])
        total += weights[i] * (partition - attraction)
        anchors += weights[i]
    return total / anchors if anchors else 0.0
