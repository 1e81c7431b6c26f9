"""Are the two views of an item brought together, and those of different items not?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS

_STEPS = 60
_VIEWS = "check the sign of each term, and which entries of the matrix are those of one item"


def probe_views(context: Context) -> Iterator[Finding]:
    """Following the gradient, the views of an item come together relative to the others."""
    if context.problem.kind != "views" or not context.random.finite:
        return
    p = context.problem.y_pred.astype("float64")
    before = _separation(p)
    for _ in range(_STEPS):
        seen = context.evaluator.reduced(context.problem.y_true, p.astype("float32"))
        if not seen.finite or seen.slopes.shape != p.shape:
            return
        size = np.abs(seen.slopes).max()
        if size == 0:
            break
        p = p - 0.05 * seen.slopes / size
    after = _separation(p)
    if all(new > 1.02 * old for new, old in zip(after, before, strict=True)):
        yield rules.finding(
            rules.WRONG_DESCENT,
            "Following the gradient, the two views of an item move apart relative to those of "
            f"different items (their distances over each other: {before[1]:.3g}, then "
            f"{after[1]:.3g}).",
            context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
            consequence="the model learns to tell the views of one item apart",
            remedy=_VIEWS,
            severity=context.directed,
        )


def probe_matching(context: Context) -> Iterator[Finding]:
    """Views that match cost no more than those of other items, or than all in one place."""
    problem = context.problem
    if problem.kind != "views" or not context.random.finite_value:
        return
    items = np.eye(ROWS, problem.y_pred.shape[-1])
    items[-1] = -1.0 / np.sqrt(problem.y_pred.shape[-1])  # there are more items than axes
    right = _cheapest(context, items, items)
    others = {
        "the views of different items together": _cheapest(context, items, np.roll(items, 1, 0)),
        "all views in one place": _cheapest(context, items[[0] * ROWS], items[[0] * ROWS]),
    }
    name = min(others, key=lambda each: others[each])
    if others[name] < right - 1e-3 * max(1.0, abs(context.random.scalar)):
        yield rules.finding(
            rules.WRONG_MINIMUM,
            f"With {name} the loss is {others[name]:.4g}, with those of each item together and "
            f"the items apart {right:.4g}.",
            context.evidence(problem.y_true, problem.y_pred, context.random),
            consequence="the model is rewarded for embeddings that do not tell which views belong "
            "together",
            remedy=_VIEWS,
            severity=context.directed,
        )


def _cheapest(context: Context, first: np.ndarray, second: np.ndarray) -> float:
    """The lowest cost of two views at several sizes, a little off the exact corners."""
    views = np.stack([first, second], axis=1)
    noise = np.random.default_rng(context.settings.seed).normal(0, 1e-2, views.shape)
    scaled = [(scale * (views + noise)).astype("float32") for scale in (0.3, 1.0, 3.0)]
    return min(context.evaluator.reduced(context.problem.y_true, p).scalar for p in scaled)


def _separation(views: np.ndarray) -> tuple[float, float]:
    """Distance of the views of an item over that of different items, of vectors and directions."""
    other = ~np.eye(len(views), dtype=bool)
    ratios = []
    for p in (views, views / np.maximum(np.linalg.norm(views, axis=-1, keepdims=True), 1e-12)):
        distance = np.linalg.norm(p[:, None, 0] - p[None, :, 1], axis=-1)
        ratios.append(float(np.diag(distance).mean() / max(distance[other].mean(), 1e-12)))
    return ratios[0], ratios[1]
