"""Boxes as two corners, or as one point with a width and a height."""

from dataclasses import replace
from typing import Any

import numpy as np

from lossmith.checker.context import close
from lossmith.checker.evaluate import Evaluator
from lossmith.checker.targets import Case, Problem

_ASIDE = (0.7, -0.4)


def moved(problem: Problem, boxes: np.ndarray, right: float, down: float) -> np.ndarray:
    """The same boxes elsewhere."""
    step = (right, down, right, down) if problem.corners else (right, down, 0.0, 0.0)
    return (boxes + np.asarray(step)).astype("float32")


def as_read(evaluator: Evaluator, problem: Problem) -> Problem:
    """The boxes in the form in which a loss reads them, corners if either would do.

    Boxes that are moved together meet as they did before, whatever a loss measures of them.
    """
    if problem.kind != "boxes":
        return problem
    other = with_sizes(problem)
    own, others = (_may_be_moved(evaluator, each) for each in (problem, other))
    return other if others and not own else problem


def _may_be_moved(evaluator: Evaluator, problem: Problem) -> bool:
    pair = problem.y_true, problem.y_pred
    here = evaluator.reduced(*pair)
    there = evaluator.reduced(*(moved(problem, boxes, *_ASIDE) for boxes in pair))
    return here.finite_value and close(here.scalar, there.scalar)


def with_sizes(problem: Problem) -> Problem:
    """The same boxes by their centres, widths and heights."""

    def turned(case: Case) -> Case:
        return replace(case, y_true=_sized(case.y_true), y_pred=_sized(case.y_pred))

    y, p = _sized(problem.y_true), _sized(problem.y_pred)
    cases = tuple(turned(case) for case in problem.cases)
    return replace(problem, y_true=y, y_pred=p, cases=cases, perfect=y, corners=False)


def _sized(corners: Any) -> np.ndarray:
    first, second = corners[:, :2], corners[:, 2:]
    return np.concatenate([(first + second) / 2, second - first], axis=1).astype("float32")
