"""Losses of free scores: do they have a floor, and is it at the right answer?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.report import Finding


def probe_every_class(context: Context) -> Iterator[Finding]:
    """High scores for every class cost more than a high score for the right one only."""
    problem = context.problem
    several = "categorical" in problem.kind and problem.kind.endswith("logits")
    if not several or context.settings.adversarial or problem.perfect is None:
        return
    everything = np.full_like(problem.perfect, problem.perfect.max())
    all_high, right = (_cheapest(context, scores) for scores in (everything, problem.perfect))
    if all_high - right < 1e-3 * (context.random.scalar - right):
        yield rules.finding(
            rules.WRONG_MINIMUM,
            f"High scores for every class at once cost {all_high:.4g}, no more than the right "
            f"answer ({right:.4g}).",
            context.evidence(problem.y_true, everything),
            consequence="all scores grow together, and the model tells no class from another",
            remedy="normalise over the classes with log_softmax, or add the term of the classes "
            "that are wrong",
            severity=context.directed,
        )


def _cheapest(context: Context, scores: np.ndarray) -> float:
    """The lowest cost of these scores at any scale: smoothed labels want no infinite ones."""
    scaled = [(scores * scale).astype("float32") for scale in (0.03, 0.1, 0.3, 1.0)]
    return min(context.evaluator.reduced(context.problem.y_true, p).scalar for p in scaled)


def probe_scores_of_labels(context: Context) -> Iterator[Finding]:
    """A loss of scores does not fall without end as right scores grow."""
    problem = context.problem
    of_scores = problem.kind == "plus_minus" or problem.kind.endswith("logits")
    if not of_scores or context.settings.adversarial or problem.perfect is None:
        return
    near, far = ((k * problem.perfect).astype("float32") for k in (10, 100))
    seen, further = (context.evaluator.reduced(problem.y_true, p) for p in (near, far))
    if further.finite_value and further.scalar < -50 and further.scalar < 5 * seen.scalar:
        yield _falls(context, seen.scalar, further.scalar)


def _falls(context: Context, near: float, far: float) -> Finding:
    return rules.finding(
        rules.UNBOUNDED_BELOW,
        f"The loss falls without end as what is right is made larger: {near:.4g}, then {far:.4g} "
        "at ten times the size.",
        context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
        consequence="training makes predictions ever larger and never ends",
        remedy="limit the gain, `ops.maximum(margin - score, 0)`; a loss without a floor on "
        "purpose is declared with `adversarial=True`",
        severity=context.directed,
    )


def probe_survival_scores(context: Context) -> Iterator[Finding]:
    """A survival loss does not fall without end as scores grow."""
    problem = context.problem
    if problem.kind != "survival" or context.settings.adversarial:
        return
    rng = np.random.default_rng(context.settings.seed)
    for _ in range(4):
        p = rng.normal(0, 1, problem.y_pred.shape).astype("float32")
        for sign in (1, -1):
            near, far = (context.evaluator.reduced(problem.y_true, np.float32(sign * k) * p)
                         for k in (20, 40))  # fmt: skip
            if far.finite_value and far.scalar < -10 and far.scalar < 1.7 * near.scalar:
                yield rules.finding(
                    rules.UNBOUNDED_BELOW,
                    f"The loss falls without end as scores grow: {near.scalar:.4g}, then "
                    f"{far.scalar:.4g} at twice the scores.",
                    context.evidence(problem.y_true, np.float32(sign * 40) * p, far),
                    consequence="training drives the scores apart in the wrong order, without end",
                    remedy="minimise the negative log-likelihood: check its sign",
                    severity=context.directed,
                )
                return
