"""Losses of several predicted numbers for one target, whose number nobody said."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lossmith.checker.context import close
from lossmith.checker.evaluate import Evaluator, Observation
from lossmith.checker.targets import ROWS, YOUR_BATCH, Case, Problem, build

_COLUMNS = (2, 3, 4, 5, 6, 8, 9, 10, 12)


def that_runs(
    evaluator: Evaluator, seed: int, usual: Problem | None
) -> tuple[Problem, Observation] | None:
    """The first number of predicted parameters that a loss takes with one target per row.

    It has to use them all, and to read the target as a number and not as the name of a class.

    Args:
        evaluator: runs the loss.
        seed: makes the inputs.
        usual: inputs with a prediction for each target, if the loss takes them; there is nothing
            to look for unless it broadcasts the targets against columns that mean other things.
    """
    if usual is not None and not _shares_the_targets(evaluator, usual):
        return None
    for problem in _problems(seed):
        seen = evaluator.reduced(problem.y_true, problem.y_pred)
        if not seen.finite or seen.slopes.shape != problem.y_pred.shape:
            continue
        if np.all(np.any(seen.slopes, axis=0)) and _reads_numbers(evaluator, problem, seen):
            return problem, seen
    return None


def _shares_the_targets(evaluator: Evaluator, problem: Problem) -> bool:
    """Whether the columns of the targets may be exchanged by themselves, and not the others."""
    y, p, here = problem.y_true, problem.y_pred, evaluator.reduced(problem.y_true, problem.y_pred)

    def stays(y: np.ndarray, p: np.ndarray) -> bool:
        return close(evaluator.reduced(y, p).scalar, here.scalar, 1e-5)

    columns = y.shape[1]
    if columns == 1:
        return not here.finite
    turns = [np.roll(np.arange(columns), step) for step in range(1, min(columns, 3))]
    return all(stays(y[:, turn], p) and not stays(y, p[:, turn]) for turn in turns)


def _problems(seed: int) -> Iterator[Problem]:
    y = build("regression", seed, columns=1).y_true
    for columns in _COLUMNS:
        p = np.random.default_rng(seed + columns).normal(0, 1, (ROWS, columns))
        yield of_batch("regression", y, p.astype("float32"), "random")


def _reads_numbers(evaluator: Evaluator, problem: Problem, seen: Observation) -> bool:
    """Whether each target counts, and a little more of it as well."""
    aside = (problem.y_true + 0.01).astype("float32")
    shuffled = problem.y_true[[1, 2, 3, 4, 5, 0]]
    return not any(
        close(evaluator.reduced(y, problem.y_pred).scalar, seen.scalar, 1e-6)
        for y in (aside, shuffled)
    )


def of_batch(kind: str, y: Any, p: Any, name: str = YOUR_BATCH) -> Problem:
    """A batch as the whole battery, where targets and predictions differ in shape.

    What a perfect prediction is cannot be known then: several parameters of a distribution,
    several quantiles, columns that are not targets.
    """
    cases = [
        Case(name, y, p, "random"),
        Case(f"{name}, predictions reversed", y, p[::-1].copy(), "chance"),
        Case("one row", y[:1], p[:1], "chance"),
    ]
    return Problem(kind, y, p, tuple(cases))
