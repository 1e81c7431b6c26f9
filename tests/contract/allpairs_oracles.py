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


def mean_over_anchors(y, weights, value_of):
    """`value_of(i, positives, negatives)` gives a value and a count."""
    weights = weights_of(y, weights)
    value = count = 0.0
    for i in np.flatnonzero(weights):
        parts = value_of(i, *groups(y, weights, i))
        value, count = value + weights[i] * parts[0], count + weights[i] * parts[1]
    return value / count if count else 0.0


def similarities(p):
    return np.clip(unit(p) @ unit(p).T, -1, 1)


def distances(p, name):
    return np.array([[distance(a, b, name) for b in p] for a in p])


def weighted_logsumexp(values, weights):
    return scipy.special.logsumexp(values, b=weights) if len(values) else -np.inf


def nt_xent(y, p, weights=None, temperature=0.5):
    w, s = weights_of(y, weights), similarities(p) / temperature

    def anchor(i, positives, negatives):
        terms = [
            w[j] * np.logaddexp(0, weighted_logsumexp(s[i, negatives], w[negatives]) - s[i, j])
            for j in positives
        ]
        return sum(terms), w[positives].sum()

    return mean_over_anchors(y, weights, anchor)


def multi_similarity(y, p, weights=None, alpha=2.0, beta=50.0, base=0.5, epsilon=0.1):
    w, s = weights_of(y, weights), similarities(p)

    def anchor(i, positives, negatives):
        pull, push = positives, negatives
        if epsilon is not None:
            hardest = max(s[i, negatives], default=-np.inf), min(s[i, positives], default=np.inf)
            pull = [j for j in positives if s[i, j] - epsilon < hardest[0]]
            push = [j for j in negatives if s[i, j] + epsilon > hardest[1]]
        pull = np.log1p(np.sum(w[pull] * np.exp(-alpha * (s[i, pull] - base)))) / alpha
        push = np.log1p(np.sum(w[push] * np.exp(beta * (s[i, push] - base)))) / beta
        return pull + push, 1

    return mean_over_anchors(y, weights, anchor)


def circle(y, p, weights=None, margin=0.4, gamma=80.0):
    w, s = weights_of(y, weights), similarities(p)

    def anchor(i, positives, negatives):
        if not positives or not negatives:
            return 0.0, 0
        to, away = s[i, positives], s[i, negatives]
        pull = -gamma * np.maximum(1 + margin - to, 0) * (to - (1 - margin))
        push = gamma * np.maximum(away + margin, 0) * (away - margin)
        both = weighted_logsumexp(pull, w[positives]) + weighted_logsumexp(push, w[negatives])
        return np.logaddexp(0, both), 1

    return mean_over_anchors(y, weights, anchor)


def lifted_structure(y, p, weights=None, margin=1.0):
    w, d = weights_of(y, weights), distances(p, "euclidean")

    def anchor(i, positives, negatives):
        if not positives or not negatives:
            return 0.0, 0
        both = weighted_logsumexp(d[i, positives], w[positives])
        both += weighted_logsumexp(margin - d[i, negatives], w[negatives])
        return max(both, 0.0), 1

    return mean_over_anchors(y, weights, anchor)


def triplet(y, p, weights=None, margin=0.2, mining="all", distance="euclidean"):
    w, d = weights_of(y, weights), distances(p, distance)

    def every(i, positives, negatives):
        costs = [(w[a] * w[b], d[i, a] - d[i, b] + margin) for a in positives for b in negatives]
        return sum(v * c for v, c in costs if c > 0), sum(v for v, c in costs if c > 0)

    def semi_hard(i, positives, negatives):
        if not negatives:
            return 0.0, 0
        value = 0.0
        for j in positives:
            further = [d[i, n] for n in negatives if d[i, n] > d[i, j]]
            other = min(further) if further else max(d[i, negatives])
            value += w[j] * max(d[i, j] - other + margin, 0)
        return value, w[positives].sum()

    def hardest(i, positives, negatives):
        if not positives or not negatives:
            return 0.0, 0
        return max(max(d[i, positives]) - min(d[i, negatives]) + margin, 0), 1

    anchor = {"all": every, "semi_hard": semi_hard, "hardest": hardest}[mining]
    return mean_over_anchors(y, weights, anchor)


def cross_entropy_between(y, logits, weights):
    """Each row finds those of its label among the columns."""
    w = weights_of(y, weights)
    value = count = 0.0
    here = np.flatnonzero(w)
    for i in here:
        positives = [j for j in here if same(y[i], y[j])]
        partition = weighted_logsumexp(logits[i, here], w[here])
        value += w[i] * (partition - np.average(logits[i, positives], weights=w[positives]))
        count += w[i]
    return value / count if count else 0.0


def clip(y, p, weights=None, temperature=0.07):
    logits = unit(p[:, 0]) @ unit(p[:, 1]).T / temperature
    both = (cross_entropy_between(y, each, weights) for each in (logits, logits.T))
    return 0.5 * sum(both)


def n_pair(y, p, weights=None):
    return cross_entropy_between(y, p[:, 0] @ p[:, 1].T, weights)


def siglip(y, p, weights=None, scale=10.0, bias=-10.0):
    w = weights_of(y, weights)
    logits = scale * unit(p[:, 0]) @ unit(p[:, 1]).T + bias
    sign = np.array([[1.0 if same(a, b) else -1.0 for b in y] for a in y])
    total = np.sum(w[:, None] * w[None, :] * np.logaddexp(0, -sign * logits))
    return total / w.sum() if w.sum() else 0.0
