"""Losses of several predicted numbers for one target: have they a floor, and are they finite?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.report import Finding

_STEPS = 60
_DIFFERENT = 3
_FAR = 20.0
_LARGEST = 50.0
"""As far as targets are moved: an exponential of an error is still finite there."""


def probe_parameters(context: Context) -> Iterator[Finding]:
    """One prediction for targets that differ cannot be good without end.

    What the perfect parameters of a distribution are is not known, but a likelihood has a highest
    point once all targets have to share them.
    """
    problem = context.problem
    if problem.kind != "regression" or problem.perfect is not None:
        return
    if context.settings.adversarial or not context.random.finite or not _differ(problem.y_true):
        return
    start = np.broadcast_to(problem.y_pred.mean(axis=0), problem.y_pred.shape)
    away = _descended(context, start) - start
    near, far = (
        context.evaluator.reduced(problem.y_true, (start + k * away).astype("float32"))
        for k in (20, 200)
    )
    if not (near.finite_value and far.finite_value):
        return
    if far.scalar < -50 and far.scalar < 5 * near.scalar:
        p = (start + 20 * away).astype("float32")
        yield rules.finding(
            rules.UNBOUNDED_BELOW,
            "With one prediction for targets that differ the loss falls without end: "
            f"{near.scalar:.4g}, then {far.scalar:.4g} ten times as far.",
            context.evidence(problem.y_true, p, near),
            consequence="training drives a parameter, such as the variance, to its limit whatever "
            "the targets are",
            remedy="check the sign of the logarithm and of the exponent: what makes an error "
            "cheaper has to cost something itself; a loss without a floor on purpose is declared "
            "with `adversarial=True`",
            severity=context.directed,
        )


def probe_far_targets(context: Context) -> Iterator[Finding]:
    """A likelihood of targets that are some way off is a number.

    A sum of densities is 0 in float32 a dozen deviations from the mean, and its logarithm infinite.
    """
    problem = context.problem
    if problem.kind != "regression" or problem.perfect is not None or not context.random.finite:
        return
    y = _moved_far(problem.y_true)
    if y is None or not np.isposinf(context.evaluator.reduced(y, problem.y_pred).scalar):
        return
    alone = [(y[row : row + 1], problem.y_pred[row : row + 1]) for row in range(len(y))]
    seen = context.batches(alone)
    row = int(np.argmax([np.isposinf(each.scalar) for each in seen]))
    yield rules.finding(
        rules.VALUE_NOT_FINITE,
        f"The loss is infinite where targets are {np.abs(y).max():.3g} in size instead of "
        f"{np.abs(problem.y_true).max():.3g}.",
        context.evidence(*alone[row], seen[row], "a target that is far off"),
        consequence="one outlier, or a model that starts far off, makes every weight NaN",
        remedy="a density underflows to 0: add logarithms with `ops.logsumexp` and "
        "`ops.log_softmax` instead of taking the logarithm of a sum of `ops.exp`",
        severity="warning",
    )


def _moved_far(y_true: np.ndarray) -> np.ndarray | None:
    """The targets further from 0, if there are any that may be of any size.

    Columns of one sign, or of whole numbers, may be times, shares, labels or weights.
    """
    y = y_true.astype("float64")
    axes = tuple(range(y.ndim - 1)) if y.ndim > 1 else 0
    free = (y.min(axis=axes) < 0) & (y.max(axis=axes) > 0) & np.any(y != np.round(y), axis=axes)
    largest = float(np.abs(np.where(free, y, 0.0)).max())
    factor = min(_FAR, _LARGEST / largest) if largest > 0 else 0.0
    return np.where(free, factor * y, y).astype("float32") if factor > 2 else None


def _differ(y_true: np.ndarray) -> bool:
    rows = y_true.reshape(len(y_true), -1)
    return bool(len(np.unique(rows, axis=0)) >= _DIFFERENT)


def _descended(context: Context, start: np.ndarray) -> np.ndarray:
    """The prediction for all rows after some steps along their common gradient."""
    p = start
    for _ in range(_STEPS):
        seen = context.evaluator.reduced(context.problem.y_true, p.astype("float32"))
        if not seen.finite or seen.slopes.shape != p.shape or not np.any(seen.slopes):
            break
        slope = seen.slopes.sum(axis=0, keepdims=True)
        p = p - 0.1 * slope / max(float(np.abs(slope).max()), 1e-12)
    return p
