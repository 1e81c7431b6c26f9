"""Is a loss of several classes normalised over the samples instead of the classes?"""

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS


def over_the_rows(context: Context) -> bool:
    """Whether classes do not compete, and the rows do.

    Then no shift of the scores of a class is seen, nor anything in a class that no row has; one
    of a row is. Probabilities are multiplied instead.
    """
    problem = context.problem
    if "categorical" not in problem.kind or context.rowwise or not context.random.finite:
        return False
    y, p = problem.y_true, problem.y_pred
    of_columns = np.linspace(0.0, -1.5, p.shape[1], dtype="float32")
    of_rows = np.linspace(-1.0, 0.0, ROWS, dtype="float32")[:, None]
    two = y[np.arange(ROWS) % 2]
    others = of_rows * (np.arange(p.shape[1]) > 1)
    same = _value(context, y, of_columns), _value(context, two, others)
    before = context.random.scalar, _value(context, two, 0 * of_columns)
    return all(map(close, same, before, (1e-5, 1e-5))) and not close(
        _value(context, y, of_rows), before[0], 1e-3
    )


def _value(context: Context, y: np.ndarray, shift: np.ndarray) -> float:
    problem = context.problem
    moved = np.add if problem.kind.endswith("logits") else _multiplied
    return context.evaluator.reduced(y, np.float32(moved(problem.y_pred, shift))).scalar


def _multiplied(shares: np.ndarray, logarithms: np.ndarray) -> np.ndarray:
    return np.asarray(shares * np.exp(logarithms))


def finding(context: Context) -> Finding:
    """The finding that samples compete, and classes do not."""
    problem = context.problem
    logits = problem.kind.endswith("logits")
    what = "A number added to the scores" if logits else "A factor for the probabilities"
    return rules.finding(
        rules.WRONG_AXIS,
        f"{what} of one class in every row leaves the loss as it is, and one for all those of a "
        "row changes it: they are normalised over the samples instead of the classes.",
        context.evidence(problem.y_true, problem.y_pred, context.unreduced, "values not reduced"),
        consequence="each sample competes with the others of its batch, and the classes of a "
        "sample do not compete at all",
        remedy="normalise over the last axis, "
        + ("`ops.log_softmax(y_pred, axis=-1)`" if logits else "`axis=-1`"),
        severity=context.directed,
    )
