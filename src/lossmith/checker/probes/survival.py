"""Does a loss of survival treat those who were censored as what they are?"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS

_SCORES = np.linspace(-10.0, 10.0, 21)
_CLEARLY = 0.05
"""How much the ends of a curve have to rise above its lowest point."""


def probe_censored(context: Context) -> Iterator[Finding]:
    """Of someone who was censored it is known only that the event comes later."""
    problem = context.problem
    if problem.kind != "survival" or problem.y_pred.shape != (ROWS, 1):
        return
    if not context.random.finite or context.settings.adversarial:
        return
    found = _turned_events(context) or _predicted(context) or _pulled_earlier(context)
    if found is not None:
        yield found


def _turned_events(context: Context) -> Finding | None:
    """A loss to which those who were censored have an event, and those with one have none."""
    y = context.problem.y_true
    blind = _is_blind(context, 1)
    if _is_blind(context, 0) or not (
        blind or (all(_have_a_best(context, 0)) and not any(_have_a_best(context, 1)))
    ):
        return None
    return rules.finding(
        rules.LABELS_UNFIT,
        "The loss takes an event of 1 for censored, and 0 for an event: "
        + (
            "times do not matter where everybody has an event, and do where nobody has one."
            if blind
            else "those who were censored have a best score, those with an event none."
        ),
        context.evidence(y, context.problem.y_pred, context.random),
        consequence="the model learns when people left the study, not when the event comes",
        remedy="use the event itself where the formula asks who had one, not `1 - event`",
        severity=context.directed,
    )


def _is_blind(context: Context, event: int) -> bool:
    """Whether times do not matter if that is what became of everybody."""
    y = context.problem.y_true.copy()
    y[:, 1] = event
    other = y.copy()
    other[:, 0] = y[::-1, 0]
    here, there = (context.evaluator.reduced(each, context.problem.y_pred) for each in (y, other))
    return close(here.scalar, there.scalar) and close(here.slopes, there.slopes)


def _have_a_best(context: Context, event: int) -> list[bool]:
    """Whether a score in the middle is best, for each of the rows that ended so."""
    rows = np.flatnonzero(context.problem.y_true[:, 1] == event)
    curves = [_over_scores(context, row) for row in rows]
    return [min(curve[0], curve[-1]) > curve.min() + _CLEARLY for curve in curves]


def _over_scores(context: Context, row: Any) -> np.ndarray:
    """The loss of the batch for scores of one row from low to high."""
    y = context.problem.y_true
    predictions = [context.problem.y_pred.copy() for _ in _SCORES]
    for p, score in zip(predictions, _SCORES, strict=True):
        p[row] = score
    return np.asarray([seen.scalar for seen in context.batches([(y, p) for p in predictions])])


def _predicted(context: Context) -> Finding | None:
    """A loss whose best score for a censored row lies in the middle predicts a number."""
    y = context.problem.y_true
    for row in np.flatnonzero(y[:, 1] == 0):
        values = _over_scores(context, row)
        if not np.all(np.isfinite(values)):
            return None
        lowest = int(np.argmin(values))
        sides = values[0] - values[lowest], values[-1] - values[lowest]
        if min(sides) < 0.2 * max(np.ptp(values), 1e-6):
            return None
    return rules.finding(
        rules.WRONG_MINIMUM,
        f"For someone who was censored at {y[row, 0]:.3g} a score of {_SCORES[lowest]:.3g} is the "
        "cheapest, and a lower or higher one costs more: the loss takes (time, event) for numbers "
        "to be predicted.",
        context.evidence(y, context.problem.y_pred),
        consequence="the model learns when people left the study, not when the event comes",
        remedy="use `y_true[:, 0]` as the time and `y_true[:, 1]` as the event: a row without an "
        "event says only that its event comes later",
        severity=context.directed,
    )


def _pulled_earlier(context: Context) -> Finding | None:
    """Which way events pull says what a score means; no censored row may be pulled against it."""
    events = context.problem.y_true.copy()
    events[:, 1] = 1
    level = np.zeros_like(context.problem.y_pred)
    pulls = -context.evaluator.reduced(events, level).slopes
    if pulls.shape != level.shape or not np.any(pulls):
        return None
    order = np.argsort(events[:, 0])
    later = np.sign(pulls[order[-1], 0] - pulls[order[0], 0])
    size = float(np.abs(pulls).max())
    for row in order:
        y = events.copy()
        y[row, 1] = 0
        seen = context.evaluator.reduced(y, level)
        if not seen.finite or seen.slopes.shape != level.shape:
            return None
        if -seen.slopes[row, 0] * later < -0.02 * size:
            return rules.finding(
                rules.WRONG_DESCENT,
                f"Someone who was censored at {y[row, 0]:.3g} is pulled towards an earlier event, "
                "although theirs had not come by then.",
                context.evidence(y, level, seen, "all scores equal, one row censored"),
                consequence="long survivors who left the study are taken for early events",
                remedy="compare each event with those who were still at risk at that time: "
                "`time[None, :] >= time[:, None]`",
                severity=context.directed,
            )
    return None
