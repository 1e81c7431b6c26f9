"""Measures what a loss is like: facts to read, not faults."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lossmith.checker.context import Context, close
from lossmith.checker.hyperparameters import hyperparameters
from lossmith.checker.probes import pairs, scan
from lossmith.checker.probes.hyperparameters import larger, rebuilt
from lossmith.checker.report import Card, CardRow
from lossmith.checker.targets import UNDER_LINKS

_STEPS = 40
_WORDS = {
    "pull": "pulls together",
    "push": "pushes apart",
    "none": "no gradient",
    "mixed": "pulls at some distances and pushes at others",
}


def measure(context: Context) -> Card:
    """Return the card of a loss; a property that cannot be measured is left out."""
    rows: dict[str, CardRow] = {}
    for part in (_given, _batch, _at_perfect, _regression, _binary, _pairs, _survival, _effects):
        try:
            rows.update(part(context))
        except Exception as error:  # the other rows are worth having
            rows[f"not measured ({part.__name__.strip('_')})"] = CardRow(type(error).__name__)
    return Card(rows)


def _given(context: Context) -> Iterator[tuple[str, CardRow]]:
    """The hyperparameters that the rows are of: with others they may be other ones."""
    found = hyperparameters(context.evaluator.original)
    if found:
        words = ", ".join(f"{name}={_word(value)}" for name, value in found.items())
        yield "measured with", CardRow(words)


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _batch(context: Context) -> Iterator[tuple[str, CardRow]]:
    seen = context.unreduced
    if not seen.ran:
        return
    kind = "per sample" if context.rowwise or context.averages_rows else "of the whole batch"
    yield "kind", CardRow(kind, "6 rows, together and alone")
    shape = f"{tuple(seen.value.shape)} for predictions {tuple(context.problem.y_pred.shape)}"
    yield "values", CardRow(shape, "the random batch")


def _at_perfect(context: Context) -> Iterator[tuple[str, CardRow]]:
    problem = context.problem
    if problem.perfect is None:
        return
    for words, inverse in UNDER_LINKS.items():
        if problem.ideal is inverse:
            yield "best prediction", CardRow(words, "targets from 0.5 to 5")
    best = context.evaluator.reduced(problem.y_true, problem.perfect)
    yield "at a perfect prediction", CardRow(_number(best.scalar), "the random targets")


def _number(value: float) -> Any:
    return value if not math.isfinite(value) else float(f"{value:.4g}")


def _regression(context: Context) -> Iterator[tuple[str, CardRow]]:
    curves = [curve for curve in scan.scans(context) if np.all(np.isfinite(curve.values))]
    if not curves:
        return
    targets = ", ".join(f"{curve.target:g}" for curve in curves)
    where = f"errors (y_pred - y_true) from -8 to 8 around {targets}"
    size = max(float(np.abs(curve.values).max()) for curve in curves)
    tolerance = 2e-5 * max(1.0, size)
    slopes = np.concatenate([curve.slopes for curve in curves])
    bends = np.concatenate([np.diff(curve.values, 2) for curve in curves])
    turns = np.concatenate([np.abs(np.diff(curve.slopes)) for curve in curves])
    steepest = float(np.abs(slopes).max())
    tails = [float(np.abs(curve.slopes[side])) for curve in curves for side in (0, -1)]
    middle = [float(np.abs(curve.slopes[side])) for curve in curves for side in (100, 220)]
    yield "convex", CardRow(bool((bends > -tolerance).all()), where)
    smooth = bool(turns.max() < 0.25 * max(steepest, 1e-6))
    yield "smooth", CardRow(smooth, where, "" if smooth else "the slope changes at once")
    yield "steepest slope", CardRow(_number(steepest), where, "the Lipschitz constant there")
    symmetric = all(close(c.values, c.values[::-1], 1e-3) for c in curves)
    yield "symmetric", CardRow(symmetric, where)
    yield "lowest value", CardRow(_number(min(float(c.values.min()) for c in curves)), where)
    bounded = max(tails) <= 1.2 * max(max(middle), 1e-9)
    yield (
        "bounded influence",
        CardRow(bounded, where, f"large errors pull {'no ' if bounded else ''}harder"),
    )
    redescending = max(tails) < 0.5 * max(steepest, 1e-9)
    yield (
        "redescending",
        CardRow(redescending, where, f"large errors {'' if redescending else 'do not '}pull less"),
    )
    first = curves[len(curves) // 2]
    if not symmetric:
        yield (
            "error of -4 and of +4",
            CardRow([_number(float(first.values[80])), _number(float(first.values[240]))], where),
        )


def _binary(context: Context) -> Iterator[tuple[str, CardRow]]:
    problem = context.problem
    if problem.kind not in ("binary", "binary_logits", "plus_minus", "segmentation"):
        return
    high, low = (0.9, 0.1) if problem.link == "sigmoid" else (2.2, -2.2)
    negative = -1.0 if problem.kind == "plus_minus" else 0.0
    shape = problem.y_pred.shape
    for name, label, p in (("false positive", negative, high), ("false negative", 1.0, low)):
        seen = context.evaluator.reduced(
            np.full(shape, label, "float32"), np.full(shape, p, "float32")
        )
        where = f"label {label:g}, prediction {p:g} everywhere"
        yield f"cost of a {name}", CardRow(_number(seen.scalar), where)


def _pairs(context: Context) -> Iterator[tuple[str, CardRow]]:
    if context.problem.kind not in ("distance", "pair") or not context.random.finite:
        return
    for label, pull in pairs.directions(context).items():
        yield f"pairs of label {label}", CardRow(_WORDS[pull], "distances from 0.02 to 4")


def _survival(context: Context) -> Iterator[tuple[str, CardRow]]:
    """Which way scores are ordered after a few steps along the gradient."""
    if context.problem.kind != "survival" or not context.random.finite:
        return
    y, p = context.problem.y_true, context.problem.y_pred
    for _ in range(_STEPS):
        slopes = context.evaluator.reduced(y, p).slopes
        if slopes.shape != p.shape or not np.any(slopes):
            break
        p = (p - 0.1 * slopes / np.abs(slopes).max()).astype("float32")
    time, event, score = y[:, 0], y[:, 1], p.reshape(len(p), -1)[:, 0]
    known = (time[:, None] < time[None, :]) & (event[:, None] == 1)
    earlier_higher = float(np.mean((score[:, None] > score[None, :])[known]))
    meaning = "an earlier event" if earlier_higher > 0.5 else "a later event"
    share = max(earlier_higher, 1 - earlier_higher)
    yield (
        "a higher score means",
        CardRow(meaning if share > 0.7 else "neither an earlier nor a later event",
                f"the order after {_STEPS} steps along the gradient"),
    )  # fmt: skip


def _effects(context: Context) -> Iterator[tuple[str, CardRow]]:
    original = context.evaluator.original
    for name, value in list(hyperparameters(original).items())[:4]:
        if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
            continue
        more = larger(value)
        other = rebuilt(context, **{name: more})
        if other is None:
            continue
        seen = other.reduced(context.problem.y_true, context.problem.y_pred)
        if seen.finite_value:
            yield (
                f"a larger {name}",
                CardRow(
                    f"{context.random.scalar:.4g} becomes {seen.scalar:.4g}",
                    f"the random batch, {name} from {value:g} to {more:.3g}",
                ),
            )
