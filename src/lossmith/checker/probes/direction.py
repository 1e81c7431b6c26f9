"""Does the loss pull predictions towards their targets?"""

from collections.abc import Iterator

import numpy as np

from lossmith.checker import boxes, rules
from lossmith.checker.context import Context, close
from lossmith.checker.evaluate import Observation
from lossmith.checker.links import pull_back, to_free, to_prediction
from lossmith.checker.probes import scan
from lossmith.checker.probes.scan import is_scale_free
from lossmith.checker.report import Finding
from lossmith.checker.targets import ROWS

_AWAY = "training moves predictions away from their targets"
_SIGNS = "check the sign of each term, and which label each term belongs to"


def probe_path(context: Context) -> Iterator[Finding]:
    """From confidently wrong to right the loss falls, for every label."""
    problem = context.problem
    if problem.wrong is None or problem.perfect is None or problem.kind == "distance":
        return
    if context.settings.adversarial or not context.random.finite_value:
        return
    for start in _starts(context):
        found = _along(context, start)
        if found is not None:
            yield found
            return


def _starts(context: Context) -> list[np.ndarray]:
    """Wrong predictions to start from: all of them, then those of one label only."""
    problem = context.problem
    wrong, perfect, y = problem.wrong, problem.perfect, problem.y_true
    if wrong is None or perfect is None:
        return []
    if problem.kind != "segmentation":
        return [wrong]
    return [wrong, *(np.where(y == label, wrong, perfect) for label in (0, 1))]


def _along(context: Context, start: np.ndarray) -> Finding | None:
    """What is wrong on the way from these predictions to the perfect ones."""
    problem = context.problem
    end = problem.perfect
    if end is None:
        return None
    if problem.link == "identity":
        end = np.where(np.abs(end) > 8, end * (8 / np.abs(end).max()), end)
    steps = np.linspace(0, 0.999, 33)
    values = context.along(start, end, steps)
    if not np.all(np.isfinite(values)):
        return None
    per_row = values.shape[1] == ROWS
    for row in range(values.shape[1]):
        curve = values[:, row]
        spread = float(np.ptp(curve))
        wrong_half, right_half = curve[:16], curve[17:]
        if right_half.min() > wrong_half.min() + 1e-4 * spread + 1e-7 and spread > 1e-7:
            index = int(np.argmin(wrong_half))
            what = f"label {_label(problem.y_true[row])}" if per_row else "the batch"
            y = problem.y_true[row : row + 1] if per_row else problem.y_true
            p = (1 - steps[index]) * start + steps[index] * end
            p = p[row : row + 1] if per_row else p
            return rules.finding(
                rules.WRONG_MINIMUM,
                f"For {what} a wrong prediction costs {wrong_half.min():.4g}, the right one "
                f"{right_half.min():.4g}.",
                context.evidence(y, p, context.evaluator.reduced(y, p), "the cheaper, wrong one"),
                consequence=_AWAY,
                remedy=_SIGNS,
                severity=context.directed,
            )
        rise = float(curve[-1]) - (float(curve.min()) if problem.link != "identity" else
                                   float(wrong_half.max()))  # fmt: skip
        if rise > 0.15 * spread and spread > 1e-7:
            return _dear_end(context, row if per_row else None, float(curve[-1]), rise)
        if wrong_half.max() - wrong_half[0] > 0.2 * spread and not context.settings.redescending:
            return rules.finding(
                rules.NOT_MONOTONE,
                "The most confident mistakes cost less than hesitant ones: the loss rises from "
                f"{wrong_half[0]:.4g} to {wrong_half.max():.4g} while the prediction improves.",
                context.evidence(problem.y_true, start, note="confidently wrong predictions"),
                consequence=f"from there {_AWAY}",
                remedy=_SIGNS,
                severity=context.directed,
            )
    return None


def _dear_end(context: Context, row: int | None, cost: float, rise: float) -> Finding:
    """The finding that the surest right predictions cost more than less sure ones.

    Labels that are smoothed want a little less than certainty, and scores that are squares of an
    error a little less than infinity; both are allowed for.
    """
    problem, perfect = context.problem, context.problem.perfect
    chosen = slice(None) if row is None else slice(row, row + 1)
    what = "the batch" if row is None else f"label {_label(problem.y_true[row])}"
    kinds = "less sure ones" if problem.link != "identity" else "any wrong one"
    return rules.finding(
        rules.WRONG_MINIMUM,
        f"For {what} the surest right prediction costs {cost:.4g}, {rise:.4g} more than {kinds}.",
        context.evidence(problem.y_true[chosen], None if perfect is None else perfect[chosen]),
        consequence="training stops short of the right answer, or turns away from it",
        remedy=f"{_SIGNS}: `1 - y_true` where a label has no part in a term",
        severity=context.directed,
    )


def _label(row: np.ndarray) -> str:
    return str(np.asarray(row).ravel()[:6].tolist())


