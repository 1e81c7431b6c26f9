"""The loss and its slope along a line of predictions, for drawing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lossmith.checker.evaluate import Evaluator
from lossmith.checker.report import Curve
from lossmith.checker.settings import Entry

_POINTS = 49


@dataclass(frozen=True)
class _Line:
    """Predictions from `start` to `end`, drawn for each of the `labels`."""

    start: float
    end: float
    labels: tuple[float, ...]
    axis: str


_LINES: Mapping[str, _Line] = {
    "regression": _Line(-4.0, 4.0, (0.0,), "y_pred"),
    "binary": _Line(0.01, 0.99, (1.0, 0.0), "y_pred"),
    "binary_logits": _Line(-6.0, 6.0, (1.0, 0.0), "y_pred"),
    "plus_minus": _Line(-4.0, 4.0, (1.0, -1.0), "y_pred"),
    "distance": _Line(0.0, 3.0, (1.0, 0.0), "distance"),
}


def trace(loss: object, target: str, entry: Entry) -> list[Curve]:
    """One curve for each label of a kind of target that has a single axis, else none.

    Nor is there one where the loss of a single prediction is nowhere a number.
    """
    line = _LINES.get(target)
    if line is None:
        return []
    evaluator = Evaluator(loss, entry)
    curves = [_traced(evaluator, line, label) for label in line.labels]
    return [curve for curve in curves if any(map(math.isfinite, curve.values))]


def _traced(evaluator: Evaluator, line: _Line, label: float) -> Curve:
    at = np.linspace(line.start, line.end, _POINTS, dtype="float32")
    target = np.full((1, 1), label, "float32")
    seen = [evaluator.reduced(target, point.reshape(1, 1)) for point in at]
    return Curve(
        f"y_true = {label:g}, {line.axis} from {line.start:g} to {line.end:g}",
        tuple(map(float, at)),
        tuple(each.scalar for each in seen),
        tuple(float(np.sum(each.slopes)) for each in seen),
    )
