"""What a loss of labels does on the way to the right answer, and once it is there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS

_STEPS = np.linspace(0.0, 0.999, 33)
_FINE = 129
_LEFT = (1e-1, 1e-2, 1e-3, 1e-4)
"""How much of the way to a certain answer is still to go, in even steps of its logarithm."""
_UNLIKE = 100.0
"""How many times dearer or cheaper a right answer may be than wrong ones are apart."""


@dataclass(frozen=True)
class _Rise:
    """A jump upwards between two predictions of one row, the second the better one."""

    row: int
    before: np.ndarray
    after: np.ndarray
    values: tuple[float, float]
    decides: bool
    dearest: bool


def probe_rise(context: Context) -> Iterator[Finding]:
    """The loss does not jump upwards while a prediction improves.

    A jump downwards may be the price of a wrong decision. One upwards away from any decision may
    be a factor by the difficulty of a row, if no other label has it at the same prediction.
    """
    problem, settings = context.problem, context.settings
    if not problem.kind.startswith(("binary", "categorical", "sparse", "plus_minus")):
        return
    single = context.rowwise or context.averages_rows
    if settings.adversarial or settings.redescending or settings.stochastic or not single:
        return
    if problem.wrong is None or problem.perfect is None or not context.random.finite_value:
        return
    rises = _rises(context, problem.wrong, problem.perfect)
    if not rises:
        return
    clearest = max(rises, key=lambda rise: (rise.decides, rise.dearest, rise.values[1]))
    serious = clearest.decides or clearest.dearest or _meets_other_labels(context, clearest)
    y = problem.y_true[clearest.row : clearest.row + 1]
    p = np.stack([clearest.before, clearest.after])
    yield rules.finding(
        rules.JUMP,
        f"For label {y[0].tolist()} the loss jumps from {clearest.values[0]:.4g} to "
        f"{clearest.values[1]:.4g} while the prediction improves from {_shown(p[0])} to "
        f"{_shown(p[1])}.",
        context.evidence(np.repeat(y, 2, axis=0), p, note="two neighbouring predictions"),
        consequence="a prediction that has just become better costs more than it did, and the "
        "gradient does not know of it",
        remedy="choose weights by the label, y_true, and not by the prediction",
        severity=context.directed if serious else "information",
    )


def _shown(prediction: np.ndarray) -> str:
    return str([round(float(entry), 4) for entry in prediction])


def _rises(context: Context, start: np.ndarray, end: np.ndarray) -> list[_Rise]:
    coarse = _costs(context, start, end, np.tile(_STEPS[:, None], len(start)))
    if not np.all(np.isfinite(coarse)):
        return []
    at = np.argmax(np.diff(coarse, axis=0), axis=0)
    rows = np.arange(len(start))
    risen = coarse[at + 1, rows] - coarse[at, rows]
    notable = risen > 0.01 * np.maximum(np.ptp(coarse, axis=0), 1e-3)
    if not notable.any():
        return []
    inside = np.linspace(_STEPS[at], _STEPS[at + 1], _FINE)
    fine = _costs(context, start, end, inside)
    sudden = np.argmax(np.diff(fine, axis=0), axis=0)
    found = []
    for row in np.flatnonzero(notable):
        low, high = fine[sudden[row], row], fine[sudden[row] + 1, row]
        if high - low < 0.6 * risen[row]:
            continue
        shares = inside[sudden[row] : sudden[row] + 2, row]
        before, after = ((1 - t) * start[row] + t * end[row] for t in shares)
        found.append(
            _Rise(int(row), before, after, (float(low), float(high)),
                  _decided(context, before) != _decided(context, after),
                  bool(high > 1.01 * coarse[: at[row] + 1, row].max()))
        )  # fmt: skip
    return found


def _meets_other_labels(context: Context, rise: _Rise) -> bool:
    """Whether rows of another label jump as well between these two predictions."""
    labels = context.problem.y_true.reshape(ROWS, -1)
    others = np.any(labels != labels[rise.row], axis=1)
    before, after = (np.tile(each, (ROWS, 1)) for each in (rise.before, rise.after))
    costs = _costs(context, before, after, np.stack([np.zeros(ROWS), np.ones(ROWS)]))
    jumped = np.abs(costs[1] - costs[0]) > 0.1 * (rise.values[1] - rise.values[0])
    return bool(np.any(jumped & others))


def _decided(context: Context, prediction: np.ndarray) -> int:
    """The class or the label that a prediction speaks for."""
    kind = context.problem.kind
    if "categorical" in kind:
        return int(prediction.argmax())
    return int(prediction.mean() > (0.5 if kind == "binary" else 0.0))


def _costs(context: Context, start: np.ndarray, end: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """What each row costs at its own `steps` of the way: an array of their shape."""
    y = context.problem.y_true
    points = [((1 - t[:, None]) * start + t[:, None] * end).astype("float32") for t in steps]
    if context.rowwise:
        seen = context.per_row(np.concatenate([y] * len(points)), np.concatenate(points))
        return seen.value.reshape(steps.shape) if seen.ran else np.full(steps.shape, np.nan)
    alone = [(y[i : i + 1], p[i : i + 1]) for p in points for i in range(len(y))]
    values = [seen.scalar for seen in context.batches(alone)]
    return np.reshape(values, steps.shape)


def probe_certain(context: Context) -> Iterator[Finding]:
    """A right answer does not become ever cheaper as it becomes more certain."""
    problem = context.problem
    if problem.link not in ("sigmoid", "softmax") or context.settings.adversarial:
        return
    if problem.wrong is None or problem.perfect is None or not context.random.finite_value:
        return
    values = context.along(problem.perfect, problem.wrong, np.asarray(_LEFT))
    for row in range(values.shape[1]):
        gains = -np.diff(values[:, row])
        lowest = float(values[-1, row])
        if not (np.all(np.isfinite(gains)) and lowest < -0.5 and gains[0] > 0.1):
            continue
        if np.all(np.abs(np.diff(gains)) < 0.2 * gains[:-1]):
            yield _falls(context, row if values.shape[1] > 1 else None, lowest)
            return


def _falls(context: Context, row: int | None, lowest: float) -> Finding:
    problem = context.problem
    chosen = slice(None) if row is None else slice(row, row + 1)
    what = "the batch" if row is None else f"label {problem.y_true[row].ravel()[:6].tolist()}"
    return rules.finding(
        rules.UNBOUNDED_BELOW,
        f"For {what} the loss falls without end as the right answer becomes certain: with "
        f"{_LEFT[-1]:g} of the way to go it costs {lowest:.4g}.",
        context.evidence(problem.y_true[chosen], problem.y_pred[chosen]),
        consequence="training rewards certainty without limit, and the mean over the batch hides "
        "what wrong answers cost",
        remedy="a logarithm has a negative factor there: weigh the whole term of a label, "
        "`w * y_true * log(p) + (1 - y_true) * log(1 - p)`, and keep every weight positive",
        severity=context.directed,
    )


def probe_empty(context: Context) -> Iterator[Finding]:
    """Right answers without any positive, or any negative, cost about what others do."""
    problem = context.problem
    if problem.kind not in ("binary", "binary_logits", "segmentation"):
        return
    usual = [abs(context.at(case).scalar) for case in problem.cases
             if case.role in ("random", "wrong")]  # fmt: skip
    if not np.all(np.isfinite(usual)):
        return
    for case in problem.cases:
        seen = context.at(case)
        if case.role != "perfect" or not seen.finite_value:
            continue
        if abs(seen.scalar) > _UNLIKE * (1 + max(usual)):
            yield rules.finding(
                rules.UNBOUNDED_BELOW if seen.scalar < 0 else rules.WRONG_MINIMUM,
                f"A right answer costs {seen.scalar:.4g} in the case {case.name!r}; random ones "
                f"cost {context.random.scalar:.4g}.",
                context.smallest(case, lambda alone: abs(alone.scalar) > _UNLIKE * max(usual)),
                consequence="one row without a positive decides the mean of the whole batch, and "
                "its gradient drowns all others",
                remedy="something is divided by next to nothing: add the same smoothing to the "
                "numerator and the denominator",
                severity=context.directed,
            )
            return
