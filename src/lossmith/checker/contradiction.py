"""Whether a batch of the user's is of the kind of target that was declared.

A kind is contradicted only by numbers that count: what the loss leaves without a gradient, an
unknown label for one, may be any number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lossmith.checker import rules
from lossmith.checker.evaluate import Evaluator, Observation
from lossmith.checker.hyperparameters import ignored_label
from lossmith.checker.report import Evidence, Finding
from lossmith.checker.settings import Settings, Target

_SLACK = 1e-3
_LEAVE_OUT = "name the kind that the batch is of, or leave the kind out to have it guessed"


@dataclass(frozen=True)
class _Batch:
    """The user's numbers, and what the loss makes of them."""

    kind: Target
    y_true: np.ndarray
    y_pred: np.ndarray
    seen: Observation
    ignored: float | None

    def counts(self, chosen: np.ndarray) -> bool:
        """Whether the loss breaks on the batch, or gives a gradient to one of the chosen rows."""
        if not self.seen.ran:
            return True
        slopes = self.seen.slopes
        if slopes.shape != self.y_pred.shape:
            return False
        if chosen.shape != slopes.shape:
            slopes, chosen = slopes.reshape(len(slopes), -1), chosen.reshape(len(slopes), -1)[:, 0]
        return bool(np.any(slopes[chosen] != 0))


def contradicted(evaluator: Evaluator, settings: Settings, kind: Target) -> Finding | None:
    """The finding that the user's batch is not of the declared kind, with the numbers that show it.

    Args:
        evaluator: runs the loss.
        settings: what the user said, with the batch.
        kind: the kind of target that was declared.
    """
    if settings.y_true is None or settings.y_pred is None:
        return None
    y, p = np.asarray(settings.y_true), np.asarray(settings.y_pred, "float32")
    seen = evaluator.reduced(y.astype("float32") if y.dtype.kind == "f" else y, p)
    batch = _Batch(kind, y, p, seen, ignored_label(evaluator.original))
    found = next(filter(None, (look(batch) for look in _LOOKS.get(kind, ()))), None)
    if found is None:
        return None
    words, remedy = found
    return rules.finding(
        rules.TARGET_UNFIT,
        f"Your own batch is not of target={kind!r}: {words}.",
        Evidence(evaluator.backend, "eager", note=seen.error or ""),
        consequence="what is found with inputs of that kind says little of yours",
        remedy=remedy,
    )


def _several_per_row(batch: _Batch) -> tuple[str, str] | None:
    """A row of these kinds is more than one number."""
    if batch.y_pred.ndim > 1:
        return None
    return f"y_pred has the shape {batch.y_pred.shape}, a number for each row", _LEAVE_OUT


Look = Callable[[_Batch], tuple[str, str] | None]


def _ids(batch: _Batch) -> tuple[str, str] | None:
    """Class ids have a column each."""
    y, columns = batch.y_true, batch.y_pred.shape[-1]
    if batch.y_pred.ndim < 2 or y.shape == batch.y_pred.shape:
        return None
    known = y[np.isfinite(y) & (y != batch.ignored)]
    outside = known[(known < 0) | (known >= columns)]
    if not outside.size:
        return None
    from_one = known.min() == 1 and known.max() == columns
    if not (from_one or batch.counts(np.isin(y, outside))):
        return None
    words = f"y_true holds the class id {outside[0]:g}, and the {columns} columns of y_pred are "
    if from_one:
        return f"{words}of the ids 0 to {columns - 1}", (
            "count class ids from 0: subtract 1 in the data, and nothing in the loss"
        )
    return (
        f"{words}of the ids 0 to {columns - 1}",
        "give y_pred a column for each class; a loss with other columns, as an ordinal one with a "
        "threshold less than classes, is checked on the batch alone with target='regression'",
    )


def _labels(low: float, high: float) -> Look:
    """Labels lie between two numbers."""

    def look(batch: _Batch) -> tuple[str, str] | None:
        y = batch.y_true
        outside = (y < low - _SLACK) | (y > high + _SLACK)
        if not outside.any() or not batch.counts(outside):
            return None
        return (
            f"y_true holds {y[outside].ravel()[0]:g}, and its labels are {low:g} and {high:g}",
            _LEAVE_OUT,
        )

    return look


def _one_class_per_row(batch: _Batch) -> tuple[str, str] | None:
    ones = (batch.y_true == 1).sum(axis=-1)
    if ones.ndim != 1 or ones.max() < 2:
        return None
    row = batch.y_true[ones.argmax()]
    return (
        f"the row {row.tolist()} of y_true has {ones.max()} ones, and one is the class of the row",
        "columns that are labels of their own, as the thresholds of an ordinal loss, are of "
        "target='binary' or 'binary_logits'",
    )


def _probabilities(batch: _Batch) -> tuple[str, str] | None:
    p = batch.y_pred
    outside = p[(p < -_SLACK) | (p > 1 + _SLACK)]
    if not outside.size:
        return None
    advice = "end the model with a sigmoid"
    if batch.kind != "segmentation":
        advice = f"target='{batch.kind}_logits' is for scores that no sigmoid or softmax has met"
    return f"y_pred holds {outside[0]:g}, and its predictions are probabilities", advice


_ZERO_ONE = _labels(0, 1)
_LOOKS: Mapping[Target, tuple[Look, ...]] = {
    "binary": (_ZERO_ONE, _probabilities),
    "binary_logits": (_ZERO_ONE,),
    "segmentation": (_several_per_row, _ZERO_ONE, _probabilities),
    "distance": (_ZERO_ONE,),
    "pair": (_ZERO_ONE,),
    "plus_minus": (_labels(-1, 1),),
    "embedding": (_several_per_row,),
    "boxes": (_several_per_row,),
    "categorical": (_several_per_row, _one_class_per_row, _probabilities),
    "categorical_logits": (_several_per_row, _one_class_per_row),
    "sparse_categorical": (_several_per_row, _ids, _probabilities),
    "sparse_categorical_logits": (_several_per_row, _ids),
}
