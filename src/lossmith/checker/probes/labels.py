"""Is the class of a label the one that the loss asks the model for?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS


def probe_shifted(context: Context) -> Iterator[Finding]:
    """The loss is not lowest where the prediction is a neighbour of the class of the label."""
    problem = context.problem
    if "categorical" not in problem.kind or context.settings.adversarial:
        return
    classes = problem.y_pred.shape[1]
    for shift in (-1, 1):
        labels = range(max(0, -shift), classes - max(0, shift))
        if len(labels) < 2 or not _seems_shifted(context, labels, shift):
            continue
        costs = {label: _costs(context, label) for label in labels}
        if all(_is_lowest_at(costs[label], label + shift) for label in labels):
            yield _shifted(context, costs, shift)


def _seems_shifted(context: Context, labels: range, shift: int) -> bool:
    """Whether predictions of the neighbours cost less than those of the classes."""
    ids = np.resize(np.asarray(labels), ROWS)
    own, neighbour = (_seen(context, ids, sure) for sure in (ids, ids + shift))
    return neighbour < own


def _costs(context: Context, label: int) -> np.ndarray:
    """What predictions of each class cost for a label."""
    classes = range(context.problem.y_pred.shape[1])
    each = np.full(ROWS, label)
    return np.asarray([_seen(context, each, np.full(ROWS, sure)) for sure in classes])


def _seen(context: Context, ids: np.ndarray, sure: np.ndarray) -> float:
    """The loss of labels where the model is sure of some classes."""
    problem = context.problem
    one_hot = np.eye(problem.y_pred.shape[1], dtype="float32")
    logits = problem.kind.endswith("logits")
    p = 4 * one_hot[sure] if logits else 0.9 * one_hot[sure] + np.float32(0.1 / len(one_hot))
    y = ids.astype(problem.y_true.dtype) if problem.y_true.ndim == 1 else one_hot[ids]
    return context.evaluator.reduced(y, p).scalar


def _is_lowest_at(costs: np.ndarray, sure: int) -> bool:
    """Whether one class costs clearly less than any other."""
    others = np.delete(costs, sure)
    return bool(np.isfinite(costs).all() and costs[sure] < others.min() - 0.2 * np.ptp(costs))


def _shifted(context: Context, costs: dict[int, np.ndarray], shift: int) -> Finding:
    label, of_label = next(iter(costs.items()))
    sign = "-" if shift < 0 else "+"
    return rules.finding(
        rules.LABELS_UNFIT,
        f"The labels are shifted by one: for label {label} the loss is lowest where the prediction "
        f"is class {label + shift} ({of_label[label + shift]:.4g}), not class {label} "
        f"({of_label[label]:.4g}), and so on for every label.",
        context.evidence(context.problem.y_true, context.problem.y_pred, context.random),
        consequence="the model learns to name the neighbour of each class, and what it learns "
        "from the label at the end depends on the backend",
        remedy=f"class ids count from 0: use `y_true` itself, not `y_true {sign} 1`; ids that do "
        "not count from 0 are shifted in the data",
        severity=context.directed,
    )
