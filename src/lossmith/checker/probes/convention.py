"""Fingerprints of conventions that were mixed up: activations, arguments, logits."""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.links import to_prediction
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS


def probe_activation(context: Context) -> Iterator[Finding]:
    """A loss of probabilities does not squash them again; one of logits squashes them."""
    kind = context.problem.kind
    if kind in ("binary", "segmentation"):
        yield from _squashed_twice(context)
    elif kind in ("categorical", "sparse_categorical"):
        yield from _softmax_twice(context)
    elif kind == "binary_logits":
        yield from _never_squashed(context)
    elif kind in ("categorical_logits", "sparse_categorical_logits"):
        yield from _never_normalised(context)


def _twice(context: Context, y: np.ndarray, p: np.ndarray, name: str) -> Finding:
    seen = context.evaluator.reduced(y, p)
    return rules.finding(
        rules.DOUBLE_ACTIVATION,
        f"The loss applies {name} to predictions that are probabilities already: a perfect "
        f"prediction still costs {seen.scalar:.4g}.",
        context.evidence(y[:1], p[:1], context.evaluator.reduced(y[:1], p[:1]), "perfect"),
        consequence="training is slow, stops at that floor, and probabilities are wrong",
        remedy=f"take the {name} out of the model, or out of the loss (`from_logits=False`)",
        severity=context.directed,
    )


def _squashed_twice(context: Context) -> Iterator[Finding]:
    """The loss keeps falling beyond 0 and 1, as only one of logits does."""
    shape = context.problem.y_pred.shape
    for label, beyond in ((1.0, 4.0), (0.0, -4.0)):
        y = np.full(shape, label, "float32")
        inside, outside = (
            context.evaluator.reduced(y, np.full(shape, p, "float32")) for p in (label, beyond)
        )
        if not (inside.finite_value and outside.finite_value):
            return
        if not (outside.scalar < inside.scalar - 0.05 and np.any(inside.slopes)):
            return
    yield _twice(context, np.ones(shape, "float32"), np.ones(shape, "float32"), "sigmoid")


def _softmax_twice(context: Context) -> Iterator[Finding]:
    """The loss does not see a number added to all probabilities, as only after a softmax."""
    problem = context.problem
    plain, shifted = (
        context.evaluator.reduced(problem.y_true, problem.y_pred + np.float32(shift))
        for shift in (0.0, 0.7)
    )
    perfect = context.evaluator.reduced(problem.y_true, problem.perfect)
    if not (plain.finite_value and shifted.finite_value and perfect.finite_value):
        return
    costs = perfect.scalar > 0.05 and np.any(perfect.slopes) and np.any(plain.slopes)
    if costs and close(plain.scalar, shifted.scalar):
        yield _twice(context, problem.y_true, problem.perfect, "softmax")  # type: ignore[arg-type]


def _unfit(context: Context, y: np.ndarray, p: np.ndarray, message: str) -> Finding:
    return rules.finding(
        rules.LOGITS_UNFIT,
        message,
        context.evidence(y, p, context.evaluator.reduced(y, p)),
        consequence="most predictions get no gradient or NaN",
        remedy="end the model with a sigmoid or softmax, or compute the loss from logits",
        severity=context.directed,
    )


def _never_squashed(context: Context) -> Iterator[Finding]:
    """The loss lives between 0 and 1: beyond, it is flat or NaN for either label."""
    shape = context.problem.y_pred.shape
    for label in (0.0, 1.0):
        y = np.full(shape, label, "float32")
        near, far, inside = (
            context.evaluator.reduced(y, np.full(shape, p, "float32"))
            for p in (3.0 * (1 - 2 * label), 6.0 * (1 - 2 * label), 0.5)
        )
        dead = not near.finite_value or (close(near.scalar, far.scalar) and not np.any(near.slopes))
        if not (dead and inside.finite and np.any(inside.slopes)):
            return
    y = np.ones((1, *shape[1:]), "float32")
    p = np.full_like(y, -3.0)
    yield _unfit(context, y, p, "The loss reads logits as probabilities: a wrong logit of -3 "
                 "gives no gradient, while 0.5 does.")  # fmt: skip


def _never_normalised(context: Context) -> Iterator[Finding]:
    """On probabilities the loss is exactly the cross-entropy of them, without any softmax."""
    problem = context.problem
    p = to_prediction(problem.y_pred.astype("float64"), "softmax").astype("float32")
    y = problem.y_true
    ids = y.astype(int) if y.ndim == 1 else y.argmax(axis=1)
    wanted = -np.log(p[np.arange(ROWS), ids])
    seen = context.evaluator.reduced(y, p)
    if close(seen.scalar, wanted.mean(), 1e-3) or close(seen.scalar, wanted.sum(), 1e-3):
        yield _unfit(context, y, p, "The loss reads logits as probabilities: on numbers that sum "
                     "to 1 it is their cross-entropy without a softmax.")  # fmt: skip


def probe_arguments(context: Context) -> Iterator[Finding]:
    """The logarithm is taken of the prediction, not of the label."""
    problem = context.problem
    if problem.kind not in ("binary", "categorical", "segmentation") or problem.perfect is None:
        return
    y = problem.y_true
    ends = [problem.y_pred, (0.5 * problem.y_pred + 0.25 * np.ones_like(y)).astype("float32")]
    middle = (0.5 * (ends[0] + ends[1])).astype("float32")
    first, last, centre = (context.evaluator.reduced(y, p) for p in (*ends, middle))
    if not (first.finite and last.finite and centre.finite) or not np.any(first.slopes):
        return
    slopes_equal = first.gradient is not None and close(first.slopes, last.slopes)
    worst = context.evaluator.reduced(y, (1 - y).astype("float32")).scalar
    if slopes_equal and close(centre.scalar, (first.scalar + last.scalar) / 2) and worst > 5:
        yield rules.finding(
            rules.ARGUMENTS_SWAPPED,
            "The logarithm is taken of the labels: the loss is a straight line in the prediction, "
            f"of a height of {worst:.4g}, the logarithm of a clipped 0.",
            context.evidence(y, problem.y_pred, first),
            consequence="confident mistakes are not punished more than hesitant ones, and the "
            "model is not calibrated",
            remedy="pass `(y_true, y_pred)` in this order",
            severity=context.directed,
        )
