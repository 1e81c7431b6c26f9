"""Losses of several predicted numbers for one target: do they have a floor?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.report import Finding

_STEPS = 60
_DIFFERENT = 3


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
