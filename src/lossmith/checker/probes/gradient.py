"""Does every label, column and wrong prediction get a gradient?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.hyperparameters import ignored_label
from lossmith.checker.report import Finding
from lossmith.checker.targets import Case, Problem

_SMOOTH = (
    "replace round, floor, sign, argmax and comparisons by smooth operations, and use y_pred "
    "itself, without stop_gradient and NumPy"
)


def probe_connected(context: Context) -> Iterator[Finding]:
    """The gradient exists, for every label and every column."""
    problem = context.problem
    cases = [case for case in problem.cases if context.at(case).ran]
    if not cases or not context.random.finite_value:
        return
    slopes = [(case, _finite(context.at(case).slopes)) for case in cases]
    if not any(np.any(slope) for _, slope in slopes):
        missing = context.random.gradient is None
        yield rules.finding(
            rules.NO_GRADIENT,
            f"The gradient is {'missing' if missing else '0'} for every prediction tried.",
            context.evidence(problem.y_true, problem.y_pred, context.random),
            consequence="TensorFlow and PyTorch raise or stand still, JAX trains in silence and "
            "no weight moves",
            remedy=_SMOOTH,
        )
        return
    if problem.labelled:
        yield from _dead_labels(context, slopes)
    yield from _dead_columns(context, slopes)


def _finite(slopes: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(slopes), slopes, 1.0)


def _label_ids(case: Case) -> np.ndarray:
    """The label of each entry of the gradient, or of each row where labels are per row."""
    one_hot = case.y_true.ndim == 2 and case.y_true.shape[1] > 1
    if one_hot and np.all(case.y_true.sum(axis=1) == 1) and case.y_true.min() >= 0:
        return case.y_true.argmax(axis=1)
    return case.y_true


def _dead_labels(context: Context, slopes: list[tuple[Case, np.ndarray]]) -> Iterator[Finding]:
    categorical = "categorical" in context.problem.kind
    strongest: dict[float, float] = {}
    for case, slope in slopes:
        labels = _label_ids(case) if categorical else case.y_true
        if slope.ndim == 0 or len(slope) != len(labels):
            continue
        if labels.shape != slope.shape:
            slope = np.abs(slope).reshape(len(slope), -1).max(axis=1)
            labels = labels.reshape(len(labels), -1)[:, 0]
        for label in np.unique(labels):
            found = float(np.abs(slope[labels == label]).max())
            strongest[float(label)] = max(strongest.get(float(label), 0.0), found)
    ignored = ignored_label(context.evaluator.original)
    for label, size in strongest.items():
        if size == 0 and label != ignored:
            problem = context.problem
            yield rules.finding(
                rules.DEAD_LABEL,
                f"Rows with label {label:g} get no gradient whatever the prediction is.",
                context.evidence(problem.y_true, problem.y_pred, context.random),
                consequence="the model never learns from these rows",
                remedy=_label_remedy(problem, label),
                severity=context.directed,
                about=f"{label:g}",
            )


def _label_remedy(problem: Problem, label: float) -> str:
    if label == 0 and problem.kind in ("binary", "binary_logits", "segmentation"):
        return (
            "give both labels a term, `y * a(p) + (1 - y) * b(p)`; a formula for labels -1 and 1 "
            "needs `2 * y - 1`"
        )
    columns = problem.y_pred.shape[-1]
    if problem.kind.startswith("sparse") and not 0 <= label < columns:
        return (
            f"the {columns} columns of y_pred are of the class ids 0 to {columns - 1}; an id that "
            "is to be left out is named by a hyperparameter `ignore_class`"
        )
    return "give every label a term of its own"


def _dead_columns(context: Context, slopes: list[tuple[Case, np.ndarray]]) -> Iterator[Finding]:
    problem = context.problem
    if problem.y_pred.ndim != 2 or problem.y_pred.shape[1] < 2 or problem.kind == "survival":
        return
    if problem.link == "softmax":  # the columns sum to 1: what one lacks the others have
        return
    full = [np.abs(slope) for _, slope in slopes if slope.ndim == 2]
    if not full:
        return
    dead = np.flatnonzero(np.concatenate(full).max(axis=0) == 0)
    parameters = problem.kind == "regression" and problem.y_true.shape != problem.y_pred.shape
    first_only = not parameters and len(dead) == problem.y_pred.shape[1] - 1 and 0 not in dead
    if len(dead) and not first_only:
        yield rules.finding(
            rules.DEAD_OUTPUT,
            f"Column {', '.join(map(str, dead))} of y_pred never gets a gradient.",
            context.evidence(problem.y_true, problem.y_pred, context.random),
            consequence="that output of the model is never trained",
            remedy="check indices, slices and the axis of reductions",
            severity="warning",
        )


def probe_plateau(context: Context) -> Iterator[Finding]:
    """A confidently wrong prediction that costs something gets a gradient."""
    problem, settings = context.problem, context.settings
    if settings.redescending or problem.kind in ("distance", "pair"):
        return
    cases = [case for case in problem.cases if case.role == "wrong"]
    for case in cases:
        seen = context.at(case)
        if not seen.finite or seen.gradient is None:
            continue
        stuck = _stuck_rows(context, case)
        if stuck is None:
            continue
        y, p = case.y_true[stuck : stuck + 1], case.y_pred[stuck : stuck + 1]
        alone = context.evaluator.reduced(y, p)
        yield rules.finding(
            rules.PLATEAU,
            f"A wrong prediction ({case.name}) costs {alone.scalar:.4g} and gets no gradient.",
            context.evidence(y, p, alone, case.name),
            consequence="the worst predictions are the ones that stop learning",
            remedy="clip no further than the precision of the dtype, or compute from logits; "
            "declare `redescending=True` if outliers are to be left alone",
        )
        return


def _stuck_rows(context: Context, case: Case) -> int | None:
    problem, slope = context.problem, context.at(case).slopes
    if problem.perfect is None or slope.shape != case.y_pred.shape:
        return None
    if not context.rowwise:
        floor = context.evaluator.reduced(case.y_true, problem.perfect).scalar
        flat = not np.any(slope) and context.at(case).scalar > floor + 1e-3
        return 0 if flat else None
    cost = context.per_row(case.y_true, case.y_pred).value
    best = context.per_row(case.y_true, problem.perfect).value
    flat_rows = (np.abs(slope).reshape(len(slope), -1).max(axis=1) == 0) & (cost > best + 1e-3)
    return int(np.argmax(flat_rows)) if flat_rows.any() else None


def probe_drowned(context: Context) -> Iterator[Finding]:
    """The value is not so large that float32 sees no change of the prediction in it."""
    seen, problem = context.random, context.problem
    if not seen.finite or not np.any(seen.slopes) or abs(seen.scalar) < 1e5:
        return
    size = np.abs(seen.slopes).max()
    if seen.slopes.shape != problem.y_pred.shape:
        return
    step = (0.05 * seen.slopes / size).astype("float32")
    beside = [context.evaluator.reduced(problem.y_true, problem.y_pred + k * step).scalar
              for k in (-1, 1)]  # fmt: skip
    if beside == [seen.scalar] * 2:
        yield rules.finding(
            rules.GRADIENT_MISMATCH,
            f"On ordinary predictions the loss is {seen.scalar:.4g}, so large that moving them by "
            "0.05 along the gradient leaves it as it is.",
            context.evidence(problem.y_true, problem.y_pred, seen),
            consequence="the loss that is logged says nothing, and what the terms that matter "
            "add to it is lost",
            remedy="look at the sign of the large constant that leaves entries out",
        )
