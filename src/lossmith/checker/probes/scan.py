"""The loss of one error, from -8 to 8, around targets of both signs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lossmith.checker import rules
from lossmith.checker.context import Context, close
from lossmith.checker.report import Evidence, Finding
from lossmith.checker.targets import ROWS

ERRORS = np.linspace(-8.0, 8.0, 321)
_CENTRE = len(ERRORS) // 2
_FAR = 20.0
_STEP = ERRORS[1] - ERRORS[0]


@dataclass(frozen=True)
class Scan:
    """Values and slopes over `ERRORS` (prediction minus the best one) at one target."""

    target: float
    best: float
    values: np.ndarray
    slopes: np.ndarray


def scans(context: Context) -> list[Scan]:
    """The curves that a loss of a regression has; none if the loss is free of scale."""
    if "scans" not in context.memo:
        found: list[Scan | None] = []
        problem = context.problem
        known = problem.kind == "regression" and problem.perfect is not None
        if known and _is_resolved(context) and not is_scale_free(context):
            found = [_scan(context, target) for target in _targets(context)]
        context.memo["scans"] = [scan for scan in found if scan is not None]
    return list(context.memo["scans"])


def is_scale_free(context: Context) -> bool:
    """Whether multiplying the predictions by 2 leaves the loss as it is."""
    if "scale free" not in context.memo:
        problem = context.problem
        doubled = context.evaluator.reduced(problem.y_true, 2 * problem.y_pred)
        same = doubled.finite_value and close(doubled.scalar, context.random.scalar)
        context.memo["scale free"] = same
    return bool(context.memo["scale free"])


def _is_resolved(context: Context) -> bool:
    """Whether float32 tells predictions apart that are one step of the curve from each other."""
    errors = _errors(context)
    largest = max(abs(target) for target in _targets(context)) + abs(errors).max()
    return bool(np.spacing(np.float32(largest)) < 0.1 * (errors[1] - errors[0]))


def _targets(context: Context) -> tuple[float, ...]:
    low, high = context.problem.domain
    if math.isfinite(low) and math.isfinite(high):
        return (low + (high - low) / 2,)
    if math.isfinite(low):
        return (low + 9.0, low + 20.0)
    return (-1.5, 0.0, 1.5) if not math.isfinite(high) else (high - 9.0,)


def _errors(context: Context) -> np.ndarray:
    low, high = context.problem.domain
    both = math.isfinite(low) and math.isfinite(high)
    return ERRORS * (high - low) / 2 * 0.999 / 8 if both else ERRORS


def _scan(context: Context, target: float) -> Scan | None:
    seen = _curve(context, target, _errors(context))
    best = float(context.problem.ideal(np.asarray(target)))
    return None if seen is None else Scan(target, best, *seen)


def _curve(
    context: Context, target: float, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    columns = context.problem.y_pred.shape[1]
    if context.rowwise:
        y = np.full((len(errors), columns), target, "float32")
        p = context.problem.ideal(y) + errors[:, None]
        seen = context.per_row(y, p.astype("float32"))
        if not seen.ran or seen.value.shape != (len(errors),):
            return None
        slopes = seen.slopes if seen.gradient is not None else np.zeros((len(errors), 1))
        return seen.value, slopes.reshape(len(errors), -1).sum(axis=1)
    spread = np.linspace(-1, 1, ROWS * columns).reshape(ROWS, columns) * min(1.0, abs(target) or 1)
    y = (target + spread).astype("float32")
    thinned = errors if len(errors) < 100 else errors[::4]
    best = context.problem.ideal(y)
    each = [context.evaluator.reduced(y, (best + error).astype("float32")) for error in thinned]
    values = np.interp(errors, thinned, [seen.scalar for seen in each])
    slopes = np.interp(errors, thinned, [float(np.sum(seen.slopes)) for seen in each])
    return values, slopes


def probe_scan(context: Context) -> Iterator[Finding]:
    """No jump, no fall while the error grows, the lowest point at no error, no dead tail."""
    found = scans(context)
    every = (jump, _wrong_side, _not_monotone, _tail)
    steps = every[:1] if context.settings.adversarial else every
    for step in steps:
        for scan in found:
            if not np.all(np.isfinite(scan.values)):
                continue
            finding = step(context, scan)
            if finding is not None:
                yield finding
                break
    if not context.settings.adversarial:
        yield from _relative(context)


def _scale(scan: Scan) -> float:
    return max(1e-6, float(np.ptp(scan.values)))


def is_smoothed_quantile(scan: Scan) -> bool:
    """Whether this is a loss of quantiles whose corner is rounded.

    It is convex, straight far out and dearer on one side; the rounding moves its lowest point to
    the side that costs less.
    """
    slopes, size = scan.slopes, float(np.abs(scan.slopes).max())
    if not np.isfinite(size):
        return False
    left, right = slopes[0], slopes[-1]
    straight = abs(slopes[20] - left) < 0.02 * size and abs(slopes[-21] - right) < 0.02 * size
    convex = bool(np.all(np.diff(slopes) > -1e-3 * size))
    cheaper = np.sign(-left - right)
    off = np.sign(int(np.argmin(scan.values)) - _CENTRE)
    return straight and convex and left < 0 < right and abs(left + right) > 0.02 * size and (
        off == cheaper
    )  # fmt: skip


def _evidence(context: Context, scan: Scan, indices: list[int], note: str) -> Evidence:
    errors = _errors(context)[indices]
    return Evidence(
        context.backend,
        "eager" if context.backend == "torch" else "compiled",
        [scan.target] * len(indices),
        [round(float(scan.best + error), 6) for error in errors],
        [float(scan.values[index]) for index in indices],
        [float(scan.slopes[index]) for index in indices],
        f"{note} (error = y_pred - y_true)"
        if scan.target == scan.best
        else f"{note} (error = y_pred - the best one)",
    )


def jump(context: Context, scan: Scan) -> Finding | None:
    """The finding that two neighbouring errors cost very different amounts."""
    if not context.rowwise:
        return None
    errors = _errors(context)
    steps = np.abs(np.diff(scan.values))
    slopes = np.abs(scan.slopes)
    expected = np.maximum(slopes[1:], slopes[:-1]) * (errors[1] - errors[0])
    if _is_relative(context, scan):
        expected[_CENTRE - 1 : _CENTRE + 1] = np.inf
    for index in np.argsort(steps - 1.5 * expected)[::-1][:2]:
        coarse = steps[index]
        if coarse < 1.5 * expected[index] + 1e-3 * max(1e-3, min(1.0, _scale(scan))):
            return None
        fine = _curve(context, scan.target, np.linspace(errors[index], errors[index + 1], 961))
        if fine is None or not np.all(np.isfinite(fine[0])):
            return None
        if np.abs(np.diff(fine[0])).max() > 0.4 * coarse:
            return rules.finding(
                rules.JUMP,
                f"Between an error of {errors[index]:.3g} and {errors[index + 1]:.3g} the loss "
                f"jumps from {scan.values[index]:.4g} to {scan.values[index + 1]:.4g}.",
                _evidence(context, scan, [int(index), int(index) + 1], "two neighbouring errors"),
                consequence="the gradient does not know of the jump: the loss in the log and what "
                "training minimises are two things",
                remedy="make the two branches meet: at the threshold t both must give the same "
                "value (for Huber, 0.5 * e^2 and t * (abs(e) - 0.5 * t))",
            )
    return None


def _is_relative(context: Context, scan: Scan) -> bool:
    """Whether it is only for the target 0 that the smallest error costs about as much as any."""
    others = [_share_of_first_step(other) for other in scans(context) if other.target != 0]
    return scan.target == 0 and bool(others) and max(others) < 0.2 < _share_of_first_step(scan)


def _share_of_first_step(scan: Scan) -> float:
    beside = min(scan.values[_CENTRE - 1], scan.values[_CENTRE + 1])
    return float(beside - scan.values[_CENTRE]) / _scale(scan)


def _relative(context: Context) -> Iterator[Finding]:
    for scan in scans(context):
        if _is_relative(context, scan):
            yield rules.finding(
                rules.JUMP,
                f"For the target 0 an error of {_STEP:.2g} costs {scan.values[_CENTRE + 1]:.4g}, "
                "about as much as any: errors are measured against their targets.",
                _evidence(context, scan, [_CENTRE, _CENTRE + 1], "no error, then a small one"),
                consequence="rows whose target is 0 cost the most and hardly train the model",
                remedy="declare the range of the targets if 0 is not in it, `domain=(low, high)`; "
                "else add to the denominator what counts as a small target",
                severity="information",
            )


def _wrong_side(context: Context, scan: Scan) -> Finding | None:
    centre, lowest = scan.values[_CENTRE], int(np.argmin(scan.values))
    error = _errors(context)[lowest]
    if centre - scan.values[lowest] <= 1e-5 + 0.01 * min(1.0, _scale(scan)):
        return None
    if is_smoothed_quantile(scan):
        return rules.finding(
            rules.WRONG_MINIMUM,
            f"The lowest point lies at an error of {error:.3g}, on the side that costs less, as "
            "the smoothing of a quantile loss makes it.",
            _evidence(context, scan, [_CENTRE, lowest], "perfect, then the cheapest prediction"),
            consequence="predictions are off by about that much; less smoothing, less of it",
            severity="information",
        )
    edge = lowest in (0, len(ERRORS) - 1)
    far = abs(error) > 0.5
    message = f"A prediction off by {error:.3g} costs less ({scan.values[lowest]:.4g}) than a "
    return rules.finding(
        rules.UNBOUNDED_BELOW if edge and scan.values[lowest] < -50 else rules.WRONG_MINIMUM,
        message + f"perfect one ({centre:.4g}), for the target {scan.target:g}.",
        _evidence(context, scan, [_CENTRE, lowest], "perfect, then the cheapest prediction"),
        consequence="training moves predictions away from their targets",
        remedy="check the sign of the error and of each term, and that every branch uses "
        "`ops.abs(error)` where it means the size of the error; a loss without a floor on purpose "
        "is declared with `adversarial=True`",
        severity=context.directed if far else "warning",
    )


def _not_monotone(context: Context, scan: Scan) -> Finding | None:
    lowest = int(np.argmin(scan.values))  # a rounded corner may move it a little off the centre
    start = lowest if abs(ERRORS[lowest]) <= 0.5 else _CENTRE
    rises = np.diff(scan.values) * np.where(np.arange(len(ERRORS) - 1) < start, -1, 1)
    tolerance = 1e-5 * max(1.0, float(np.abs(scan.values).max()))
    centre = scan.values[_CENTRE]
    if centre - scan.values.min() > tolerance + 0.01 * min(1.0, _scale(scan)):
        return None
    falls = np.flatnonzero(rises < -tolerance)
    depth = float(-rises[falls].sum()) if falls.size else 0.0
    if depth < 1e-3 * max(1e-3, min(1.0, _scale(scan))) or context.settings.redescending:
        return None
    index = int(falls[np.argmin(rises[falls])])
    error = float(_errors(context)[index])
    return rules.finding(
        rules.NOT_MONOTONE,
        f"Around an error of {error:.3g} the loss falls although the error grows "
        f"(target {scan.target:g}).",
        _evidence(context, scan, [index, index + 1], "two neighbouring errors"),
        consequence="predictions in that region are pushed further away from their targets",
        remedy="check the branch for large errors: its constant, its sign and its threshold",
        severity=context.directed,
    )


def _tail(context: Context, scan: Scan) -> Finding | None:
    centre = scan.values[_CENTRE]
    for error in (-_FAR, _FAR):
        dead = _dead_far_out(context, error)
        if dead is not None and not context.settings.redescending:
            return dead
    for side in (slice(0, 41), slice(-41, None)):
        values, slopes = scan.values[side], scan.slopes[side]
        if np.any(slopes) or np.ptp(values) > 1e-6 * max(1.0, float(np.abs(values).max())):
            continue
        free = abs(values[0] - centre) <= 1e-3 * min(1.0, _scale(scan)) + 1e-7
        if free and _scale(scan) <= 1e-6:
            return None
        if not free and context.settings.redescending:
            continue
        index = 20 if side.start == 0 else len(ERRORS) - 21
        error = float(_errors(context)[index])
        costs = "nothing" if free else f"{values[0]:.4g}"
        return rules.finding(
            rules.PLATEAU,
            f"An error of {error:.3g} costs {costs} and gets no gradient (target {scan.target:g}).",
            _evidence(context, scan, [_CENTRE, index], "no error, then this one"),
            consequence="predictions that far off on this side are never corrected",
            remedy="check clips, and `maximum`/`relu` without `abs`; declare `redescending=True` "
            "if outliers are to be left alone",
            severity=context.directed if free else "warning",
        )
    return None


def _dead_far_out(context: Context, error: float) -> Finding | None:
    y = context.problem.y_true
    perfect = context.problem.ideal(y)
    p = (perfect + error).astype("float32")
    seen = context.evaluator.reduced(y, p)
    best = context.evaluator.reduced(y, perfect).scalar
    low, high = context.problem.domain
    if p.min() < low or p.max() > high or not seen.finite or np.any(seen.slopes):
        return None
    if not seen.scalar > best + 1e-3:
        return None
    y, p = y[:1], p[:1]
    return rules.finding(
        rules.PLATEAU,
        f"An error of {error:g} costs {seen.scalar:.4g} and gets no gradient.",
        context.evidence(y, p, context.evaluator.reduced(y, p)),
        consequence="outliers, and a model that starts far off, stop learning",
        remedy="work with logarithms instead of taking the logarithm of a sum with a small "
        "constant; declare `redescending=True` if outliers are to be left alone",
    )


def probe_gradcheck(context: Context) -> Iterator[Finding]:
    """The gradient is the slope of the value."""
    if context.problem.kind != "regression" or not context.rowwise:
        return
    for scan in scans(context)[:1]:
        if not (np.all(np.isfinite(scan.values)) and np.all(np.isfinite(scan.slopes))):
            return
        errors = _errors(context)
        numeric = np.gradient(scan.values, errors)
        inner = np.arange(2, len(errors) - 2)
        bends = np.abs(np.gradient(np.gradient(numeric)))
        smooth = inner[bends[inner] <= np.quantile(bends[inner], 0.8) + 1e-9]
        size = max(1e-3, float(np.abs(numeric[smooth]).max()))
        wrong = np.abs(numeric[smooth] - scan.slopes[smooth]) > 0.05 * size
        if np.any(scan.slopes) and wrong.mean() > 0.5:
            index = int(smooth[np.argmax(wrong)])
            yield rules.finding(
                rules.GRADIENT_MISMATCH,
                f"At an error of {errors[index]:.3g} the gradient is {scan.slopes[index]:.4g}, but "
                f"the value changes by {numeric[index]:.4g} per unit.",
                _evidence(context, scan, [index], "value and gradient"),
                consequence="training minimises something else than the loss that is shown",
                remedy="check custom gradients and `stop_gradient`",
            )