def probe_floor(context: Context) -> Iterator[Finding]:
    """Nothing near a perfect prediction is cheaper than it."""
    problem = context.problem
    if problem.kind not in ("regression", "boxes", "sequence") or context.settings.adversarial:
        return
    perfect = problem.perfect
    if perfect is None or sees_order_only(context):
        return
    if any(map(scan.is_smoothed_quantile, scan.scans(context))):
        return
    rng = np.random.default_rng(context.settings.seed + 1)
    best = context.evaluator.reduced(problem.y_true, perfect)
    gain = context.random.scalar - best.scalar
    if not (best.finite_value and np.isfinite(gain)):
        return
    sizes = (0.01, 0.05, 0.1) if problem.kind == "boxes" else (0.01, 0.1, 0.5)
    for size in np.repeat(sizes, 6):
        step = rng.normal(0, size, perfect.shape)
        moved = (perfect + step).astype("float32")
        seen = context.evaluator.reduced(problem.y_true, moved)
        if seen.finite_value and best.scalar - seen.scalar > 1e-5 + 0.02 * abs(gain):
            yield rules.finding(
                rules.WRONG_MINIMUM,
                f"A prediction next to the perfect one costs less: {seen.scalar:.4g} instead of "
                f"{best.scalar:.4g}.",
                context.evidence(problem.y_true, moved, seen, f"off by about {size:g}"),
                consequence=_AWAY,
                remedy=_SIGNS,
                severity=context.directed,
            )
            return


def probe_boxes(context: Context) -> Iterator[Finding]:
    """A box that is moved away costs more and more, or at least not less."""
    problem = context.problem
    if problem.kind != "boxes" or not context.random.finite_value:
        return
    y = problem.y_true
    yield from _perfect_boxes(context)
    shifts = np.linspace(0.0, 3.0, 25)
    for direction in ((1, 1), (1, -1), (-1, -1), (1, 0)):
        away = [boxes.moved(problem, y, *(shift * np.asarray(direction))) for shift in shifts]
        seen = [context.evaluator.reduced(y, p) for p in away]
        values = np.asarray([each.scalar for each in seen])
        if not np.all(np.isfinite(values)):
            return
        falls = np.diff(values)
        if -falls[falls < 0].sum() > 0.02 * np.ptp(values) + 1e-5:
            index = int(np.argmin(falls)) + 1
            yield rules.finding(
                rules.NOT_MONOTONE,
                f"Boxes moved {shifts[index]:.3g} away cost {values[index]:.4g}, less than the "
                f"{values[:index].max():.4g} of boxes nearer by.",
                context.evidence(y[:1], away[index][:1],
                                 context.evaluator.reduced(y[:1], away[index][:1])),
                consequence="boxes that do not meet are pushed further apart",
                remedy="clip the width and the height of the overlap at 0 before multiplying them",
                severity=context.directed,
            )  # fmt: skip
            return


def _perfect_boxes(context: Context) -> Iterator[Finding]:
    """A box that is right costs the same whatever its size, and nothing turned costs less."""
    y = context.problem.y_true
    right = context.evaluator.unreduced(y, y)
    turned = context.evaluator.reduced(y, y[:, [2, 3, 0, 1]])
    best = context.evaluator.reduced(y, y).scalar
    if right.finite_value and right.value.shape[:1] == (ROWS,) and np.ptp(right.value) > 1e-3:
        yield rules.finding(
            rules.WRONG_MINIMUM,
            f"Boxes that are right cost between {right.value.min():.4g} and "
            f"{right.value.max():.4g}, depending on their size.",
            context.evidence(y, y, right),
            consequence="small boxes, or large ones, are trained away from where they belong",
            remedy="measure the areas and the overlap in the same way",
            severity=context.directed,
        )
    elif context.problem.corners and turned.finite_value and turned.scalar < best - 1e-3:
        yield rules.finding(
            rules.WRONG_MINIMUM,
            f"Boxes with their corners swapped cost {turned.scalar:.4g}, less than the right "
            f"ones ({best:.4g}).",
            context.evidence(y, y[:, [2, 3, 0, 1]], turned),
            consequence="the model is rewarded for boxes of negative width and height",
            remedy="clip widths and heights at 0 before multiplying them",
            severity="warning",
        )


