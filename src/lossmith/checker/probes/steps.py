"""Does a loss of the classes of time steps, or of pixels, compare the classes of each with another?

These shapes are known from a batch of the user's only.
"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.report import Finding
from lossmith.checker.targets import YOUR_BATCH, Case


def probe_classes_of_steps(context: Context) -> Iterator[Finding]:
    """The softmax runs over the classes of a step, and not over the steps or the samples."""
    for case in context.problem.cases:
        if case.name == YOUR_BATCH and _holds_classes_of_steps(case) and context.at(case).finite:
            yield from _normalised_elsewhere(context, case)


def _holds_classes_of_steps(case: Case) -> bool:
    """Whether each step has a class, by its number or one-hot, and a score for every class."""
    y, p = case.y_true, case.y_pred
    if p.ndim < 3 or p.shape[-1] < 2:
        return False
    if y.shape in (p.shape[:-1], (*p.shape[:-1], 1)):
        return bool(np.all(y == np.round(y)) and y.max() < p.shape[-1])
    return bool(y.shape == p.shape and np.isin(y, (0, 1)).all() and np.all(y.sum(axis=-1) == 1))


def _normalised_elsewhere(context: Context, case: Case) -> Iterator[Finding]:
    y, p = case.y_true, case.y_pred
    rng = np.random.default_rng(context.settings.seed)

    def stays(axis: int) -> bool:
        shape = tuple(1 if each == axis else size for each, size in enumerate(p.shape))
        moved = (p + rng.normal(0, 1, shape)).astype("float32")
        return close(context.evaluator.reduced(y, moved).scalar, context.at(case).scalar)

    axes = [axis for axis in range(p.ndim - 1) if p.shape[axis] > 1 and stays(axis)]
    if not axes or stays(p.ndim - 1):
        return
    over = "samples" if axes[0] == 0 else "steps of a sample"
    yield rules.finding(
        rules.WRONG_AXIS,
        f"Numbers added to the scores of a class in all {over} alike leave the loss as it is, and "
        f"one added to all scores of a step changes it: the softmax runs over the {over} instead "
        "of the classes.",
        context.evidence(y, p, context.at(case), YOUR_BATCH),
        consequence=f"the {over} compete with each other, and the classes of a step do not",
        remedy="normalise over the last axis, `ops.log_softmax(y_pred, axis=-1)`",
        severity=context.directed,
    )
