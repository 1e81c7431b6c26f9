"""What the symmetries of a loss say of the kind of target it is made for.

A symmetry is a property of the formula: a loss that does not change when target and prediction
are moved together is one of their difference, whatever its mistakes are.
"""

from collections.abc import Callable, Mapping

import numpy as np

from lossmith.checker.boxes import moved
from lossmith.checker.context import Context, close
from lossmith.checker.settings import Target

_SAME = 1e-5


def speaks_for(context: Context) -> bool:
    """Whether the symmetries of the loss speak for the kind of this context, and no other."""
    if not context.random.finite or not np.any(context.random.slopes):
        return False
    asked = _SPEAKS.get(context.problem.kind)
    return asked is not None and asked(context)


def _value(context: Context, y: np.ndarray, p: np.ndarray) -> float:
    y = y.astype(context.problem.y_true.dtype)
    return context.evaluator.reduced(y, p.astype("float32")).scalar


def _stays(context: Context, y: np.ndarray, p: np.ndarray) -> bool:
    return close(_value(context, y, p), context.random.scalar, _SAME)


def _of_differences(context: Context) -> bool:
    """Each target may be moved by an amount of its own if its prediction is moved as far."""
    y, p = context.problem.y_true, context.problem.y_pred
    shift = np.linspace(-2.0, 3.0, y.size).reshape(y.shape).round(2)
    return _stays(context, y + shift, p + shift) and not _stays(context, y, p + shift)


def _of_boxes(context: Context) -> bool:
    """All boxes may be moved by the same, and not each by an amount of its own."""
    y, p = context.problem.y_true, context.problem.y_pred
    aside = moved(context.problem, np.zeros(4), -3.0, 4.0)  # across 0, where signs would show
    together = _stays(context, y + aside, p + aside) and not _stays(context, y, p + aside)
    return together and not _of_differences(context)


def _of_equal_labels(context: Context) -> bool:
    """Names of the labels do not matter, but which rows share one does."""
    y, p = context.problem.y_true, context.problem.y_pred
    return _stays(context, (y + 1) % 3, p) and not _stays(context, y[[0, 2, 4, 1, 3, 5]], p)


def _turns(context: Context) -> bool:
    y, p = context.problem.y_true, context.problem.y_pred
    noise = np.random.default_rng(context.settings.seed).normal(size=(p.shape[-1],) * 2)
    turned = p @ np.linalg.qr(noise)[0]
    return close(_value(context, y, turned), context.random.scalar, 1e-4)


def reads_labels(context: Context) -> bool:
    """Whether the loss changes when rows change their targets."""
    y, p = context.problem.y_true, context.problem.y_pred
    return not (_stays(context, y[::-1], p) and _stays(context, y[[1, 0, 2, 4, 3, 5]], p))


def reads_every_class(context: Context) -> bool:
    """Whether the last two columns of one-hot targets may not be exchanged."""
    y, p = context.problem.y_true, context.problem.y_pred
    if context.problem.kind not in ("categorical", "categorical_logits") or y.shape[1] < 3:
        return True
    return not _stays(context, y[:, [*range(y.shape[1] - 2), -1, -2]], p)


def _of_products(context: Context) -> bool:
    """A score counts by its product with its label: twice the one is as good as twice the other.

    A loss that is straight in the product may be one of shares as well, and so may one that sees
    the sum of the products of a row only, as where labels are one-hot.
    """
    y, p = context.problem.y_true, context.problem.y_pred
    factors = np.linspace(0.5, 2.0, y.size).reshape(y.shape)
    nothing, here, twice = (_value(context, y, k * p) for k in (0, 1, 2))
    straight = close(twice - here, here - nothing, 1e-3)
    scaled = close(_value(context, y * factors, p / factors), here, _SAME)
    even = np.linspace(-0.5, 0.5, p.shape[1])
    summed = p.shape[1] > 1 and _stays(context, y, p + y * even)
    return scaled and not straight and not summed and not _stays(context, y, 2 * p)


def _of_turned_pairs(context: Context) -> bool:
    """Both embeddings of a pair may be turned together, and its label counts."""
    return _turns(context) and reads_labels(context)


def _of_turned_views(context: Context) -> bool:
    """Both views of an item may be turned together, and nothing is asked of each pair."""
    return _turns(context) and not reads_labels(context)


def _of_times_and_events(context: Context) -> bool:
    """The two columns of the targets mean different things."""
    return not _stays(context, context.problem.y_true[:, ::-1], context.problem.y_pred)


_SPEAKS: Mapping[str, Callable[[Context], bool]] = {
    "regression": _of_differences,
    "boxes": _of_boxes,
    "embedding": _of_equal_labels,
    "pair": _of_turned_pairs,
    "views": _of_turned_views,
    "plus_minus": _of_products,
    "survival": _of_times_and_events,
}
SPOKEN_FOR: tuple[Target, ...] = (
    "regression", "boxes", "plus_minus", "embedding", "pair", "views",
)  # fmt: skip
"""The kinds that a symmetry tells, in the order in which they are asked."""