def probe_descent(context: Context) -> Iterator[Finding]:
    """Following the gradient by itself leads to the target."""
    problem, settings = context.problem, context.settings
    if problem.perfect is None or problem.kind == "distance" or settings.adversarial:
        return
    if not context.random.finite:
        return
    start, moved, last = _descend(context)
    if last is None:
        return
    before, after = (_distances(context, p) for p in (start, moved))
    floor = context.evaluator.reduced(problem.y_true, problem.perfect).scalar
    evidence = context.evidence(problem.y_true, moved, last, "after 160 steps of Adam")
    if last.scalar < -50 and last.scalar < floor - 10:
        yield rules.finding(
            rules.UNBOUNDED_BELOW,
            f"Following the gradient the loss runs down to {last.scalar:.4g}.",
            evidence,
            consequence="the loss falls without end while predictions leave their targets",
            remedy=f"{_SIGNS}; a loss without a floor on purpose is declared with "
            "`adversarial=True`",
            severity=context.directed,
        )
    elif after.mean() > 1.1 * before.mean() + 1e-3:
        yield rules.finding(
            rules.WRONG_DESCENT,
            f"Following the gradient the distance to the target grows from {before.mean():.3g} "
            f"to {after.mean():.3g}.",
            evidence,
            consequence=_AWAY,
            remedy=_SIGNS,
            severity=context.directed,
        )
    elif _floor_missed(context, last.scalar, floor, before, after):
        yield rules.finding(
            rules.WRONG_MINIMUM,
            f"The loss reaches its floor ({last.scalar:.3g}) while predictions are still off by "
            f"{after.mean():.3g}.",
            evidence,
            consequence="training ends with a loss of about 0 and a model that is wrong",
            remedy="take the mean of the loss of each error, not the loss of the mean error",
            severity=context.directed if problem.kind == "regression" else "warning",
        )


def _floor_missed(
    context: Context, last: float, floor: float, before: np.ndarray, after: np.ndarray
) -> bool:
    gain = context.random.scalar - floor
    reached = np.isfinite(floor) and gain > 1e-3 and last - floor < 2e-3 * gain
    return bool(
        context.problem.kind in ("regression", "sequence")
        and reached
        and after.mean() > 0.5 * before.mean()
        and not is_scale_free(context)
    )


def _descend(context: Context) -> tuple[np.ndarray, np.ndarray, Observation | None]:
    """Follow the gradient for 160 steps of Adam; no observation if that leads to the target."""
    problem = context.problem
    start = problem.y_pred
    if problem.kind == "regression" and problem.domain[0] == -np.inf:
        start = (problem.y_true + np.where(problem.y_pred > 0, 3.0, -3.0)).astype("float32")
    free = to_free(start, problem.link)
    first, second = np.zeros_like(free), np.zeros_like(free)
    p, before = start, _distances(context, start).mean()
    for step in range(1, 161):
        seen = context.evaluator.reduced(problem.y_true, p)
        if not seen.finite or seen.gradient is None or seen.gradient.shape != p.shape:
            return start, p, None
        slope = pull_back(seen.gradient, p.astype("float64"), problem.link)
        if not np.any(slope):
            break
        if step % 20 == 0 and _distances(context, p).mean() < 0.4 * before:
            return start, p, None
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        corrected = second / (1 - 0.999**step)
        rate = 0.1 * min(1.0, (161 - step) / 60)  # smaller in the end, to settle in a corner
        free = free - rate * (first / (1 - 0.9**step)) / (np.sqrt(corrected) + 1e-8)
        p = to_prediction(free, problem.link).astype("float32")
    return start, p, context.evaluator.reduced(problem.y_true, p)


def _distances(context: Context, p: np.ndarray) -> np.ndarray:
    """How far predictions are from their targets, per entry or row, as the kind of target counts.

    What the loss cannot see, a factor or a shift of the predictions, does not count.
    """
    problem = context.problem
    y = problem.y_true
    kind = problem.kind
    if "categorical" in kind:
        share = to_prediction(p, "softmax") if kind.endswith("logits") else p
        ids = y.astype(int) if y.ndim == 1 else y.argmax(axis=1)
        return 1 - share[np.arange(len(p)), ids]
    if kind == "binary_logits":
        return np.abs(to_prediction(p, "sigmoid") - y)
    if kind == "plus_minus":
        return to_prediction(-y * p, "sigmoid")
    if kind == "regression" and sees_order_only(context):
        return _disorder(y.ravel(), p.ravel())
    if kind == "regression" and is_scale_free(context):
        return np.abs(_normalised(p) - _normalised(y))
    if kind == "regression" and _is_shift_free(context):
        return np.abs((p - p.mean()) - (y - y.mean()))
    return np.abs(p - problem.ideal(y))


def sees_order_only(context: Context) -> bool:
    """Whether of the targets only their order counts, as in a loss of a ranking."""
    problem = context.problem
    if problem.kind != "regression":
        return False
    if "order only" not in context.memo:
        y = problem.y_true
        stretched, bent, reversed_ = (
            context.evaluator.reduced(other.astype("float32"), problem.y_pred).scalar
            for other in (3 * y + 1, np.sign(y) * y**2, y[::-1])
        )
        here = context.random.scalar
        same = close(stretched, here, 1e-5) and close(bent, here, 1e-5)
        context.memo["order only"] = same and not close(reversed_, here)
    return bool(context.memo["order only"])


def _disorder(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """For each pair of targets how far their predictions are from standing in their order."""
    order = np.sign(y[:, None] - y[None])
    return to_prediction(-order * (p[:, None] - p[None]), "sigmoid")[order != 0]


def _normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def _is_shift_free(context: Context) -> bool:
    problem = context.problem
    moved = context.evaluator.reduced(problem.y_true, problem.y_pred + np.float32(1.0))
    return moved.finite_value and close(moved.scalar, context.random.scalar)
