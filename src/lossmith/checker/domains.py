"""Ranges in which a regression is finite that is not finite everywhere."""

import math

from lossmith.checker.evaluate import Evaluator
from lossmith.checker.settings import Settings
from lossmith.checker.targets import build

_RANGES = ((0.0, math.inf), (0.0, 1.0), (-1.0, 1.0), (1.0, math.inf))


def advice_on_domain(
    evaluator: Evaluator, settings: Settings, kind: str, columns: int | None = None
) -> str:
    """The declaration to write if targets and predictions always lie in such a range, or nothing.

    Args:
        evaluator: runs the loss.
        settings: what the user said about it.
        kind: the kind of target that the loss fails with.
        columns: targets per row, if it has to be another number than usual.
    """
    if kind != "regression" or settings.domain is not None:
        return ""
    for low, high in _RANGES:
        problem = build("regression", settings.seed, columns=columns, domain=(low, high))
        if all(evaluator.reduced(case.y_true, case.y_pred).finite for case in problem.cases):
            is_open = high == math.inf
            where = f"are at least {low:g}" if is_open else f"lie from {low:g} to {high:g}"
            declared = f"({low:g}, {None if is_open else f'{high:g}'})"
            return (
                f"; if targets and predictions always {where}, where it is finite, declare "
                f"`domain={declared}` (`--domain {low:g} {high:g}`)"
            )
    return ""
